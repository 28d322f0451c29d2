"""What commands leave to the watch, and what they make of its answers; real watches are in tests/integration/fleet."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from prov_worker.fleet import delegate, launch, presence
from prov_worker.fleet.fleetfile import Fleet
from prov_worker.fleet.presence import Presence
from prov_worker.fleet.result import Outcome
from prov_worker.fleet.state import Asked, EndpointRecord, State

Answer = Callable[[EndpointRecord], None]


@pytest.fixture
def state(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> State:
    monkeypatch.setattr(delegate, "_SETTLE_S", 0.0)
    return State(fleet)


@pytest.fixture
def sign(state: State) -> presence.Sign:
    """A watch of this version, which does nothing by itself."""
    sign = presence.Sign(state.directory, launch.software())
    sign.begin()
    return sign


def asked(fleet: Fleet, state: State, request: Asked, answer: Answer | None = None, **changes: Any) -> Outcome:
    """What comes of asking for ``one`` while the watch answers in its records."""
    watch = presence.read(state.directory)
    assert watch is not None
    spec = fleet.endpoints[0]
    spec._unbound_host = changes.get("unbound_host", False)
    with state.records() as records:
        delegate.ask(records, [spec], request)
        assert records["one"].asked == request
        assert records["one"].asked_by == launch.software()

    def act() -> None:
        with State(fleet).records() as records:
            record = records["one"]
            record.asked, record.taken_at = "", record.asked_at
            assert answer is not None
            answer(record)

    timer = threading.Timer(0.1, act)
    if answer is not None:
        timer.start()
    done: list[str] = []
    try:
        (outcome,) = delegate.wait(
            state, [spec], request, watch, limit_s=changes.get("limit_s", 30.0), done=done.append
        )
    finally:
        if answer is not None:
            timer.join()
    assert done == ["one"]
    assert state.load()["one"].asked == ""
    return outcome


def runs(record: EndpointRecord) -> None:
    record.pid, record.host, record.ran_at = 7, "login01", time.time()


def fails(record: EndpointRecord) -> None:
    record.down_at, record.last_error = time.time(), "process 7 is gone, ended with code 1: no"


def test_a_daemon_that_runs(fleet: Fleet, state: State, sign: presence.Sign) -> None:
    assert asked(fleet, state, "restart", runs) == Outcome("one", "started", "process 7 on login01, by the watch")


def test_a_daemon_that_fails(fleet: Fleet, state: State, sign: presence.Sign) -> None:
    outcome = asked(fleet, state, "restart", fails)
    assert (outcome.action, outcome.detail, outcome.good) == (
        "not started", "process 7 is gone, ended with code 1: no", False,
    )  # fmt: skip


def test_a_daemon_that_does_not_register(fleet: Fleet, state: State, sign: presence.Sign) -> None:
    outcome = asked(fleet, state, "restart", lambda record: None, limit_s=0.2)
    assert (outcome.detail, outcome.good) == ("has not registered after 0 s", False)


def test_a_daemon_that_is_stopped(fleet: Fleet, state: State, sign: presence.Sign) -> None:
    assert asked(fleet, state, "stop", lambda record: record.ended()).action == "stopped"


@pytest.mark.parametrize("unbound, good", [(True, True), (False, False)])
def test_a_watch_that_ends_meanwhile(
    fleet: Fleet, state: State, sign: presence.Sign, unbound: bool, good: bool
) -> None:
    """Slurm's next job has the next watch; on a host of the endpoint's own somebody has to start one."""
    leave = threading.Timer(0.2, sign.end)
    leave.start()
    outcome = asked(fleet, state, "restart", unbound_host=unbound)
    leave.join()
    assert outcome.good == good
    assert "has ended" in outcome.detail


@pytest.mark.parametrize(
    "software, why",
    [(launch.software(), "has not done it in 0 s"), ("another", "is another, and this is ")],
)
def test_a_watch_that_does_not_take_it(
    fleet: Fleet, state: State, monkeypatch: pytest.MonkeyPatch, software: str, why: str
) -> None:
    monkeypatch.setattr(delegate, "_TAKE_S", 0.3)
    presence.Sign(state.directory, software).begin()
    outcome = asked(fleet, state, "restart")
    assert not outcome.good
    assert why in outcome.detail
    watch = presence.read(state.directory)
    assert isinstance(watch, Presence)
    assert outcome.detail.startswith(f"the watch on {watch.host} (process {watch.pid}) ")
