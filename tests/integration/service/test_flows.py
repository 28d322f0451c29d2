"""Flows of the local service by the real globus-sdk: deployed, run, shown, and driven on after SIGKILL."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flow_clients import PASS, FlowsUser, refusal, rehearsing, transfer, write_collections
from service_stack import ALICE, BOB, Service

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.xdist_group("service-flows")]
SCHEMA = {
    "type": "object",
    "required": ["input"],
    "properties": {"input": {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}},
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of the collections."""
    return tmp_path_factory.mktemp("flows")


@pytest.fixture(scope="module")
def ids(place: Path) -> dict[str, str]:
    return write_collections(
        place / "collections.json",
        {"source": {}, "target": {}, "mapped": {"data_access": True}, "alices": {"identities": [ALICE]}},
    )


@pytest.fixture(scope="module")
def service(place: Path, ids: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    assert ids
    options = ("--collections", str(place / "collections.json"), "--transfer-limit", "2048")
    with rehearsing(tmp_path_factory.mktemp("service"), *options) as running:
        yield running


def test_a_flow_is_deployed_changed_run_and_deleted(user: Callable[[str], FlowsUser]) -> None:
    import globus_sdk

    alice = user(ALICE)
    states: dict[str, Any] = {
        "Sum": {"Type": "ExpressionEval", "Parameters": {"n.=": "input.n + 1"}, "ResultPath": "$.sum", "Next": "Big"},
        "Big": {
            "Type": "Choice",
            "Choices": [{"Variable": "$.sum.n", "NumericGreaterThan": 2, "Next": "Pause"}],
            "Default": "Small",
        },
        "Pause": {"Type": "Wait", "Seconds": 1, "Next": "Done"},
        "Small": {"Type": "Fail", "Error": "Small", "Cause": "too small"},
        "Done": PASS,
    }
    definition = {"StartAt": "Sum", "States": states}
    assert alice.flows.validate_flow(definition, SCHEMA)["analysis"]["number_of_possibilities"] == 2
    flow = alice.deploy(states, SCHEMA, keywords=["k"])
    specific = alice.specific(flow)
    assert specific.validate_run({"input": {"n": 1}})["message"] == "validation successful"
    with pytest.raises(globus_sdk.FlowsAPIError, match="required property") as refused:
        specific.run_flow({"input": {}})
    assert (refused.value.http_status, refused.value.code) == (400, "FLOW_INPUT_ERROR")

    run = alice.run(flow, {"input": {"n": 2}}, label="one", tags=["a", "b"])
    ended = alice.wait(run)
    assert (ended["status"], ended["label"], ended["tags"]) == ("SUCCEEDED", "one", ["a", "b"])
    assert ended["details"]["output"] == {"input": {"n": 2}, "sum": {"n": 3}}
    kinds = ("ExpressionEval", "Choice", "Wait", "Pass")
    middle = [f"{kind}{end}" for kind in kinds for end in ("Started", "Completed")]
    assert alice.codes(run) == ["FlowStarted", *middle, "FlowSucceeded"]
    newest = alice.flows.get_run_logs(run, limit=1, reverse_order=True)
    assert [entry["code"] for entry in newest] == ["FlowSucceeded"]
    assert alice.flows.get_run_definition(run)["definition"] == definition

    small = alice.wait(alice.run(flow, {"input": {"n": 1}}))
    assert (small["status"], small["details"]["details"]["error"]) == ("FAILED", "Small")
    listed = alice.flows.list_runs(filter_flow_id=flow, query_params={"orderby": "start_time DESC"})
    assert [each["run_id"] for each in listed] == [small["run_id"], run]

    changed = alice.flows.update_flow(flow, title="Other", keywords=["k", "l"])
    assert (changed["title"], changed["keywords"], changed["definition"]) == ("Other", ["k", "l"], definition)
    assert alice.flows.update_run(run, label="two")["label"] == "two"
    assert alice.flows.get_run(run, include_flow_description=True)["flow_description"]["title"] == "Test"
    alice.flows.delete_run(run)
    assert alice.flows.delete_flow(flow)["DELETED"]
    for gone in (alice.flows.get_flow, alice.flows.delete_flow):
        with pytest.raises(globus_sdk.FlowsAPIError, match="No flow exists"):
            gone(flow)


def test_a_wrong_definition_is_refused_with_the_place(user: Callable[[str], FlowsUser]) -> None:
    import globus_sdk

    alice = user(ALICE)
    with pytest.raises(globus_sdk.FlowsAPIError) as refused:
        alice.flows.create_flow("T", {"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "B"}}}, {})
    error = refused.value
    assert (error.http_status, error.code) == (422, "UNPROCESSABLE_ENTITY")
    assert error.raw_json is not None
    assert error.raw_json["error"]["detail"][0]["loc"] == ["definition", ".States.A.Next"]


def test_who_may_do_what(user: Callable[[str], FlowsUser]) -> None:
    alice, bob = user(ALICE), user(BOB)
    hidden = alice.deploy({"A": PASS})
    seen = alice.deploy({"A": PASS}, flow_viewers=["public"])
    open_to_bob = alice.deploy({"A": PASS}, flow_starters=[bob.urn], run_monitors=[])

    assert refusal(lambda: bob.flows.get_flow(hidden)) == (404, "NOT_FOUND")
    assert bob.flows.get_flow(seen)["user_role"] == "flow_viewer"
    assert refusal(lambda: bob.specific(seen).validate_run({})) == (403, "FORBIDDEN")
    assert refusal(lambda: bob.flows.update_flow(open_to_bob, title="mine")) == (403, "FORBIDDEN")
    assert refusal(lambda: bob.flows.delete_flow(seen)) == (403, "FORBIDDEN")
    own = bob.run(open_to_bob, {})
    bob.wait(own)
    assert refusal(lambda: alice.flows.get_run(own)) == (404, "NOT_FOUND")
    watched = bob.run(open_to_bob, {}, run_monitors=[alice.urn])
    assert alice.wait(watched)["user_role"] == "run_monitor"
    assert refusal(lambda: alice.flows.cancel_run(watched)) == (403, "FORBIDDEN")
    assert {flow["id"] for flow in bob.flows.list_flows()} >= {seen, open_to_bob}
    assert hidden not in {flow["id"] for flow in bob.flows.list_flows()}
    assert {run["run_id"] for run in bob.flows.list_runs()} >= {own, watched}


def test_a_token_without_the_scope_is_refused(user: Callable[[str], FlowsUser], service: Service) -> None:
    import globus_sdk
    from globus_sdk.scopes import FlowsScopes, SpecificFlowScopes

    alice = user(ALICE)
    flow = alice.deploy({"A": PASS})
    auth = alice.app._login_client
    assert isinstance(auth, globus_sdk.ConfidentialAppAuthClient)
    tokens = auth.oauth2_client_credentials_tokens(str(FlowsScopes.view_flows)).by_resource_server
    reader = globus_sdk.AccessTokenAuthorizer(tokens["flows.globus.org"]["access_token"])
    assert globus_sdk.FlowsClient(authorizer=reader).get_flow(flow)["id"] == flow
    for call in (
        lambda: globus_sdk.FlowsClient(authorizer=reader).delete_flow(flow),
        lambda: globus_sdk.SpecificFlowClient(flow, authorizer=reader).run_flow({}),
    ):
        with pytest.raises(globus_sdk.FlowsAPIError, match="requires the following scope") as refused:
            call()
        assert (refused.value.http_status, refused.value.code) == (403, "MISSING_SCOPE")
    tokens = auth.oauth2_client_credentials_tokens(str(SpecificFlowScopes(flow).user)).by_resource_server
    right = globus_sdk.AccessTokenAuthorizer(tokens[flow]["access_token"])
    assert globus_sdk.SpecificFlowClient(flow, authorizer=right).run_flow({})["status"] == "ACTIVE"
    status, body, _ = service.request("GET", f"/flows/{flow}")
    assert (status, json.loads(body)["error"]["code"]) == (401, "AUTHENTICATION_ERROR")


def test_files_are_transferred_and_what_is_wrong_fails_the_action(
    user: Callable[[str], FlowsUser], ids: dict[str, str], place: Path
) -> None:
    source, target = place / "source", place / "target"
    (source / "sub").mkdir(exist_ok=True)
    (source / "sub" / "a b.dat").write_bytes(os.urandom(1000))
    outside = place / "outside.txt"
    outside.write_text("secret")
    (source / "link").symlink_to(outside)
    alice = user(ALICE)
    flow = alice.deploy({"Move": transfer(ids["source"], ids["target"], End=True)})
    details = alice.wait(alice.run(flow, {}))["details"]["output"]["moved"]["details"]
    assert (details["files_transferred"], details["bytes_transferred"], details["faults"]) == (1, 1000, 0)
    assert (target / "got" / "sub" / "a b.dat").read_bytes() == (source / "sub" / "a b.dat").read_bytes()
    assert not (target / "got" / "link").exists()
    again = alice.wait(alice.run(flow, {}))["details"]["output"]["moved"]["details"]
    assert again["files_transferred"] == 0
    (source / "link").unlink()

    for path, code in (("/none", "FileNotFound"), ("/../outside.txt", "PermissionDenied")):
        state = transfer(ids["source"], ids["target"], End=True)
        state["Parameters"]["DATA"] = [{"source_path": path, "destination_path": "/x"}]
        failed = alice.wait(alice.run(alice.deploy({"Move": state}), {}))
        assert failed["status"] == "FAILED"
        assert code in failed["details"]["details"]["cause"]
    bob = user(BOB)
    stranger = bob.deploy({"Move": transfer(ids["alices"], ids["target"], End=True)})
    unable = bob.wait(bob.run(stranger, {}))["details"]["details"]
    assert (unable["error"], ids["alices"] in unable["cause"]) == ("ActionUnableToRun", True)


def test_directories_are_made_listed_and_deleted(user: Callable[[str], FlowsUser], ids: dict[str, str]) -> None:
    alice = user(ALICE)

    def do(name: str, follows: str | None, **body: Any) -> dict[str, Any]:
        return {
            "Type": "Action", "ActionUrl": f"https://transfer.actions.globus.org/{name}", "Parameters": body,
            "ResultPath": f"$.{name}", **({"Next": follows} if follows else {"End": True}),
        }  # fmt: skip

    here = {"endpoint_id": ids["target"]}
    states = {
        "Make": do("mkdir", "List", path="/made/below", **here),
        "List": do("ls", "Look", path="/made", **here),
        "Look": do("stat", "Delete", path="/made/below", **here),
        "Delete": do("delete", None, endpoint=ids["target"], DATA=[{"path": "/made"}], recursive=True),
    }
    output = alice.wait(alice.run(alice.deploy(states), {}))["details"]["output"]
    assert [child["name"] for child in output["ls"]["details"]["DATA"]] == ["below"]
    assert (output["stat"]["details"]["type"], output["delete"]["status"]) == ("dir", "SUCCEEDED")


def test_a_run_waits_for_a_consent_and_is_resumed(user: Callable[[str], FlowsUser], ids: dict[str, str]) -> None:
    from globus_sdk import gare

    alice = user(ALICE)
    flow = alice.deploy({"Move": transfer(ids["source"], ids["mapped"], End=True)})
    run = alice.run(flow, {})
    waiting = alice.wait(run)
    assert waiting["status"] == "INACTIVE"
    problem = gare.to_gare(waiting["details"])
    assert problem is not None
    (scope,) = problem.authorization_parameters.required_scopes or ()
    assert scope.startswith(alice.flows.get_flow(flow)["globus_auth_scope"])
    assert f"https://auth.globus.org/scopes/{ids['mapped']}/data_access" in scope
    specific = alice.specific(flow)
    specific.add_app_transfer_data_access_scope(ids["mapped"])
    alice.app.login(force=True)
    assert specific.resume_run(run)["status"] == "ACTIVE"
    assert alice.wait(run)["status"] == "SUCCEEDED"
    assert "FlowInactive" in alice.codes(run)


def test_an_action_that_takes_too_long_and_one_that_is_not_there(user: Callable[[str], FlowsUser]) -> None:
    alice = user(ALICE)
    hello = {
        "Type": "Action", "ActionUrl": "https://actions.globus.org/hello_world", "WaitTime": 1,
        "Parameters": {"echo_string": "hi", "sleep_time": 60}, "ResultPath": "$.hello", "End": True,
    }  # fmt: skip
    caught = {**hello, "Catch": [{"ErrorEquals": ["ActionTimeout"], "ResultPath": "$.error", "Next": "Done"}]}
    ended = alice.wait(alice.run(alice.deploy({"Hello": caught, "Done": PASS}), {}))
    assert (ended["status"], ended["details"]["output"]["error"]["Error"]) == ("SUCCEEDED", "ActionTimeout")
    elsewhere = {**hello, "ActionUrl": "https://example.org/action"}
    failed = alice.wait(alice.run(alice.deploy({"Hello": elsewhere}), {}))["details"]["details"]
    assert failed["error"] == "ActionUnableToRun"


def test_a_run_is_canceled(user: Callable[[str], FlowsUser]) -> None:
    alice = user(ALICE)
    run = alice.run(alice.deploy({"W": {"Type": "Wait", "Seconds": 3600, "Next": "P"}, "P": PASS}), {})
    alice.wait_for_code(run, "WaitStarted")
    assert alice.flows.cancel_run(run)["details"]["code"] == "FlowCanceled"
    assert alice.flows.get_run(run)["status"] == "FAILED"


def test_runs_go_on_after_sigkill_of_the_service(
    user: Callable[[str], FlowsUser], service: Service, ids: dict[str, str], place: Path
) -> None:
    data = os.urandom(6 << 20)  # at 2 MiB/s, three seconds
    (place / "source" / "large.dat").write_bytes(data)
    alice = user(ALICE)
    states = {
        "Move": transfer(ids["source"], ids["target"], Next="W"),
        "W": {"Type": "Wait", "Seconds": 2, "Next": "P"},
    }
    flow = alice.deploy({**states, "P": PASS})
    moving, waiting = alice.run(flow, {}), alice.run(alice.deploy({"W": states["W"], "P": PASS}), {})
    alice.wait_for_code(waiting, "WaitStarted")
    target = place / "target" / "got" / "large.dat"
    while not target.exists() or not target.stat().st_size:
        time.sleep(0.02)
    service.stop(signal.SIGKILL)
    assert target.read_bytes() != data
    service.start(wait_for="degraded")
    again = user(ALICE)
    assert {again.wait(run)["status"] for run in (moving, waiting)} == {"SUCCEEDED"}
    assert target.read_bytes() == data
    assert again.codes(moving).count("ActionStarted") == again.codes(moving).count("ActionCompleted") == 1
    (place / "source" / "large.dat").unlink()


def test_rsync_killed_in_the_middle_is_a_fault(
    user: Callable[[str], FlowsUser], service: Service, ids: dict[str, str], place: Path
) -> None:
    import psutil

    data = os.urandom(4 << 20)
    (place / "source" / "other.dat").write_bytes(data)
    alice = user(ALICE)
    run = alice.run(alice.deploy({"Move": transfer(ids["source"], ids["target"], End=True)}), {})
    target = place / "target" / "got" / "other.dat"
    while not target.exists() or not target.stat().st_size:
        time.sleep(0.02)
    assert service.process is not None
    copies = [
        child for child in psutil.Process(service.process.pid).children(recursive=True) if child.name() == "rsync"
    ]
    assert copies
    copies[0].kill()
    details = alice.wait(run)["details"]["output"]["moved"]["details"]
    assert (details["faults"], target.read_bytes() == data) == (1, True)
