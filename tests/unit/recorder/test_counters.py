"""The recorder's counters, against what the kernel says by other ways."""

from __future__ import annotations

import dataclasses
import json
import mmap
import resource
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from prov_worker.counters import Usage
from prov_worker.recorder.counters import Counters
from prov_worker.spool.ring_records import END, NO_ID, OK, line_of


def numbers(counters: Counters) -> list[float]:
    """The ``u`` of the line that is made of the record."""
    body = counters.record(END, OK, 1, 5, 6, 7, bytes(16), NO_ID, 0)
    used: list[float] = json.loads(line_of(body, None))["u"]
    return used


def used(counters: Counters) -> Usage:
    return Usage.from_journal(numbers(counters))


def burn(seconds: float) -> None:
    start = resource.getrusage(resource.RUSAGE_THREAD).ru_utime
    while resource.getrusage(resource.RUSAGE_THREAD).ru_utime < start + seconds:
        pass


def test_each_counter_of_a_journal_is_written() -> None:
    """A counter with a position that the recorder does not write, or the other way round, fails here."""
    counters = Counters(thread=False)
    counters.begin()
    counters.end()
    positions = [each.metadata["at"] for each in dataclasses.fields(Usage) if each.metadata["at"] is not None]
    assert sorted(positions) == list(range(len(numbers(counters))))


def test_time_memory_and_faults_of_a_task(tmp_path: Path) -> None:
    counters = Counters(thread=False)
    before = resource.getrusage(resource.RUSAGE_SELF)
    began_s = counters.begin()
    assert began_s >= before.ru_utime + before.ru_stime
    burn(0.05)
    with mmap.mmap(-1, 8 << 20) as block:  # never memory that was touched before
        block[::4096] = b"x" * 2048
    counters.end()
    after = resource.getrusage(resource.RUSAGE_SELF)
    usage = used(counters)
    assert usage.cpu_user_s is not None
    assert usage.cpu_system_s is not None
    assert usage.cpu_user_s <= after.ru_utime - before.ru_utime + 1e-5
    # their sum: of a busy machine's ticks the kernel shares a process's time out otherwise than a thread's
    assert usage.cpu_user_s + usage.cpu_system_s >= 0.05
    assert usage.peak_rss_bytes is not None
    assert usage.peak_rss_bytes <= after.ru_maxrss * 1024
    assert usage.minor_faults is not None
    assert 0 < usage.minor_faults <= after.ru_minflt - before.ru_minflt
    assert (usage.children_cpu_user_s, usage.children_peak_rss_bytes) == (0.0, None)


def test_children_count_for_the_task_that_waited_for_them(tmp_path: Path) -> None:
    counters = Counters(thread=False)
    script = f"i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; dd if=/dev/zero of={tmp_path}/file bs=64K count=4"
    # between two tasks: nobody's
    subprocess.run(["sh", "-c", script], check=True, stderr=subprocess.DEVNULL)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    own = resource.getrusage(resource.RUSAGE_SELF)
    counters.begin()
    subprocess.run(["sh", "-c", script], check=True, stderr=subprocess.DEVNULL)
    counters.end()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    own_after = resource.getrusage(resource.RUSAGE_SELF)
    usage = used(counters)
    assert usage.children_cpu_user_s == pytest.approx(after.ru_utime - before.ru_utime, abs=2e-6)
    assert usage.children_cpu_system_s == pytest.approx(after.ru_stime - before.ru_stime, abs=2e-6)
    assert usage.children_cpu_user_s + usage.children_cpu_system_s > 0
    blocks = after.ru_oublock - before.ru_oublock
    assert blocks * 512 <= usage.written_bytes <= (blocks + own_after.ru_oublock - own.ru_oublock) * 512
    counters.begin()
    counters.end()
    assert used(counters).children_cpu_user_s == 0.0


def in_thread(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_a_thread_counts_its_children_if_no_other_task_runs_meanwhile() -> None:
    usages: dict[str, Usage] = {}
    begun, ended = threading.Event(), threading.Event()

    def work(name: str, inner: Callable[[], None]) -> None:
        counters = Counters(thread=True)
        counters.begin()
        inner()
        counters.end()
        usages[name] = used(counters)

    def child() -> None:
        subprocess.run(["sh", "-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done"], check=True)

    def wait() -> None:
        begun.set()
        ended.wait(60)

    in_thread(lambda: work("alone", child)).join()
    other = in_thread(lambda: work("first", wait))
    assert begun.wait(60)
    in_thread(lambda: work("second", child)).join()
    ended.set()
    other.join()
    assert usages["alone"].children_cpu_user_s is not None
    assert usages["alone"].children_cpu_user_s + (usages["alone"].children_cpu_system_s or 0) > 0
    assert usages["first"].children_cpu_user_s is None
    assert usages["second"].children_cpu_user_s is None
    assert all(usage.cpu_user_s is not None for usage in usages.values())
