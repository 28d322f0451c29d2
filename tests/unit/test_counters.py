"""The table of counters: what journals of other versions say of a task, and what crates and tables make of it."""

from __future__ import annotations

import dataclasses

import pytest

from prov_worker.counters import COLUMNS, COUNTERS, Usage
from prov_worker.crate import vocabulary as v
from prov_worker.spool.records import JournalState

NUMBERS = [950_000, 20_000, 1_000_000, 0, 2048, 102_400, 1, 12, 3, 5, 7, 8, 16]


def test_the_numbers_of_a_journal_have_their_units() -> None:
    assert Usage.from_journal(NUMBERS) == Usage(
        cpu_user_s=0.95,
        cpu_system_s=0.02,
        children_cpu_user_s=1.0,
        children_cpu_system_s=0.0,
        children_peak_rss_bytes=None,  # by way of vfork(2) it may be the parent's
        peak_rss_bytes=100 << 20,
        peak_rss_exact=True,
        minor_faults=12,
        major_faults=3,
        voluntary_switches=5,
        involuntary_switches=7,
        read_bytes=4096,
        written_bytes=8192,
    )


def test_a_thread_knows_nothing_of_children() -> None:
    usage = Usage.from_journal([1, 2, None, None, 0, *NUMBERS[5:]])
    assert (usage.children_cpu_user_s, usage.children_cpu_system_s, usage.children_peak_rss_bytes) == (None,) * 3


@pytest.mark.parametrize("count", range(len(NUMBERS) + 1))
def test_a_journal_with_fewer_counters_is_read(count: int) -> None:
    """As of a version before the last ones were added."""
    full, part = Usage.from_journal(NUMBERS), Usage.from_journal(NUMBERS[:count])
    assert part.cpu_user_s == (full.cpu_user_s if count > 0 else None)
    assert part.written_bytes == (full.written_bytes if count > 12 else None)
    assert part.peak_rss_bytes == (full.peak_rss_bytes if count > 5 else None)


def test_a_journal_with_more_counters_is_read() -> None:
    positions = [each.metadata["at"] for each in dataclasses.fields(Usage) if each.metadata["at"] is not None]
    numbers = [*NUMBERS, *[1] * (len(positions) - len(NUMBERS))]
    assert Usage.from_journal([*numbers, 42, 4.2]) == Usage.from_journal(numbers)


@pytest.mark.parametrize("numbers", [[1, 2], NUMBERS, [*NUMBERS, 42], []])
def test_tasks_of_such_journals_are_closed(numbers: list[int]) -> None:
    state = JournalState()
    line = {"t": "end", "task": "a", "n": 1, "ns": 10, "m": 5, "dur": 7, "ok": 1, "u": numbers}
    ended = state.feed(line)
    assert ended is not None
    assert ended.record.usage == Usage.from_journal(numbers)
    assert state.problems == 0


def test_what_is_no_number_is_a_damaged_line() -> None:
    state = JournalState()
    line = {"t": "end", "task": "a", "n": 1, "ns": 10, "m": 5, "dur": 7, "ok": 1, "u": ["many"]}
    assert state.feed(line) is None
    assert state.problems == 1


def test_each_counter_has_a_unit_of_crates_and_says_it_in_its_name() -> None:
    assert len({counter.name for counter in COUNTERS}) == len(COUNTERS)
    for counter in COUNTERS:
        assert counter.unit in v.UNITS
        assert counter.kind in ("int", "float")
        assert counter.name.endswith("_s") == (counter.unit == "second")
    assert {"read_bytes", "written_bytes"} <= {counter.name for counter in COLUMNS} < {c.name for c in COUNTERS}
    assert set(v.COUNTER_PROPERTIES) <= {counter.name for counter in COUNTERS}


def test_totals_are_sums_or_largest() -> None:
    (read,) = [counter for counter in COUNTERS if counter.name == "read_bytes"]
    assert read.add(3, 4) == 7
    assert read._replace(total="max").add(3, 4) == 4
