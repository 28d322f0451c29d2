"""A worker that dies takes its task with it, and never the task's crate."""

from __future__ import annotations

import hashlib
import json
import os
import signal
from pathlib import Path

import pytest

from support.crate_dir import CrateDir, task_series, wait_until
from support.direct import Call, Start


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV], ids=lambda n: n.name)
def test_a_killed_worker_leaves_the_signals_name_and_the_samples_so_far(
    crate_dir: CrateDir, start: Start, number: signal.Signals
) -> None:
    before, dying = Call("add", (1, 2)), Call("kill_self", (int(number), 0.6))
    worker = start(before, dying, await_agent=True)
    # the agent must read the status before this test collects it
    first, second = crate_dir.wait_for([before.task, dying.task])
    assert worker.wait() == -number
    assert worker.value(0) == 3
    assert first.status == "completed"
    assert second.status == "failed"
    assert second.error is not None
    assert number.name in second.error
    assert second.function_name == "kill_self"
    series = task_series(second)
    assert series is not None
    assert len(series) >= 3
    # busy all the time, on a machine that others may load too
    assert series.columns["cpu_percent"].extremes()[1] > 5  # type: ignore[index]


@pytest.mark.parametrize("status", [0, 3])
def test_os_exit_in_user_code_is_named_with_its_status(crate_dir: CrateDir, start: Start, status: int) -> None:
    call = Call("leave", (status,))
    worker = start(call)
    (crate,) = crate_dir.wait_for([call.task])
    assert worker.wait() == status
    assert crate.status == "failed"
    assert f"exit status {status}" in (crate.error or "")


@pytest.mark.parametrize(
    "argument, status, word", [(5, 5, "exit status 5"), ("no space left", 1, "no space left"), (None, 0, "status 0")]
)
def test_sys_exit_in_user_code_leaves_as_it_would_have(
    crate_dir: CrateDir, start: Start, argument: object, status: int, word: str
) -> None:
    call = Call("leave_by_sys_exit", (argument,))
    worker = start(call, catch=False)
    assert worker.wait() == status
    (crate,) = crate_dir.wait_for([call.task])
    assert crate.status == "failed"
    assert word in (crate.error or "")


def test_keyboard_interrupt_leaves_the_helper_as_it_leaves_the_stock_one(crate_dir: CrateDir, start: Start) -> None:
    call, after = Call("interrupt"), Call("add", (1, 1))
    worker = start(call, after)
    assert worker.wait() == 0
    assert "KeyboardInterrupt: asked by the user's code" in (worker.escaped(0) or "")
    assert worker.value(1) == 2
    crate, other = crate_dir.wait_for([call.task, after.task])
    assert crate.status == "failed"
    assert "asked by the user's code" in (crate.error or "")
    assert other.status == "completed"


def test_another_program_in_the_place_of_the_worker(crate_dir: CrateDir, start: Start, tmp_path: Path) -> None:
    proof = tmp_path / "proof"
    call = Call("execute_another_program", (str(proof),))
    worker = start(call)
    (crate,) = crate_dir.wait_for([call.task])
    assert worker.wait() == 9
    assert proof.read_text() == "it ran"
    assert crate.status == "failed"
    assert "exit status 9" in (crate.error or "")


def test_a_stopped_worker_is_not_taken_for_dead(crate_dir: CrateDir, start: Start, tmp_path: Path) -> None:
    started, release = tmp_path / "started", tmp_path / "release"
    call = Call("touch_and_wait", (str(started), str(release)))
    worker = start(call)
    wait_until(started.exists, "the task runs")
    crate_dir.wait_for_agent()
    os.kill(worker.pid, signal.SIGSTOP)
    wait_until(lambda: Path(f"/proc/{worker.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T", "stopped")
    agent = crate_dir.wait_for_agent()
    # it keeps sampling: two more seconds of its life, in which it looks for the dead at least once
    ticks = Path(f"/proc/{agent['pid']}/stat").read_text().rpartition(")")[2].split()
    wait_until(
        lambda: Path(f"/proc/{agent['pid']}/sched").exists() and _switches(agent["pid"]) > _base(agent["pid"], 30),
        "the agent ticks on",
    )
    assert ticks
    assert crate_dir.names() == []
    release.touch()
    os.kill(worker.pid, signal.SIGCONT)
    assert worker.wait() == 0
    (crate,) = crate_dir.wait_for([call.task])
    assert crate.status == "completed"


_bases: dict[int, int] = {}


def _switches(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("voluntary_ctxt_switches"):
            return int(line.split()[1])
    raise AssertionError("no count of switches")


def _base(pid: int, more: int) -> int:
    return _bases.setdefault(pid, _switches(pid)) + more


def test_a_worker_that_dies_while_no_agent_lives_is_closed_by_recover(
    crate_dir: CrateDir, start: Start, tmp_path: Path
) -> None:
    started = tmp_path / "started"
    done, call = Call("add", (1, 2)), Call("touch_and_wait", (str(started), "/nonexistent/never"))
    worker = start(done, call)
    wait_until(started.exists, "the task runs")
    agent = crate_dir.wait_for_agent()
    crate_dir.wait_for([done.task])
    os.kill(agent["pid"], signal.SIGKILL)
    worker.stop()
    wait_until(lambda: not Path(f"/proc/{agent['finaliser']}").exists(), "the finaliser ends")
    crate_dir.wait_for_end_of_agent()
    if f"{call.task}.crate" not in crate_dir.names():
        crate_dir.recover()
    (crate,) = crate_dir.wait_for([call.task])
    assert crate.status == "failed"
    assert crate.function_name == "touch_and_wait"
    # and once more does no harm
    names = crate_dir.names()
    crate_dir.recover()
    assert crate_dir.names() == names == sorted([f"{done.task}.crate", f"{call.task}.crate"])


@pytest.mark.parametrize("quick_calls_before", [0, 40])
def test_what_a_killed_task_noted_is_in_its_crate(
    crate_dir: CrateDir, start: Start, tmp_path: Path, quick_calls_before: int
) -> None:
    """Also where its start stood in the slot alone, as that of a function does that has been quick so far."""
    path = tmp_path / "input.csv"
    path.write_text("1,2\n")
    calls = [Call("annotate_and_die", (str(path), left)) for left in range(quick_calls_before, -1, -1)]
    worker = start(*calls)
    crate = crate_dir.wait_for([call.task for call in calls])[-1]
    assert worker.wait() == -signal.SIGKILL
    assert crate.status == "failed"
    text = (crate.path / "ro-crate-metadata.json").read_text()
    graph = {entity["@id"]: entity for entity in json.loads(text)["@graph"]}
    notes = {entity["name"]: entity["value"] for key, entity in graph.items() if key.startswith("#annotation-")}
    assert notes == {"model": "cubic", "api_token": "[redacted]"}
    read = [entity for key, entity in graph.items() if key.startswith("#input-file-")]
    assert [entity["sha256"] for entity in read] == [hashlib.sha256(b"1,2\n").hexdigest()]
    assert "s3cr3t" not in text
