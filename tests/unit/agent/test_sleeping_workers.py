"""Of a worker that sleeps little is read, and nothing is missed once it runs again."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from prov_worker.agent.worker_monitor import TASK_QUANTITIES, Watched
from prov_worker.processes import process_start
from prov_worker.spool.slot import Slot
from prov_worker.spool.slot_reader import SlotReader

PROGRAM = """
import mmap, subprocess, sys
for line in sys.stdin:
    if line == "read\\n":
        open("/dev/zero", "rb").read(1 << 20)
    elif line == "grow\\n":
        pages = mmap.mmap(-1, 32 << 20)
        pages.write(bytes(32 << 20))
    elif line == "fork\\n":
        child = subprocess.Popen(["sleep", "60"])
    elif line == "wait\\n":
        child.kill()
        child.wait()
    print("done", flush=True)
"""
NAMES = [quantity.name for quantity in TASK_QUANTITIES][2:]


class Sleeper:
    """A process that does what it is told, and sleeps in between; it is watched."""

    def __init__(self, directory: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.do("begin")
        pid = self.process.pid
        slot = Slot(str(directory / "slot"), pid, 0, process_start(pid), 0.05, str(directory / "h-1-1.jsonl"))
        slot.begin(time.time_ns(), time.monotonic_ns(), 0, bytes(range(16)), 1)
        self.watched = Watched(SlotReader(slot.path))
        task = self.watched.slot.read()
        assert task is not None
        self.watched.seen = task.sequence
        self.watched.begin(task)

    def do(self, text: str) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{text}\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "done\n"

    def sample(self, count: int = 1) -> dict[str, float]:
        """Take samples; gives the last one."""
        assert self.watched.current is not None
        for _ in range(count):
            time.sleep(0.005)
            self.watched.sample(time.monotonic_ns())
        return dict(zip(NAMES, self.watched.current.rows.last(), strict=True))

    def rest(self) -> dict[str, float]:
        """Sample until its clock stands still; gives the last one."""
        until = time.monotonic() + 30
        last = self.sample()
        while self.watched.meter.cpu_ns() != self.watched._looked_cpu:
            assert time.monotonic() < until
            last = self.sample(60)
        return last


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[Sleeper]:
    sleeper = Sleeper(tmp_path)
    yield sleeper
    sleeper.process.kill()
    sleeper.process.communicate()
    sleeper.watched.close()


def test_each_look_at_one_that_sleeps_is_a_sample_of_its_own(sleeper: Sleeper) -> None:
    before = sleeper.rest()
    current = sleeper.watched.current
    assert current is not None
    row = current.rows.last()
    sleeper.watched._look_due_ns = time.monotonic_ns() + 10_000_000_000
    assert sleeper.sample(40) == before
    assert current.rows.last() is row, "it was not read again"
    end_ns = time.monotonic_ns()
    series = current.series(end_ns, 0.005)
    assert len(series) == series.taken >= 41
    assert all(later > earlier for earlier, later in zip(series.offset_s, series.offset_s[1:], strict=False))
    # Two looks that a busy machine has brought together are one sample.
    assert series.columns["cpu_percent"].mean[-30:] == [0] * 30
    assert series.columns["rss_bytes"].mean[-30:] == [before["rss_bytes"]] * 30


def test_what_it_reads_takes_and_starts_is_in_the_next_sample(sleeper: Sleeper) -> None:
    before = sleeper.rest()
    used_ns = sleeper.watched.current.rows.used_ns
    sleeper.do("read")
    after = sleeper.sample()
    assert after["read_chars"] >= before["read_chars"] + (1 << 20)
    assert sleeper.watched.current.rows.used_ns > used_ns
    sleeper.rest()
    sleeper.do("grow")
    assert sleeper.sample()["rss_bytes"] >= before["rss_bytes"] + (30 << 20)
    sleeper.rest()
    sleeper.do("fork")
    assert sleeper.sample()["children"] == 1
    assert sleeper.sample(60)["children"] == 1
    sleeper.do("wait")
    assert sleeper.sample(60)["children"] == 0


def test_one_that_dies_in_its_sleep_gives_no_sample(sleeper: Sleeper) -> None:
    sleeper.rest()
    sleeper.process.kill()
    sleeper.process.wait()
    taken = sleeper.watched.sampled_ns
    sleeper.sample(3)
    assert sleeper.watched.sampled_ns == taken
