"""When an endpoint that is down may be started again."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from prov_worker.fleet import watch
from prov_worker.fleet.fleetfile import Fleet, Watch
from prov_worker.fleet.state import Record, State
from prov_worker.fleet.watch import Watcher, next_time, went_down
from prov_worker.globus import daemons

NOW = 1_790_000_000.0
WATCH = Watch(backoff=(10.0, 100.0), cap=3, window=3600.0)


def test_one_that_was_up_for_long_is_started_at_once() -> None:
    record = Record(started_at=NOW - 105, ran_at=NOW - 101, streak=4)
    went_down(record, WATCH, NOW)
    assert record.streak == 0
    assert next_time(record, WATCH, NOW) == (NOW, "")


def test_others_wait_ever_longer() -> None:
    record = Record()
    waits = []
    for number in range(6):
        at = NOW + number * 1000
        # The last one took long to fail, and never was up.
        record.started_at, record.ran_at = at - 500, at - 5 if number < 5 else 0.0
        went_down(record, WATCH, at)
        waits.append(record.next_at - at)
    assert waits == [10, 20, 40, 80, 100, 100]
    assert next_time(record, WATCH, at + 99) == (at + 100, "back-off")
    assert next_time(record, WATCH, at + 100) == (at + 100, "")


def test_the_cap_counts_within_the_window() -> None:
    record = Record(restarts=[NOW - 3601, NOW - 3000, NOW - 2000])
    assert next_time(record, WATCH, NOW) == (NOW, "")
    record.restarts.append(NOW - 10)
    assert next_time(record, WATCH, NOW) == (NOW + 600, "cap")
    assert next_time(record, WATCH, NOW + 601) == (NOW + 601, "")


@pytest.mark.parametrize("back_s", [3600.0, 1e9])
def test_a_clock_that_was_set_back_does_not_stop_it(back_s: float) -> None:
    record = Record(restarts=[NOW] * 3, next_at=NOW + 50)
    at, why = next_time(record, WATCH, NOW - back_s)
    assert why == "back-off"
    assert at <= NOW - back_s + WATCH.backoff_s[1]


def test_a_person_starts_the_count_anew() -> None:
    record = Record(restarts=[NOW] * 3, next_at=NOW + 50, streak=3, total=3)
    record.forgive()
    assert next_time(record, WATCH, NOW) == (NOW, "")
    assert record.total == 3


def test_one_that_gives_no_sign_of_life_is_ended_after_two_looks(
    fleet: Fleet, endpoint: Path, pretend: Callable[..., subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (daemons, watch):
        monkeypatch.setattr(module, "STALE_S", 0.2)
    monkeypatch.setattr(watch, "_HANGS_S", 0.3)
    daemon = pretend("globus-compute-endpoint", "start", "one", opened=endpoint / "endpoint.log")
    (endpoint / "daemon.pid").write_text(f"{daemon.pid}\n")
    said: list[str] = []
    watcher = Watcher(fleet, State(fleet), said.append, threading.Event())
    watcher.look()
    assert any(f"runs as process {daemon.pid}, which this watch did not start" in line for line in said)
    time.sleep(0.3)
    watcher.look()
    assert daemon.poll() is None
    time.sleep(0.4)
    watcher.look()
    daemon.wait(10)
    assert any("gave no sign of life for" in line and line.endswith("it is ended") for line in said)
    assert "gave no sign of life" in State(fleet).load()["one"].last_error
    assert len([line for line in said if " two: not created yet" in line]) == 1, "said once"


def test_nothing_is_done_while_another_command_is_at_work(fleet: Fleet, endpoint: Path) -> None:
    said: list[str] = []
    state = State(fleet)
    watcher = Watcher(fleet, state, said.append, threading.Event())
    # A lock belongs to a descriptor: the watch's own is as another process's.
    with state.lock("commands"):
        for _ in range(2):
            watcher.look()
    assert [line.split(" ", 1)[1] for line in said] == [
        "watch: another command is at work on this fleet; looks again later"
    ]
