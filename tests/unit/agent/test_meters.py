"""Readings of processes and of the node, against what the process itself knows."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from prov_worker.agent.buffers import History, Quantity
from prov_worker.agent.node_meter import GpuMeters, NodeMeter
from prov_worker.agent.process_meter import ProcessMeter, exit_code, reaped_exit_code
from prov_worker.probes.gpus.base import GpuMeter, GpuSample
from support.crate_dir import wait_until

MS = 1_000_000


def test_a_process_is_read_from_outside() -> None:
    meter = ProcessMeter(os.getpid())
    before = time.process_time_ns()
    cpu, rss, io = meter.cpu_ns(), meter.rss_bytes(), meter.io()
    assert cpu is not None
    assert before <= cpu <= time.process_time_ns()
    assert rss is not None
    with open("/proc/self/statm") as file:
        now = int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    assert rss == pytest.approx(now, rel=0.2)
    assert io is not None
    with open("/proc/self/io") as file:
        assert io[0] <= int(file.readline().split()[1])
    assert meter.stat().threads == len(os.listdir("/proc/self/task"))
    meter.close()


def test_children_are_found_from_the_main_thread_and_from_others() -> None:
    meter = ProcessMeter(os.getpid())
    first = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    pids: list[int] = []
    others: list[subprocess.Popen[bytes]] = []
    ready, done = threading.Event(), threading.Event()

    def spawn() -> None:
        others.append(subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE))
        ready.set()
        done.wait(30)

    thread = threading.Thread(target=spawn)
    thread.start()
    try:
        assert ready.wait(30)
        pids = meter.children(None)
        assert {first.pid, others[0].pid} <= set(pids)
        assert others[0].pid not in meter.children(1)
    finally:
        done.set()
        thread.join()
        for process in (first, *others):
            process.kill()
            process.communicate()
    meter.close()


def test_a_process_that_is_gone_gives_nothing() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    meter = ProcessMeter(process.pid)
    process.kill()
    process.communicate()
    assert (meter.cpu_ns(), meter.rss_bytes(), meter.stat(), meter.io()) == (None, None, None, None)
    assert meter.children(None) == []
    meter.close()


def test_a_dead_process_that_nobody_waited_for_has_no_memory() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    meter = ProcessMeter(process.pid)
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert meter.rss_bytes() == 0
    process.communicate()
    meter.close()


@pytest.mark.parametrize("ending, status", [("os.kill(os.getpid(), 9)", 9), ("os._exit(3)", 3 << 8)])
def test_how_a_process_ended_can_be_told_after_it_was_waited_for(ending: str, status: int) -> None:
    """Parsl's manager waits for its workers every second: on a busy node that may come before the agent's look."""
    child = subprocess.Popen([sys.executable, "-c", f"import os; input(); {ending}"], stdin=subprocess.PIPE)
    assert child.stdin is not None
    pidfd = os.pidfd_open(child.pid)
    assert reaped_exit_code(pidfd) is None, "it runs"
    child.stdin.write(b"\n")
    child.stdin.close()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert exit_code(child.pid) == status
    child.wait()
    assert exit_code(child.pid) is None
    linux = tuple(int(number) for number in os.uname().release.split(".")[:2])
    assert reaped_exit_code(pidfd) == (status if linux >= (6, 15) else None)
    os.close(pidfd)


def test_ticks_that_come_a_little_early_or_late_are_all_readings_of_the_node() -> None:
    meter = NodeMeter(0.05)
    begin = 10**15
    for number in range(100):
        jitter = (-2 * MS, 3 * MS, 0)[number % 3]
        meter.tick(begin + number * 50 * MS + jitter)
    series = meter.history.series(begin - 50 * MS, begin + 5000 * MS)
    assert series is not None
    assert len(series) == 100


def test_a_node_is_read_no_faster_than_asked_for() -> None:
    meter = NodeMeter(0.5)
    begin = 10**15
    for number in range(100):
        meter.tick(begin + number * 50 * MS)
    series = meter.history.series(begin - 50 * MS, begin + 5000 * MS)
    assert series is not None
    assert len(series) == 10


def test_a_field_that_falls_is_no_progress(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Of iowait proc(5) says that it may decrease; idle and steal do on some kernels. The CPU is 30 % busy, always."""
    user, idle, iowait, steal = 1000, 50_000, 4000, 500
    meter = NodeMeter(0.05)
    meter._cpus = ["cpu0"]

    def times(cpus: bool) -> dict[str, list[int]]:
        path = tmp_path / "stat"
        line = f" {user} 0 0 {idle} {iowait} 0 0 {steal} 0 0\n"
        path.write_text(f"cpu {line}cpu0{line}intr 0\n")
        meter._stat = os.open(path, os.O_RDONLY)
        try:
            return NodeMeter._times(meter, cpus)
        finally:
            os.close(meter._stat)

    monkeypatch.setattr(meter, "_times", times)
    meter._before = times(True)
    meter.history = History([Quantity(name, "percent") for name in ("cpu", "memory", "cpu0")], 0.05)
    for number in range(1, 100):
        user, idle = user + 3, idle + 7
        if number % 10 == 0:
            iowait -= 9
        if number % 15 == 0:
            steal -= 20
        meter.tick(10**15 + number * 50 * MS)
    series = meter.history.series(10**15, 10**15 + 5000 * MS)
    assert series is not None
    assert set(series.columns["cpu0"].mean) == {30}
    assert set(series.columns["cpu"].mean) == {30}


class _Gpu(GpuMeter):
    """A described device; the one that tells more is gone after its first reading."""

    def __init__(self, index: int, more: tuple[tuple[str, str], ...]) -> None:
        super().__init__(index, "amd", None)
        self.more = more
        self._left = 1 if more else -1

    def read(self) -> GpuSample:
        if not self._left:
            return GpuSample()
        self._left -= 1
        return GpuSample(10.0 + self.index, 2, 3.0, 4.0, more=tuple(50.0 + n for n in range(len(self.more))))

    def close(self) -> None:
        """Nothing is open."""


def test_what_one_gpu_tells_more_is_a_column_of_its_own() -> None:
    more = (("memory_busy_percent", "percent"), ("clock_memory_megahertz", "megahertz"))
    gpus = GpuMeters(0.5, lambda: [_Gpu(0, ()), _Gpu(2, more), _Gpu(5, ())])
    try:
        wait_until(lambda: gpus.history is not None and gpus.history.last_ns > 0, "the first reading")
        history = gpus.history
        assert history is not None
        names = [quantity.name for quantity in history.quantities]
        assert len(names) == 14
        row = dict(zip(names, history.latest(), strict=True))
        assert (row["gpu2_memory_busy_percent"], row["gpu2_clock_memory_megahertz"]) == (50.0, 51.0)
        assert gpus.latest() == {n: [10.0 + n, 2.0, 3.0, 4.0] for n in (0, 2, 5)}
        first_ns = history.last_ns
        wait_until(lambda: history.last_ns > first_ns, "a reading without the device")
        assert math.isnan(gpus.latest()[2][0])
        assert gpus.latest()[5][0] == 15.0
    finally:
        gpus.close()
