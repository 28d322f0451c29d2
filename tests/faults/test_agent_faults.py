"""The agent dies, cannot start, or has company; results do not notice, and every crate is written in the end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from prov_worker.spool.launch import agent_lives
from support.crate_dir import CrateDir, alive, kill_together, task_series, wait_until
from support.direct import Call, Start
from support.programs import Programs


@pytest.mark.parametrize("victim", ["pid", "finaliser", "both"])
def test_the_agent_is_killed_in_the_middle_of_a_load(
    crate_dir: CrateDir, start: Start, tmp_path: Path, victim: str
) -> None:
    go = tmp_path / "end"
    calls = [Call("burn", (0.02,)) for _ in range(60)] + [Call("add", (n, n)) for n in range(60)]
    workers = [start(*calls[n::2], linger=go) for n in range(2)]
    agent = crate_dir.wait_for_agent()
    wait_until(lambda: len(crate_dir.names()) > 5, "the first crates")
    kill_together(*(agent[key] for key in (("pid", "finaliser") if victim == "both" else (victim,))))
    for worker in workers:
        wait_until(lambda w=worker: all(w.raw(n) for n in range(60)), "all results")  # type: ignore[misc]
    go.touch()
    for worker in workers:
        assert worker.wait() == 0
    crate_dir.wait_for_end_of_agent()
    crate_dir.recover()
    crates = crate_dir.wait_for([call.task for call in calls])
    assert {crate.status for crate in crates} == {"completed"}
    assert len(crate_dir.names()) == 120
    # The directory that a killed finaliser was writing is gone too.
    assert list(crate_dir.crates.glob(".tmp-*")) == []


def test_an_agent_removes_what_a_killed_writer_left(crate_dir: CrateDir, start: Start) -> None:
    code = (
        "import os; from prov_worker.crate.staging import staging_name as n; os.mkdir(n('x')); os.kill(os.getpid(), 9)"
    )
    crate_dir.crates.mkdir(exist_ok=True)
    dead = subprocess.run([sys.executable, "-c", code], cwd=crate_dir.crates, check=False)
    assert dead.returncode == -signal.SIGKILL
    assert len(list(crate_dir.crates.glob(".tmp-*"))) == 1
    call = Call("add", (1, 2))
    worker = start(call)
    crate_dir.wait_for([call.task])
    worker.wait()
    crate_dir.wait_for_end_of_agent()
    assert list(crate_dir.crates.glob(".tmp-*")) == []


def test_an_idle_agent_that_loses_its_finaliser_does_not_spin(
    crate_dir: CrateDir, start: Start, tmp_path: Path
) -> None:
    go = tmp_path / "end"
    call = Call("add", (1, 2))
    worker = start(call, linger=go)
    crate_dir.wait_for([call.task])
    agent = crate_dir.wait_for_agent()
    os.kill(agent["finaliser"], signal.SIGKILL)
    wait_until(lambda: not alive(agent["pid"]), "the sampler ends too")
    assert worker.process.poll() is None
    go.touch()
    worker.wait()


@pytest.mark.parametrize("other_half", ["pid", "finaliser"])
def test_an_agent_that_lost_a_half_is_replaced_while_its_worker_is_idle(
    crate_dir: CrateDir, start: Start, tmp_path: Path, other_half: str
) -> None:
    go = tmp_path / "end"
    call = Call("add", (1, 2))
    worker = start(call, linger=go)
    crate_dir.wait_for([call.task])
    agent = crate_dir.wait_for_agent()
    time.sleep(5.5)  # one that loses its half at once is not replaced: it would go on for ever
    os.kill(agent[other_half], signal.SIGKILL)
    second = crate_dir.wait_for_agent(other_than=agent["pid"])
    assert second["pid"] != agent["pid"]
    go.touch()
    assert worker.wait() == 0


def test_two_agents_race_and_one_serves(crate_dir: CrateDir, start: Start, tmp_path: Path) -> None:
    go = tmp_path / "end"
    call = Call("add", (1, 2))
    crate_dir.crates.mkdir()
    assert crate_dir.runtime.is_dir()
    agents = [crate_dir.start_agent() for _ in range(4)]
    try:
        worker = start(call, linger=go)
        crate_dir.wait_for([call.task])
        wait_until(lambda: sum(agent.poll() is None for agent in agents) <= 1, "one agent is left")
        assert agent_lives(str(crate_dir.runtime))
        go.touch()
        worker.wait()
        crate_dir.wait_for_end_of_agent()
    finally:
        for agent in agents:
            agent.kill()
            agent.wait()


def test_sigterm_finishes_what_ended(crate_dir: CrateDir, start: Start, tmp_path: Path) -> None:
    go = tmp_path / "end"
    calls = [Call("add", (n, n)) for n in range(200)]
    worker = start(*calls, linger=go)
    agent = crate_dir.wait_for_agent()
    wait_until(lambda: worker.raw(199), "all results")
    os.kill(agent["pid"], signal.SIGTERM)
    wait_until(lambda: not alive(agent["pid"]), "the agent ends")
    assert len(crate_dir.names()) == 200
    go.touch()
    worker.wait()


def test_sigterm_at_the_moment_the_agent_is_known_finishes_what_ended(
    crate_dir: CrateDir, start: Start, programs: Programs, tmp_path: Path
) -> None:
    """A node may be told to shut down while its agent is still loading the sampler."""
    end, stop = tmp_path / "end", tmp_path / "stop"
    crate_dir.crates.mkdir()
    code = f"""
import os, signal, time
from prov_worker.agent import main as agent
describe = agent._describe
def described(*args):
    describe(*args)
    while not os.path.exists({str(stop)!r}):
        time.sleep(0.005)
    signal.raise_signal(signal.SIGTERM)
agent._describe = described
agent.main({str(crate_dir.runtime)!r}, {str(crate_dir.crates)!r})
"""
    agent = programs.start([sys.executable, "-c", code])
    crate_dir.wait_for_agent()
    worker = start(*(Call("add", (n, n)) for n in range(20)), linger=end)
    wait_until(lambda: worker.raw(19), "all results")
    stop.touch()
    assert agent.wait(60) == 0
    assert len(crate_dir.names()) == 20
    end.touch()
    worker.wait()


def test_the_agent_survives_the_end_of_its_session_and_ends_by_itself(crate_dir: CrateDir, start: Start) -> None:
    calls = [Call("add", (1, 2)), Call("sleep", (60,))]
    worker = start(*calls, start_new_session=True)
    crate_dir.wait_for([calls[0].task])
    agent = crate_dir.wait_for_agent()
    assert os.getsid(agent["pid"]) != os.getsid(worker.pid)
    os.killpg(worker.pid, signal.SIGTERM)
    crate = crate_dir.wait_for([calls[1].task])[0]
    assert "SIGTERM" in (crate.error or "")
    worker.wait()
    wait_until(lambda: not alive(agent["pid"]) and not alive(agent["finaliser"]), "the agent ends by itself")


def test_no_child_is_left_to_the_worker(crate_dir: CrateDir, start: Start, tmp_path: Path) -> None:
    go = tmp_path / "end"
    call = Call("burn", (0.1,))
    worker = start(call, linger=go)
    crate_dir.wait_for([call.task])
    children = Path(f"/proc/{worker.pid}/task/{worker.pid}/children")
    assert children.read_text() == ""
    go.touch()
    worker.wait()


CANNOT_START = {
    "interpreter": "import sys; sys.executable = '/nonexistent/python'",
    "no_interpreter": "import sys; sys.executable = None",
    "shell": "import os\ndef no(*a, **k): raise FileNotFoundError(2, 'No such file', '/bin/sh')\nos.posix_spawn = no",
}


@pytest.mark.parametrize("why", CANNOT_START)
def test_an_agent_that_cannot_start_costs_no_result_and_recover_writes_the_crates(
    crate_dir: CrateDir, start: Start, tmp_path: Path, why: str
) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(CANNOT_START[why])
    calls = [Call("add", (n, n)) for n in range(3)] + [Call("burn", (0.1,))]
    worker = start(*calls, environment={"PYTHONPATH": _path(site)})
    assert worker.wait() == 0
    assert [worker.value(n) for n in range(3)] == [0, 2, 4]
    assert crate_dir.names() == []
    crate_dir.recover()
    crates = [crate_dir.crate(call.task) for call in calls]
    assert {crate.status for crate in crates} == {"completed"}
    assert task_series(crates[3]) is None


def test_a_quick_function_that_is_killed_while_no_agent_can_start(
    crate_dir: CrateDir, start: Start, tmp_path: Path
) -> None:
    """Its start stands in its slot alone."""
    site, go = tmp_path / "site", tmp_path / "go"
    site.mkdir()
    go.touch()
    (site / "sitecustomize.py").write_text(CANNOT_START["interpreter"])
    quick = [Call("wait_for_file", (str(go),)) for _ in range(50)]
    slow = Call("wait_for_file", (str(tmp_path / "never"),))
    worker = start(*quick, slow, environment={"PYTHONPATH": _path(site)})
    wait_until(lambda: worker.raw(49), "the quick ones")
    time.sleep(0.3)
    worker.stop()
    crate_dir.recover()
    assert len(crate_dir.names()) == 51
    crate = crate_dir.crate(slow.task)
    assert (crate.status, crate.function_name) == ("failed", "wait_for_file")
    before = crate_dir.names()
    crate_dir.recover()
    assert crate_dir.names() == before


def test_a_quick_function_that_is_killed_where_no_slot_can_be_made(
    crate_dir: CrateDir, start: Start, tmp_path: Path
) -> None:
    site, go = tmp_path / "site", tmp_path / "go"
    site.mkdir()
    go.touch()
    (site / "sitecustomize.py").write_text(
        "import os\ndef no(*a): raise OSError(28, 'No space left on device')\nos.posix_fallocate = no"
    )
    quick = [Call("wait_for_file", (str(go),)) for _ in range(50)]
    slow = Call("wait_for_file", (str(tmp_path / "never"),))
    worker = start(*quick, slow, environment={"PYTHONPATH": _path(site)})
    wait_until(lambda: worker.raw(49), "the quick ones")
    time.sleep(0.3)
    worker.stop()
    crate_dir.wait_for_end_of_agent()
    crate_dir.recover()
    (crate,) = crate_dir.wait_for([slow.task])
    assert crate.function_name == "wait_for_file"


def _path(first: Path) -> str:
    tests = Path(__file__).parents[1]
    return os.pathsep.join([str(first), str(tests.parent / "src"), str(tests)])


def test_no_private_runtime_directory_can_be_made(
    crate_dir: CrateDir, start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(
        "from prov_worker.spool import paths\npaths._RUNTIME_ROOTS = ('/nonexistent', '/proc')"
    )
    calls = [Call("add", (1, 2)), Call("burn", (0.1,)), Call("refuse", ("no",))]
    # before_result must not wait for crates that nobody can write now
    worker = start(*calls, settings={"write": "before_result"}, environment={"PYTHONPATH": _path(site)})
    assert worker.wait() == 0
    assert worker.value(0) == 3
    assert "the task is not affected" in worker.text()
    assert crate_dir.names() == []
    monkeypatch.setenv("PYTHONPATH", _path(site))
    crate_dir.recover()
    assert [crate_dir.crate(call.task).status for call in calls] == ["completed", "completed", "failed"]


def test_the_slots_memory_is_full(crate_dir: CrateDir, start: Start, tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(
        "import os\ndef no(*a): raise OSError(28, 'No space left on device')\nos.posix_fallocate = no"
    )
    call = Call("add", (1, 2))
    worker = start(call, environment={"PYTHONPATH": _path(site)}, settings={"write": "before_result"})
    assert worker.wait() == 0
    assert worker.value(0) == 3
    # On a busy machine the agent begins only now: it is the one that makes the crate then.
    crate_dir.wait_for_end_of_agent()
    crate_dir.recover()
    (crate,) = crate_dir.wait_for([call.task])
    assert crate.status == "completed"


def test_before_result_the_crate_is_complete_when_the_result_is_there(
    crate_dir: CrateDir, start: Start, tmp_path: Path
) -> None:
    calls = [Call("add", (n, n)) for n in range(20)] + [Call("burn", (0.3,)), Call("refuse", ("no",))]
    worker = start(*calls, settings={"write": "before_result"})
    seen: set[int] = set()
    while worker.process.poll() is None or len(seen) < len(calls):
        for number in range(len(calls)):
            if number not in seen and worker.raw(number) is not None:
                crate_dir.crate(calls[number].task)  # raises where it is not there, or not whole
                seen.add(number)
        assert worker.process.poll() in (None, 0)
    assert len(seen) == len(calls)


def test_before_result_with_an_agent_that_is_killed_while_it_is_waited_for(
    crate_dir: CrateDir, start: Start, tmp_path: Path
) -> None:
    calls = [Call("add", (n, n)) for n in range(40)]
    worker = start(*calls, settings={"write": "before_result"})
    agent = crate_dir.wait_for_agent()
    wait_until(lambda: worker.raw(3), "some results")
    kill_together(agent["pid"], agent["finaliser"])
    assert worker.wait(240) == 0
    assert [worker.value(n) for n in range(40)] == [2 * n for n in range(40)]
    assert {crate.status for crate in crate_dir.wait_for([call.task for call in calls])} == {"completed"}
    assert "the result is released without it" not in worker.text()


@pytest.mark.parametrize("plots", ["png", "svg"])
def test_the_plotter_is_killed_and_crates_come_all_the_same(
    crate_dir: CrateDir, start: Start, plots: str, tmp_path: Path
) -> None:
    go = tmp_path / "end"
    calls = [Call("sleep", (0.6,)) for _ in range(4)]
    worker = start(*calls, settings={"plots": plots, "plot_min_duration": 0.1}, linger=go)
    agent = crate_dir.wait_for_agent()

    def plotters() -> list[int]:
        path = Path(f"/proc/{agent['finaliser']}/task/{agent['finaliser']}/children")
        return [int(word) for word in path.read_text().split()] if path.exists() else []

    if plots == "png":
        wait_until(plotters, "a plotter")
        for pid in plotters():
            os.kill(pid, signal.SIGKILL)
    crates = crate_dir.wait_for([call.task for call in calls])
    for crate in crates:
        drawn = [file.id for file in crate.files if file.id.startswith("images/")]
        assert drawn in ([f"images/cpu_usage.{plots}"], []) or plots == "png"
        assert drawn or any("No plot was drawn" in note for note in crate.notes)
    go.touch()
    worker.wait()


def test_matplotlib_is_missing(crate_dir: CrateDir, start: Start, tmp_path: Path) -> None:
    hidden = tmp_path / "hide" / "matplotlib"
    hidden.mkdir(parents=True)
    (hidden / "__init__.py").write_text("raise ImportError('no matplotlib here')")
    call = Call("sleep", (0.8,))
    worker = start(
        Call("add", (1, 2)),
        call,
        Call("sleep", (0.1,)),
        await_agent=True,
        settings={"plots": "png", "plot_min_duration": 0.2},
        environment={"PYTHONPATH": _path(hidden.parent)},
    )
    assert worker.wait() == 0
    (crate,) = crate_dir.wait_for([call.task])
    assert crate.status == "completed"
    assert any("matplotlib is missing" in note for note in crate.notes)
    assert task_series(crate) is not None
