"""The recorder's counters, against what the kernel says by other ways."""

from __future__ import annotations

import dataclasses
import json
import resource
import subprocess
import threading
from pathlib import Path

from prov_worker.counters import Usage
from prov_worker.recorder.counters import Counters


def used(counters: Counters) -> Usage:
    return Usage.from_journal(json.loads("{" + counters.field() + "}")["u"])


def burn(seconds: float) -> None:
    start = resource.getrusage(resource.RUSAGE_THREAD).ru_utime
    while resource.getrusage(resource.RUSAGE_THREAD).ru_utime < start + seconds:
        pass


def test_each_counter_of_a_journal_is_written() -> None:
    """A counter with a position that the recorder does not write, or the other way round, fails here."""
    counters = Counters(thread=False)
    counters.begin()
    counters.end(children=True)
    numbers = json.loads("{" + counters.field() + "}")["u"]
    positions = [each.metadata["at"] for each in dataclasses.fields(Usage) if each.metadata["at"] is not None]
    assert sorted(positions) == list(range(len(numbers)))


def test_time_memory_and_faults_of_a_task(tmp_path: Path) -> None:
    counters = Counters(thread=False)
    before = resource.getrusage(resource.RUSAGE_SELF)
    began_s = counters.begin()
    assert began_s >= before.ru_utime + before.ru_stime
    burn(0.05)
    block = bytearray(8 << 20)
    block[::4096] = b"x" * len(block[::4096])
    counters.end(children=False)
    after = resource.getrusage(resource.RUSAGE_SELF)
    usage = used(counters)
    assert usage.cpu_user_s is not None
    assert 0.05 <= usage.cpu_user_s <= after.ru_utime - before.ru_utime + 1e-5
    assert usage.peak_rss_bytes is not None
    assert usage.peak_rss_bytes <= after.ru_maxrss * 1024
    assert usage.minor_faults is not None
    assert 0 < usage.minor_faults <= after.ru_minflt - before.ru_minflt
    assert (usage.children_cpu_user_s, usage.children_peak_rss_bytes) == (0.0, None)


def test_children_count_from_the_task_in_which_they_were_last_read() -> None:
    counters = Counters(thread=False)
    counters.begin()
    subprocess.run(["sh", "-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done"], check=True)
    counters.end(children=False)
    assert used(counters).children_cpu_user_s == 0.0, "nobody looked"
    counters.begin()
    counters.end(children=True)
    later = used(counters)
    assert later.children_cpu_user_s is not None
    assert later.children_cpu_system_s is not None
    assert later.children_cpu_user_s + later.children_cpu_system_s > 0
    counters.begin()
    counters.end(children=True)
    assert used(counters).children_cpu_user_s == 0.0


def test_a_thread_counts_itself_alone() -> None:
    usages: list[Usage] = []

    def work() -> None:
        counters = Counters(thread=True)
        counters.begin()
        counters.end(children=True)
        usages.append(used(counters))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert usages[0].children_cpu_user_s is None
    assert usages[0].cpu_user_s is not None
