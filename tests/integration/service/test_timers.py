"""Globus Timers' routes of the rehearsal, by the real globus-sdk: timers begin their runs, and outlive it."""

from __future__ import annotations

import datetime
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flow_clients import PASS, FlowsUser, refusal, rehearsing, write_collections
from service_stack import ALICE, BOB, Service

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.xdist_group("service-timers")]
NOWHERE = "6c54cade-bde5-45c1-bdea-f4bd71dba2cc"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("timers")


@pytest.fixture(scope="module")
def ids(place: Path) -> dict[str, str]:
    return write_collections(place / "collections.json", {"source": {}, "target": {}, "mapped": {"data_access": True}})


@pytest.fixture(scope="module")
def service(place: Path, ids: dict[str, str]) -> Iterator[Service]:
    assert ids
    (place / "source" / "a.dat").write_bytes(b"a")
    with rehearsing(place / "service", "--collections", str(place / "collections.json")) as running:
        yield running


def copy(ids: dict[str, str], target: str, to: str = "/a.dat") -> Any:
    import globus_sdk

    data = globus_sdk.TransferData(ids["source"], ids[target], label="copy")
    data.add_item("/a.dat", to)
    return data


def wait(user: FlowsUser, timer: str, status: str) -> dict[str, Any]:
    """A timer, once it has a status."""
    deadline = time.monotonic() + 120
    while (shown := user.timers.get_job(timer).data)["status"] != status:
        assert time.monotonic() < deadline, shown
        time.sleep(0.1)
    return dict(shown)


def test_a_transfer_timer_runs_as_often_as_it_is_to(
    user: Callable[[str], FlowsUser], ids: dict[str, str], place: Path
) -> None:
    import globus_sdk

    alice = user(ALICE)
    schedule = globus_sdk.RecurringTimerSchedule(1, end={"condition": "iterations", "iterations": 2})
    made = alice.timers.create_timer(
        globus_sdk.TransferTimer(name="twice", schedule=schedule, body=copy(ids, "target", "/timed.dat"))
    )["timer"]
    assert (made["timer_type"], made["status"], made["number_of_runs"]) == ("transfer", "new", 0)
    assert made["schedule"]["end"] == {"condition": "iterations", "count": 2}
    ended = wait(alice, made["job_id"], "ended")
    assert (ended["n_runs"], ended["n_errors"], ended["next_run"], ended["stop_after"]["n_runs"]) == (2, 0, None, 2)
    results = ended["results"]["data"]
    tasks = [alice.transfer.get_task(result["data"]["action_id"]) for result in results]
    assert [task["label"] for task in tasks] == ["copy, run 2", "copy, run 1"]
    assert alice.transfer.task_wait(tasks[0]["task_id"], timeout=60, polling_interval=1)
    assert (place / "target" / "timed.dat").read_bytes() == b"a"


def test_a_flow_timer_runs_once_at_its_time_and_after_sigkill(
    user: Callable[[str], FlowsUser], service: Service
) -> None:
    import globus_sdk

    alice = user(ALICE)
    flow = alice.deploy({"A": PASS})
    schedule = globus_sdk.OnceTimerSchedule(
        datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=2)
    )
    timer = globus_sdk.FlowTimer(flow_id=flow, name="once", schedule=schedule, body={"body": {"n": 1}, "tags": ["t"]})
    with pytest.raises(globus_sdk.TimersAPIError) as refused:
        alice.timers.create_timer(timer)
    info = refused.value.info.authorization_parameters
    assert (refused.value.http_status, refused.value.code, bool(info)) == (403, "ConsentRequired", True)
    alice.timers.add_app_flow_user_scope(flow)
    alice.app.login(force=True)
    made = alice.timers.create_timer(timer)["timer"]
    assert made["callback_url"].endswith(f"/flows/{flow}/run")
    service.stop(signal.SIGKILL)
    time.sleep(2)  # its time passes while nobody looks
    service.start(wait_for="degraded")
    alice = user(ALICE)
    ended = wait(alice, made["job_id"], "ended")
    (result,) = ended["results"]["data"]
    run = alice.wait(result["data"]["run_id"])
    assert (run["status"], run["label"], run["tags"], run["flow_id"]) == ("SUCCEEDED", "once, run 1", ["t"], flow)
    assert len(list(alice.flows.list_runs(filter_flow_id=flow))) == 1


def test_a_timer_is_listed_renamed_paused_resumed_and_deleted(
    user: Callable[[str], FlowsUser], ids: dict[str, str]
) -> None:
    import globus_sdk

    alice, bob = user(ALICE), user(BOB)
    schedule = globus_sdk.RecurringTimerSchedule(3600, start="2100-01-01T00:00:00+00:00")
    made = alice.timers.create_timer(
        globus_sdk.TransferTimer(name="later", schedule=schedule, body=copy(ids, "target"))
    )["timer"]
    timer = made["job_id"]
    assert made["next_run"] == "2100-01-01T00:00:00+00:00"
    wait(alice, timer, "new")
    assert timer in {job["job_id"] for job in alice.timers.list_jobs()["jobs"]}
    assert alice.timers.update_job(timer, {"name": "other"})["name"] == "other"
    assert alice.timers.pause_job(timer)["message"] == f"Successfully paused job {timer}."
    paused = alice.timers.get_job(timer)
    assert (paused["status"], paused["activity"], paused["next_run"]) == ("inactive", {"code": "paused"}, None)
    assert alice.timers.resume_job(timer)["message"] == f"Successfully resumed job {timer}."
    resumed = alice.timers.get_job(timer)
    assert (resumed["status"], resumed["activity"]) == ("loaded", {"code": "awaiting_next_run"})
    assert resumed["next_run"] == made["next_run"]
    assert refusal(lambda: bob.timers.get_job(timer)) == (404, "NOT_FOUND")
    assert refusal(lambda: alice.timers.resume_job(timer)) == (409, "CONFLICT")
    assert alice.timers.delete_job(timer)["job_id"] == timer
    assert refusal(lambda: alice.timers.get_job(timer)) == (404, "NOT_FOUND")


def test_what_is_wrong_is_refused_with_its_place(user: Callable[[str], FlowsUser], ids: dict[str, str]) -> None:
    import globus_sdk

    alice = user(ALICE)
    once = globus_sdk.OnceTimerSchedule()
    cases: list[tuple[Any, str]] = [
        ({"timer_type": "x"}, "body.timer.timer_type"),
        ({"timer_type": "transfer", "schedule": {"type": "often"}}, "body.timer.schedule.type"),
        (globus_sdk.TransferTimer(schedule={"type": "recurring", "interval_seconds": 0}, body={}), "interval_seconds"),
        (globus_sdk.TransferTimer(schedule=once, body={"source_endpoint": ids["source"]}), "destination_endpoint"),
    ]
    for document, text in cases:
        with pytest.raises(globus_sdk.TimersAPIError) as refused:
            alice.timers.create_timer(document)
        assert refused.value.http_status == 422
        assert text in str(refused.value)
    unknown = globus_sdk.FlowTimer(flow_id=NOWHERE, schedule=once, body={"body": {}})
    assert refusal(lambda: alice.timers.create_timer(unknown)) == (404, "NOT_FOUND")


def test_a_mapped_collection_needs_a_consent(
    user: Callable[[str], FlowsUser], ids: dict[str, str], place: Path
) -> None:
    import globus_sdk
    from globus_sdk import gare

    alice = user(ALICE)
    timer = globus_sdk.TransferTimer(schedule=globus_sdk.OnceTimerSchedule(), body=copy(ids, "mapped"))
    with pytest.raises(globus_sdk.TimersAPIError) as refused:
        alice.timers.create_timer(timer)
    problem = gare.to_gare(refused.value)
    assert problem is not None
    (scope,) = problem.authorization_parameters.required_scopes or ()
    assert f"{ids['mapped']}/data_access" in scope
    alice.timers.add_app_transfer_data_access_scope(ids["mapped"])
    alice.app.login(force=True)
    ended = wait(alice, alice.timers.create_timer(timer)["timer"]["job_id"], "ended")
    task = ended["results"]["data"][0]["data"]["action_id"]
    assert alice.transfer.task_wait(task, timeout=60, polling_interval=1)
    assert (place / "mapped" / "a.dat").read_bytes() == b"a"


def test_the_first_interface_makes_timers_too(user: Callable[[str], FlowsUser], ids: dict[str, str]) -> None:
    import globus_sdk

    alice = user(ALICE)
    body = {
        "source_endpoint_id": ids["source"], "destination_endpoint_id": ids["target"],
        "transfer_items": [{"source_path": "/a.dat", "destination_path": "/old.dat"}],
    }  # fmt: skip
    url = "https://actions.automate.globus.org/transfer/transfer/run"
    job = globus_sdk.TimerJob(url, {"body": body}, datetime.datetime.now(datetime.timezone.utc), None, stop_after_n=1)
    ended = wait(alice, alice.timers.create_job(job)["job_id"], "ended")
    assert (ended["n_runs"], ended["name"], ended["interval"]) == (1, "", None)
    wrong = globus_sdk.TimerJob("https://example.org/run", {"body": {}}, "2026-01-01T00:00:00", None)
    assert refusal(lambda: alice.timers.create_job(wrong))[0] == 422
