"""Globus Transfer's routes of the rehearsal, by the real globus-sdk: tasks, directories, collections."""

from __future__ import annotations

import datetime
import hashlib
import os
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from flow_clients import FlowsUser, refusal, rehearsing, transfer, write_collections
from service_stack import ALICE, BOB, Service

if TYPE_CHECKING:
    import globus_sdk

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.xdist_group("service-transfer")]
NOWHERE = "6c54cade-bde5-45c1-bdea-f4bd71dba2cc"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("transfer")


@pytest.fixture(scope="module")
def ids(place: Path) -> dict[str, str]:
    directories = {"source": {}, "target": {}, "mapped": {"data_access": True}, "alices": {"identities": [ALICE]}}
    return write_collections(place / "collections.json", directories)


@pytest.fixture(scope="module")
def service(place: Path, ids: dict[str, str]) -> Iterator[Service]:
    assert ids
    options = ("--collections", str(place / "collections.json"), "--transfer-limit", "2048")
    with rehearsing(place / "service", *options) as running:
        yield running


@pytest.fixture
def alice(user: Callable[[str], FlowsUser]) -> FlowsUser:
    return user(ALICE)


def wait(client: globus_sdk.TransferClient, task: str) -> dict[str, Any]:
    """A task, once it has ended."""
    deadline = time.monotonic() + 120
    while (shown := client.get_task(task).data)["status"] == "ACTIVE":
        assert time.monotonic() < deadline, shown
        time.sleep(0.05)
    return dict(shown)


def test_a_transfer_is_submitted_once_and_shown(alice: FlowsUser, ids: dict[str, str], place: Path) -> None:
    import globus_sdk

    source = place / "source" / "first"
    (source / "sub").mkdir(parents=True)
    odd = b"odd \n name.dat"
    for name, content in ((b"a.dat", b"a" * 1000), (b"sub/b.log", b"b"), (odd, b"odd"), (b"sub/skip.tmp", b"s")):
        (Path(os.fsdecode(os.fsencode(source) + b"/" + name))).write_bytes(content)
    data = globus_sdk.TransferData(ids["source"], ids["target"], label="by sdk", sync_level="checksum")
    data.add_item("/first/", "/got/", recursive=True)
    data.add_filter_rule("*.tmp", type="file")
    answer = alice.transfer.submit_transfer(data)
    assert (answer["code"], answer["DATA_TYPE"]) == ("Accepted", "transfer_result")
    again = alice.transfer.submit_transfer(data)
    assert (again["code"], again["task_id"]) == ("Duplicate", answer["task_id"])
    task = wait(alice.transfer, answer["task_id"])
    numbers = ("status", "label", "files", "files_transferred", "bytes_transferred", "faults", "subtasks_succeeded")
    assert [task[key] for key in numbers] == ["SUCCEEDED", "by sdk", 3, 3, 1004, 0, 1]
    assert (task["source_endpoint_display_name"], task["sync_level"], task["is_ok"]) == ("source", 3, None)
    sent = {each["source_path"]: each["size"] for each in alice.transfer.paginated.task_successful_transfers(
        answer["task_id"]).items()}  # fmt: skip
    assert sent == {"/first/a.dat": 1000, "/first/sub/b.log": 1, f"/first/{odd.decode()}": 3}
    assert not (place / "target" / "got" / "sub" / "skip.tmp").exists()
    events = alice.transfer.paginated.task_event_list(answer["task_id"]).items()
    assert [event["code"] for event in events] == ["SUCCEEDED", "STARTED"]
    listed = alice.transfer.paginated.task_list(filter={"label": "by sdk", "status": "SUCCEEDED"}).items()
    assert [each["task_id"] for each in listed] == [answer["task_id"]]
    assert list(alice.transfer.task_list(filter="label:~no*")) == []


def test_what_is_wrong_is_refused_as_the_service_does(
    user: Callable[[str], FlowsUser], ids: dict[str, str], service: Service
) -> None:
    import globus_sdk

    alice, bob = user(ALICE), user(BOB)

    def submit(client: globus_sdk.TransferClient, source: str, target: str, **paths: Any) -> str:
        data = globus_sdk.TransferData(source, target)
        if paths:
            data.add_item(**paths)
        return str(client.submit_transfer(data)["task_id"])

    item = {"source_path": "/x", "destination_path": "/x"}
    assert refusal(lambda: submit(alice.transfer, ids["source"], ids["target"])) == (
        400,
        "ClientError.BadRequest.NoTransferItems",
    )
    assert refusal(lambda: submit(alice.transfer, NOWHERE, ids["target"], **item)) == (404, "EndpointNotFound")
    assert refusal(lambda: submit(bob.transfer, ids["alices"], ids["target"], **item)) == (404, "EndpointNotFound")
    assert refusal(lambda: alice.transfer.get_task(NOWHERE)) == (404, "TaskNotFound")
    assert refusal(lambda: alice.transfer.operation_ls(ids["target"], "/none")) == (404, "ClientError.NotFound")
    assert refusal(lambda: alice.transfer.operation_ls(ids["target"], "/../x")) == (403, "EndpointPermissionDenied")
    assert refusal(lambda: alice.transfer.operation_stat(ids["target"], "/none")) == (404, "NotFound")
    assert refusal(lambda: alice.transfer.get_endpoint(NOWHERE)) == (404, "EndpointNotFound")
    assert refusal(lambda: alice.transfer.endpoint_search()) == (400, "ClientError.BadRequest")
    assert refusal(lambda: alice.transfer.task_list(filter="nothing:1")) == (400, "ClientError.BadRequest")
    task = submit(alice.transfer, ids["source"], ids["target"], **item)
    failed = wait(alice.transfer, task)
    assert (failed["status"], failed["fatal_error"]["code"]) == ("FAILED", "FileNotFound")
    within = {"source_path": "/", "destination_path": "/within", "recursive": True}
    overlaps = wait(alice.transfer, submit(alice.transfer, ids["target"], ids["target"], **within))
    assert overlaps["fatal_error"]["code"] == "SourceAndDestinationOverlap"
    assert refusal(lambda: bob.transfer.get_task(task)) == (404, "TaskNotFound")
    assert refusal(lambda: alice.transfer.update_task(task, {"label": "x"})) == (409, "ClientError.Conflict")
    assert alice.transfer.cancel_task(task)["code"] == "TaskComplete"
    assert service.request("GET", "/v0.10/task_list")[0] == 401


def test_a_mapped_collection_needs_a_consent(alice: FlowsUser, ids: dict[str, str]) -> None:
    import globus_sdk
    from globus_sdk.scopes import TransferScopes

    tokens = alice.app._login_client
    assert isinstance(tokens, globus_sdk.ConfidentialAppAuthClient)
    answer = tokens.oauth2_client_credentials_tokens(str(TransferScopes.all))
    bare = globus_sdk.TransferClient(
        authorizer=globus_sdk.AccessTokenAuthorizer(
            answer.by_resource_server[TransferScopes.resource_server]["access_token"]
        )
    )
    with pytest.raises(globus_sdk.TransferAPIError) as refused:
        bare.operation_ls(ids["mapped"])
    info = refused.value.info.consent_required
    assert (refused.value.http_status, bool(info)) == (403, True)
    assert info.required_scopes is not None
    tokens.oauth2_client_credentials_tokens(info.required_scopes)
    assert list(bare.operation_ls(ids["mapped"])) == []


def test_directories_are_listed_made_renamed_and_deleted(alice: FlowsUser, ids: dict[str, str], place: Path) -> None:
    import globus_sdk

    here, client = ids["target"], alice.transfer
    client.operation_mkdir(here, "/dirs/below")
    assert refusal(lambda: client.operation_mkdir(here, "/dirs")) == (502, "ExternalError.MkdirFailed.Exists")
    root = place / "target" / "dirs"
    for name, content in (("b.txt", b"12345"), ("a.log", b"1"), (".hidden", b"")):
        (root / name).write_bytes(content)
    (root / "link").symlink_to(place / "source")
    shown = client.operation_ls(here, "/~/dirs", orderby=["type", "name DESC"], show_hidden=False)
    assert [(each["name"], each["type"]) for each in shown] == [
        ("link", "dir"), ("below", "dir"), ("b.txt", "file"), ("a.log", "file"),
    ]  # fmt: skip
    assert shown["path"] == "/~/dirs/"
    assert [each["name"] for each in client.operation_ls(here, "/dirs", filter={"name": "~*.log"})] == ["a.log"]
    assert [each["name"] for each in client.operation_ls(here, "/dirs", filter={"size": ">2", "type": "file"})] == [
        "b.txt"
    ]
    assert client.operation_stat(here, "/dirs/b.txt")["size"] == 5
    assert client.operation_rename(here, "/dirs/b.txt", "/dirs/below/c.txt")["code"] == "FileRenamed"
    assert refusal(lambda: client.operation_rename(here, "/dirs/a.log", "/dirs/below/c.txt"))[0] == 502
    data = globus_sdk.DeleteData(here, recursive=True)
    data.add_item("/dirs/link")
    data.add_item("/dirs/below")
    task = wait(client, client.submit_delete(data)["task_id"])
    assert (task["status"], task["type"], task["files"], task["directories"]) == ("SUCCEEDED", "DELETE", 1, 1)
    assert sorted(path.name for path in root.iterdir()) == [".hidden", "a.log"]
    assert (place / "source").is_dir()
    wrong = globus_sdk.DeleteData(here, recursive=True)
    wrong.add_item("/")
    assert wait(client, client.submit_delete(wrong)["task_id"])["fatal_error"]["code"] == "PermissionDenied"


def test_collections_are_shown_and_found(user: Callable[[str], FlowsUser], ids: dict[str, str]) -> None:
    alice, bob = user(ALICE), user(BOB)
    assert alice.transfer.get_endpoint(ids["source"])["entity_type"] == "GCP_mapped_collection"
    mapped = alice.transfer.get_endpoint(ids["mapped"])
    assert (mapped["entity_type"], mapped["high_assurance"]) == ("GCSv5_mapped_collection", False)
    assert [each["id"] for each in alice.transfer.endpoint_search("alice")] == [ids["alices"]]
    assert list(bob.transfer.endpoint_search("alice")) == []
    assert len(list(alice.transfer.endpoint_search(filter_scope="my-endpoints"))) == 4


def test_checksums_are_compared_and_what_is_missing_may_be_left_out(
    alice: FlowsUser, ids: dict[str, str], place: Path
) -> None:
    import globus_sdk

    (place / "source" / "sum.dat").write_bytes(b"sum")
    digest = hashlib.sha256(b"sum").hexdigest()
    for checksum, status in ((digest, "SUCCEEDED"), ("0" * 64, "FAILED")):
        data = globus_sdk.TransferData(ids["source"], ids["target"])
        data.add_item("/sum.dat", "/sum.dat", external_checksum=checksum, checksum_algorithm="sha256")
        assert wait(alice.transfer, alice.transfer.submit_transfer(data)["task_id"])["status"] == status
    data = globus_sdk.TransferData(ids["source"], ids["target"], skip_source_errors=True)
    data.add_item("/not-there.dat", "/x.dat")
    data.add_item("/sum.dat", "/again.dat")
    task = wait(alice.transfer, alice.transfer.submit_transfer(data)["task_id"])
    assert (task["status"], task["subtasks_skipped_errors"], task["files_transferred"]) == ("SUCCEEDED", 1, 1)
    left_out = alice.transfer.paginated.task_skipped_errors(task["task_id"]).items()
    assert [(each["source_path"], each["error_code"]) for each in left_out] == [("/not-there.dat", "FILE_NOT_FOUND")]


def test_a_task_goes_on_after_sigkill_of_the_service_and_another_is_cancelled(
    user: Callable[[str], FlowsUser], ids: dict[str, str], place: Path, service: Service
) -> None:
    import globus_sdk

    data = os.urandom(3 << 20)  # at 2 MiB/s, one and a half seconds
    (place / "source" / "large.dat").write_bytes(data)
    alice = user(ALICE)

    def submit(name: str) -> str:
        given = globus_sdk.TransferData(ids["source"], ids["target"])
        given.add_item("/sum.dat" if (place / "source" / "sum.dat").exists() else "/large.dat", f"/{name}.first")
        given.add_item("/large.dat", f"/{name}.dat")
        return str(alice.transfer.submit_transfer(given)["task_id"])

    def begun(name: str) -> bool:
        target = place / "target" / f"{name}.dat"
        return target.exists() and target.stat().st_size > 0

    moving = submit("moving")
    while not begun("moving"):
        time.sleep(0.02)
    service.stop(signal.SIGKILL)
    service.start(wait_for="degraded")
    alice = user(ALICE)
    assert wait(alice.transfer, moving)["status"] == "SUCCEEDED"
    assert (place / "target" / "moving.dat").read_bytes() == data
    codes = [event["code"] for event in alice.transfer.task_event_list(moving)]
    assert codes.count("STARTED") == 1
    canceled = submit("canceled")
    while not begun("canceled"):
        time.sleep(0.02)
    alice.transfer.update_task(canceled, {"label": "changed", "deadline": "2100-01-01"})
    assert alice.transfer.cancel_task(canceled)["code"] == "Canceled"
    task = wait(alice.transfer, canceled)
    assert (task["status"], task["fatal_error"]["code"], task["label"]) == ("FAILED", "CANCELED", "changed")
    expiring = submit("expiring")
    while not begun("expiring"):
        time.sleep(0.02)
    soon = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=0.3)
    alice.transfer.update_task(expiring, {"deadline": soon.isoformat()})
    assert wait(alice.transfer, expiring)["fatal_error"]["code"] == "EXPIRED"


def test_a_transfer_of_a_flow_is_a_task_too(alice: FlowsUser, ids: dict[str, str], place: Path) -> None:
    (place / "source" / "flow").mkdir()
    (place / "source" / "flow" / "x.dat").write_bytes(b"x")
    state = transfer(ids["source"], ids["target"], End=True)
    state["Parameters"] |= {"DATA": [{"source_path": "/flow", "destination_path": "/flow"}], "label": "of a flow"}
    ended = alice.wait(alice.run(alice.deploy({"Move": state}), {}))
    task = ended["details"]["output"]["moved"]["details"]["task_id"]
    assert alice.transfer.get_task(task)["label"] == "of a flow"


def test_an_unknown_submission_is_refused(alice: FlowsUser, ids: dict[str, str]) -> None:
    body = {"DATA_TYPE": "transfer", "submission_id": "x", "source_endpoint": ids["source"], "DATA": []}
    assert refusal(lambda: alice.transfer.post("/v0.10/transfer", data=body)) == (400, "ClientError.BadRequest")
    body["submission_id"] = str(uuid.uuid4())
    assert refusal(lambda: alice.transfer.post("/v0.10/transfer", data=body)) == (400, "ClientError.BadRequest")
