"""What runs now, before it is anybody's: the shared snapshot, the socket's other end, the file's directory."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from prov_worker.agent.energy_meter import EnergyMeter
from prov_worker.agent.live.snapshot import RunningTask, SharedSnapshot, Snapshot
from prov_worker.agent.live.socket import LiveSocket
from prov_worker.agent.live.taker import SnapshotTaker
from prov_worker.agent.worker_monitor import Watched
from prov_worker.attempt import AttemptId
from prov_worker.probes.energy.base import NODE
from prov_worker.processes import process_start
from prov_worker.spool.live import MAX_TASKS, SOCKET, live_files, remove_old_live_files, write_live
from prov_worker.spool.slot import Slot
from prov_worker.spool.slot_reader import SlotReader

TASK = bytes(range(16))


def test_a_snapshot_is_taken_if_it_is_asked_for_and_not_too_often() -> None:
    shared = SharedSnapshot()
    now = time.monotonic_ns()
    assert shared.read() is None
    assert not shared.is_wanted(now)
    asked_ns = shared.ask()
    assert shared.is_wanted(asked_ns)
    shared.write(Snapshot(asked_ns, [RunningTask("/slot", AttemptId("a", 1, 2), 0.5, 99.0)]))
    assert not shared.is_wanted(asked_ns + 10**9)
    snapshot = shared.read()
    assert snapshot is not None
    assert (snapshot.mono_ns, snapshot.tasks[0].cpu_percent) == (asked_ns, 99.0)
    asked_ns = shared.ask()
    assert not shared.is_wanted(asked_ns), "it has just been taken"
    assert shared.is_wanted(asked_ns + 10**9)


def test_what_does_not_fit_is_counted() -> None:
    shared = SharedSnapshot()
    tasks = [RunningTask("/slot" * 300, AttemptId(f"task {n}", 1, n), 100.0 - n) for n in range(2000)]
    for task in tasks:
        task.slot += task.attempt.task_id  # or pickle would write it once
    shared.write(Snapshot(1, list(tasks)))
    snapshot = shared.read()
    assert snapshot is not None
    assert snapshot.tasks == tasks[: len(snapshot.tasks)]
    assert snapshot.tasks
    assert snapshot.more == 2000 - len(snapshot.tasks)


def test_a_snapshot_that_is_half_written_is_not_taken_for_one() -> None:
    shared = SharedSnapshot()
    shared.write(Snapshot(1, [RunningTask("/slot", AttemptId("a", 1, 2), 0.5)]))
    shared._map[40] ^= 1
    assert shared.read() is None


def watched(directory: Path, number: int) -> tuple[Slot, Watched]:
    """A worker that is this process."""
    path, journal = directory / f"slot.{number}", directory / f"{number}.jsonl"
    slot = Slot(str(path), os.getpid(), 0, process_start(os.getpid()), 0.05, str(journal))
    slot.begin(time.time_ns(), time.monotonic_ns(), time.process_time_ns(), TASK, number)
    worker = Watched(SlotReader(str(path)))
    task = worker.slot.read()
    assert task is not None
    worker.seen = task.sequence
    worker.begin(task)
    return slot, worker


def test_use_of_cpu_is_of_the_last_second_and_not_of_the_whole_task(tmp_path: Path) -> None:
    _, worker = watched(tmp_path, 1)
    taker, start_ns = SnapshotTaker(), time.monotonic_ns()
    assert worker.current is not None
    used_ns = 0
    percent = []
    for seconds, share in ((1.0, 1.0), (2.0, 1.0), (3.0, 0.1), (3.2, 0.1), (4.0, 0.1)):
        used_ns += int(share * 1e9 * (seconds - (percent[-1][0] if percent else 0.0)))
        worker.current.rows.used_ns, worker._sampled_ns = used_ns, start_ns + int(seconds * 1e9)
        (task,) = taker.take({"a": worker}, worker._sampled_ns, lambda *_: None).tasks
        assert task.cpu_percent is not None
        percent.append((seconds, task.cpu_percent))
    assert [round(value, 0) for _, value in percent] == pytest.approx([100, 100, 10, 10, 10], abs=2)
    worker.close()


def test_the_tasks_that_run_longest_are_named_first_and_the_others_counted(tmp_path: Path) -> None:
    workers = dict(enumerate(watched(tmp_path, number)[1] for number in range(1, 4)))
    many = {f"{number} {copy}": worker for copy in range(MAX_TASKS // 2) for number, worker in workers.items()}
    snapshot = SnapshotTaker().take(many, time.monotonic_ns(), lambda *_: None)
    assert len(snapshot.tasks) == MAX_TASKS
    assert snapshot.more == len(many) - MAX_TASKS
    assert [task.elapsed_s for task in snapshot.tasks] == sorted((t.elapsed_s for t in snapshot.tasks), reverse=True)
    for worker in workers.values():
        worker.close()


def test_counters_of_energy_are_read_once_for_all_tasks(tmp_path: Path) -> None:
    stat_file = tmp_path / "stat"
    stat_file.write_text("cpu 1 2 3 4 5 6 7 8\n")
    reads = []

    class Counter:
        subject = NODE

        def read(self) -> float:
            reads.append(None)
            return 10.0 * len(reads)

        def close(self) -> None:
            pass

    meter = EnergyMeter([Counter()], str(stat_file))  # type: ignore[list-item]
    meter.tick(10**9, busy=True)
    for start_ns in (10**9, 10**9 + 1, 10**9 + 2):
        energy = meter.between(start_ns, 3 * 10**9)
        assert energy is not None
        assert energy.node_joules == pytest.approx(10.0)
    assert len(reads) == 2
    meter.close()


# -- the socket ------------------------------------------------------------------------------------------------------


@pytest.fixture
def answering(tmp_path: Path) -> Iterator[Path]:
    runtime = tmp_path / ("deep" * 30)  # a longer path than an address takes
    runtime.mkdir(0o700)
    served = LiveSocket(str(runtime), lambda: b"answer")
    yield runtime
    served.close()
    assert os.listdir(runtime) == []


def connect(directory: Path) -> bytes:
    at = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(20)
        connection.connect(f"/proc/self/fd/{at}/{SOCKET}")
        os.close(at)
        data = b""
        while chunk := connection.recv(1 << 16):
            data += chunk
    return data


def test_who_connects_is_answered_however_deep_the_directory_is(answering: Path) -> None:
    assert connect(answering) == b"answer"
    assert connect(answering) == b"answer"


def test_who_does_not_read_holds_nobody_up_for_long(tmp_path: Path) -> None:
    served = LiveSocket(str(tmp_path), lambda: b"x" * (1 << 20))
    with socket.socket(socket.AF_UNIX) as idle:
        idle.connect(str(tmp_path / SOCKET))
        assert len(connect(tmp_path)) == 1 << 20
    served.close()


def test_a_socket_that_a_killed_agent_left_is_replaced(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / SOCKET))
    served = LiveSocket(str(tmp_path), lambda: b"answer")
    assert connect(tmp_path) == b"answer"
    served.close()


def test_a_directory_that_others_may_write_to_gets_no_socket(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with pytest.raises(PermissionError, match="alone"):
        LiveSocket(str(tmp_path), lambda: b"answer")


SERVE = """
import os, sys
from prov_worker.agent.live.socket import LiveSocket
os.setuid(65534)
served = LiveSocket(".", lambda: b"answer")
print(flush=True)
sys.stdin.read()
"""


@pytest.mark.root
def test_another_user_is_told_nothing_even_root(tmp_path: Path) -> None:
    runtime = tmp_path / "runtime"
    runtime.mkdir(0o700)
    os.chown(runtime, 65534, 65534)
    command = [sys.executable, "-c", SERVE]
    with subprocess.Popen(command, cwd=runtime, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as own:
        assert own.stdout is not None
        assert own.stdout.readline() == b"\n"
        assert connect(runtime) == b""
        own.kill()


# -- the file --------------------------------------------------------------------------------------------------------


def test_a_live_file_is_replaced_whole_and_old_ones_go(tmp_path: Path) -> None:
    spool = tmp_path / ".spool"
    path = spool / "host~0123456789ab.live"
    for number in range(2):
        write_live(str(path), {"v": 1, "number": number})
    assert path.read_text() == '{"v":1,"number":1}'
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert live_files(str(tmp_path)) == [str(path)]
    remove_old_live_files(str(tmp_path))
    assert path.exists()
    os.utime(path, (1, 1))
    remove_old_live_files(str(tmp_path))
    assert os.listdir(spool) == []


def test_a_live_file_of_a_full_disk_is_as_it_was(tmp_path: Path) -> None:
    spool = tmp_path / ".spool"
    path = spool / "host~0123456789ab.live"
    write_live(str(path), {"v": 1})
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
        "from prov_worker.spool.live import write_live\n"
        "write_live(sys.argv[1], {'v': 'x' * 1000})"
    )
    refused = subprocess.run([sys.executable, "-c", code, path], check=False, capture_output=True, text=True)
    assert "OSError" in refused.stderr
    assert path.read_text() == '{"v":1}'
    assert os.listdir(spool) == [path.name]


def test_no_live_file_is_written_where_a_link_leads_elsewhere(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(0o700)
    (tmp_path / ".spool").symlink_to(elsewhere)
    with pytest.raises(OSError, match=r"Not a directory|symbolic"):
        write_live(str(tmp_path / ".spool" / "host.live"), {"v": 1})
    assert os.listdir(elsewhere) == []
