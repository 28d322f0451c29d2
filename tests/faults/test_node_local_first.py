"""Records are in the node's memory first: tasks wait for no file system; whoever dies, nothing is lost or doubled."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections import Counter
from pathlib import Path

import pytest

from prov_worker.locks import lock, open_lock
from prov_worker.spool import launch
from prov_worker.spool.paths import SLOT_PREFIX
from prov_worker.spool.ring_format import RINGS
from prov_worker.spool.ring_reader import RingReader, rings_of
from support.commands import run_program, run_python
from support.crate_dir import CrateDir, alive, kill_together, task_series, wait_until
from support.direct import TESTS, Call, DirectWorker, Start
from support.freezable import Freezable


def once(crate_dir: CrateDir, calls: list[Call]) -> None:
    """Each call has one crate, and its end is in the journal."""
    crates = crate_dir.wait_for([call.task for call in calls])
    assert {crate.status for crate in crates} == {"completed"}
    assert sorted(crate_dir.names()) == sorted(f"{call.task}.crate" for call in calls)


def without_agent(tmp_path: Path, code: str) -> dict[str, str]:
    """An environment in which code runs before all else."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(code)
    return {"PYTHONPATH": os.pathsep.join([str(site), str(TESTS.parent / "src"), str(TESTS)])}


NO_INTERPRETER = "import sys; sys.executable = '/nonexistent/python'"


# -- a file system that does not answer ------------------------------------------------------------------------------


def test_tasks_wait_for_no_frozen_file_system(
    crate_dir: CrateDir, start: Start, freezable: Freezable, tmp_path: Path
) -> None:
    frozen, end = tmp_path / "frozen", tmp_path / "end"
    calls = [Call("add", (1, 2)), Call("wait_for_file", (str(frozen),)), Call("burn", (0.6,))]
    calls += [Call("add", (n, n)) for n in range(300)]
    worker = start(*calls, linger=end, await_agent=True)
    crate_dir.wait_for([calls[0].task])
    freezable.freeze()
    frozen.touch()
    wait_until(lambda: worker.raw(len(calls) - 1), "all results, while the file system is frozen")
    later = [Call("add", (n, n)) for n in range(20)]
    other = start(*later, linger=end)  # one that begins now
    wait_until(lambda: other.raw(19), "the results of a worker that began meanwhile")
    assert freezable.frozen
    assert [worker.value(number + 3) for number in range(300)] == [2 * number for number in range(300)]
    freezable.thaw()
    once(crate_dir, calls + later)
    series = task_series(crate_dir.crate(calls[2].task))
    assert series is not None  # it was sampled all the same
    assert len(series) > 3
    end.touch()
    assert [worker.wait(), other.wait()] == [0, 0]
    crate_dir.wait_for_end_of_agent()
    assert crate_dir.journals(closed=False) == []


def test_a_successor_samples_beside_an_agent_that_hangs(
    crate_dir: CrateDir, start: Start, freezable: Freezable, tmp_path: Path
) -> None:
    frozen, killed, end = tmp_path / "frozen", tmp_path / "killed", tmp_path / "end"
    calls = [Call("add", (1, 2)), Call("wait_for_file", (str(frozen),)), *(Call("add", (n, n)) for n in range(50))]
    calls += [Call("wait_for_file", (str(killed),)), *(Call("add", (n, n)) for n in range(50)), Call("burn", (0.5,))]
    worker = start(*calls, linger=end, await_agent=True)
    agent = crate_dir.wait_for_agent()
    freezable.freeze()
    frozen.touch()
    wait_until(lambda: worker.raw(51), "results while it is frozen")
    os.kill(agent["pid"], signal.SIGKILL)
    wait_until(lambda: not launch.agent_lives(str(crate_dir.runtime)), "the lock is free")
    assert launch.ensure_agent(str(crate_dir.runtime), str(crate_dir.crates))
    second = crate_dir.wait_for_agent(other_than=agent["pid"])
    killed.touch()
    wait_until(lambda: worker.raw(len(calls) - 1), "all results")
    assert freezable.frozen
    assert alive(second["pid"])
    freezable.thaw()
    once(crate_dir, calls)
    end.touch()
    assert worker.wait() == 0


# -- who dies --------------------------------------------------------------------------------------------------------


def test_recover_finds_what_a_killed_worker_recorded_that_nobody_drained(
    crate_dir: CrateDir, start: Start, tmp_path: Path
) -> None:
    calls = [Call("add", (n, n)) for n in range(100)]
    worker = start(*calls, Call("kill_self", (9,)), environment=without_agent(tmp_path, NO_INTERPRETER))
    assert worker.wait() == -signal.SIGKILL
    assert crate_dir.journals() == []  # the file system of the crates has not been touched
    (ring,) = rings_of(str(crate_dir.runtime))
    assert not RingReader(ring).is_closed
    crate_dir.recover()
    assert Counter(crate_dir.crate(name.removesuffix(".crate")).status for name in crate_dir.names()) == {
        "completed": 100,
        "failed": 1,
    }
    assert list((crate_dir.runtime / RINGS).iterdir()) == []
    before = crate_dir.names()
    crate_dir.recover()
    assert crate_dir.names() == before


def test_an_agent_that_is_killed_again_and_again_loses_and_doubles_nothing(
    crate_dir: CrateDir, start: Start, tmp_path: Path
) -> None:
    end = tmp_path / "end"
    calls = [Call("add" if n % 10 else "sleep", (n, n) if n % 10 else (0.02,)) for n in range(400)]
    workers = [start(*calls[n::2], linger=end) for n in range(2)]
    agent = crate_dir.wait_for_agent()
    for _ in range(3):
        kill_together(agent["pid"], agent["finaliser"])
        wait_until(lambda: not launch.agent_lives(str(crate_dir.runtime)), "the lock is free")
        launch.ensure_agent(str(crate_dir.runtime), str(crate_dir.crates))
        agent = crate_dir.wait_for_agent(other_than=agent["pid"])
    for worker in workers:
        wait_until(lambda w=worker: w.raw(199), "all results")  # type: ignore[misc]
    once(crate_dir, calls)
    end.touch()
    assert [worker.wait() for worker in workers] == [0, 0]


@pytest.mark.parametrize("agent", ["lives", "killed"])
def test_a_log_out_takes_the_files_in_memory_from_tasks_that_run(
    crate_dir: CrateDir, start: Start, tmp_path: Path, agent: str
) -> None:
    """As systemd-logind does with RemoveIPC: all of a user's in /dev/shm, whoever has it open (logind.conf(5))."""
    removed, end = tmp_path / "removed", tmp_path / "end"
    calls = []
    for _ in range(2):
        calls.append([Call("add", (n, n)) for n in range(20)])
        calls[-1] += [Call("wait_for_file", (str(removed),)), *(Call("add", (n, n)) for n in range(20))]
        calls[-1] += [Call("sleep", (1.5,)), *(Call("add", (n, n)) for n in range(20))]
    workers = [start(*each, linger=end, await_agent=True) for each in calls]
    wait_until(lambda: all(worker.raw(19) for worker in workers), "the first results")
    crate_dir.wait_for([each[19].task for each in calls])
    first = crate_dir.wait_for_agent()
    if agent == "killed":
        kill_together(first["pid"], first["finaliser"])
    shutil.rmtree(crate_dir.runtime)
    removed.touch()
    for worker in workers:
        wait_until(lambda w=worker: w.raw(len(calls[0]) - 1), "all results")  # type: ignore[misc]
    once(crate_dir, [call for each in calls for call in each])
    wait_until(lambda: launch.agent_lives(str(crate_dir.runtime)), "an agent serves the directory that was made again")
    slots = {name for name in os.listdir(crate_dir.runtime) if name.startswith(SLOT_PREFIX)}
    assert slots == {f"{SLOT_PREFIX}{worker.process.pid}" for worker in workers}
    end.touch()
    assert [worker.wait() for worker in workers] == [0, 0]
    crate_dir.wait_for_end_of_agent()
    assert crate_dir.journals(closed=False) == []


# -- little room, and other releases ---------------------------------------------------------------------------------


def test_memory_that_is_too_small_for_a_ring_is_passed_over(
    crate_dir: CrateDir, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    small = 'mount -t tmpfs -o size=100k none /dev/shm && exec "$@"'
    prefix = ["unshare", "--mount", "sh", "-c", small, "sh"]
    if run_program(*prefix, "true").returncode != 0:
        pytest.skip("a name space of mounts needs root")
    calls = [Call("add", (n, n)) for n in range(30)]
    elsewhere = tmp_path / "memory"
    elsewhere.mkdir()
    environment = {"TMPDIR": str(elsewhere)}
    worker = DirectWorker(tmp_path, calls, crate_dir.crates, prefix=prefix, environment=environment)
    request.addfinalizer(worker.stop)
    assert worker.wait() == 0
    assert [worker.value(number) for number in range(30)] == [2 * number for number in range(30)]
    once(crate_dir, calls)
    assert "/dev/shm" in worker.text()


def test_an_agent_of_a_release_without_rings_gets_its_journals(
    crate_dir: CrateDir, start: Start, tmp_path: Path
) -> None:
    """During an upgrade: it lives, so that no other can be started, and reads journals alone."""
    held = open_lock(str(crate_dir.runtime / launch.LOCK))
    assert lock(held)
    (crate_dir.runtime / "agent.json").write_text(json.dumps({"pid": os.getpid(), "version": "0.1.0"}))
    calls = [Call("add", (n, n)) for n in range(30)]
    try:
        worker = start(*calls)
        assert worker.wait() == 0
        ended = {line["task"] for line in crate_dir.lines() if "dur" in line}
        assert ended == {call.task for call in calls}
        assert rings_of(str(crate_dir.runtime)) == []
    finally:
        os.close(held)
        (crate_dir.runtime / "agent.json").unlink()
    crate_dir.recover()
    once(crate_dir, calls)


@pytest.mark.parametrize("quick_calls", [3, 1000], ids=["starts of few", "starts of all"])
def test_tasks_that_find_no_room_are_counted_and_recover_says_so(
    crate_dir: CrateDir, start: Start, tmp_path: Path, quick_calls: int
) -> None:
    environment = without_agent(tmp_path, NO_INTERPRETER)
    code = f"""
from prov_worker.spool import ring
ring.Ring._more = lambda *_: None
from prov_worker.recorder import recorder
recorder._QUICK_CALLS = {quick_calls}
"""
    (tmp_path / "site" / "sitecustomize.py").write_text(NO_INTERPRETER + code)
    calls = [Call("add", (n, n)) for n in range(500)]
    worker = start(*calls, environment=environment)
    assert worker.wait() == 0
    assert worker.value(499) == 998
    done = crate_dir.recover(check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "left no record" in done.stdout + done.stderr
    missing = 500 - len(crate_dir.names())
    assert missing > 0
    assert f"{missing} tasks left no record" in done.stdout + done.stderr
    assert crate_dir.recover(check=False).returncode == 0


def test_the_peak_of_a_tasks_memory_is_not_moved_by_the_ring(tmp_path: Path) -> None:
    code = f"""
import os, resource
from prov_worker.spool.ring import Ring
ring = Ring({str(tmp_path)!r}, {str(tmp_path)!r} + "/n-1-2.jsonl", os.getpid(), 0, 2, 64 << 20)
body = bytes(150)
for _ in range(2000):
    assert ring.append(body)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for _ in range(60_000):
    assert ring.append(body)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    done = run_python("-c", code, check=True)
    assert int(done.stdout) <= 256
    assert sum(path.stat().st_size for path in (tmp_path / RINGS).iterdir()) >= 10 << 20
