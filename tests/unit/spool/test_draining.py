"""From the ring to the journal, whatever that takes, and whoever removes it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from prov_worker.spool.drain import drain, keep_what_is_there
from prov_worker.spool.journal import JournalReader, JournalWriter
from prov_worker.spool.records import JournalState
from prov_worker.spool.ring import Ring
from prov_worker.spool.ring_records import (
    FIRST,
    KEPT,
    NO_ID,
    OK,
    PACK_END,
    WHOLE,
)
from support.rings import TASK, end, is_drained, new_ring, opened


def writer(runtime: Path) -> JournalWriter:
    return JournalWriter(str(runtime / "crates" / ".spool" / "node.jsonl"), str(runtime / "spool" / "node.jsonl"))


def lines(path: str) -> list[dict[str, object]]:
    return list(JournalReader(path).read())


def fill(ring: Ring, tasks: int) -> None:
    ring.append(bytes((FIRST,)) + b'{"t": "worker", "v": 1}\n')
    ring.append(bytes((KEPT,)) + b'{"t": "function", "k": 1, "name": "f"}\n')
    for number in range(tasks):
        body = PACK_END.pack(
            WHOLE, OK, 0, 1, 50 + number, 60, 70, TASK.bytes, NO_ID, 1, *[0.0] * 4, *[0] * 7
        )  # fmt: skip
        ring.append(body)


def test_records_go_to_the_journal(tmp_path: Path) -> None:
    ring = new_ring(tmp_path)
    fill(ring, 1000)
    target = writer(tmp_path)
    assert drain(opened(ring), target) == 1002
    assert is_drained(ring)
    kinds = [line["t"] for line in lines(target.path)]
    assert kinds == ["worker", "function", *["start"] * 1000]


def test_lines_that_come_twice_count_once(tmp_path: Path) -> None:
    """Who drains dies between the journal and its own mark."""
    ring = new_ring(tmp_path)
    fill(ring, 10)
    first = opened(ring)
    mark = first.drained
    first.drained = lambda number: (_ for _ in ()).throw(KeyboardInterrupt)  # type: ignore[method-assign]
    target = writer(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        drain(first, target)
    first.drained = mark  # type: ignore[method-assign]
    first.close()
    drain(opened(ring), target)
    text = lines(target.path)
    assert len(text) == 24
    state = JournalState()
    ended = [end for end in map(state.feed, text) if end is not None]
    assert [end.record.start_ns for end in ended] == [50 + number for number in range(10)]
    assert state.problems == 0


def test_a_journal_that_takes_nothing_leaves_records_in_the_ring(tmp_path: Path) -> None:
    ring = new_ring(tmp_path)
    fill(ring, 10)
    (tmp_path / "crates").write_text("in the way")
    (tmp_path / "spool").write_text("in the way")
    reader, target = opened(ring), writer(tmp_path)
    with pytest.raises(NotADirectoryError):
        drain(reader, target)
    assert not is_drained(ring)
    (tmp_path / "crates").unlink()
    (tmp_path / "spool").unlink()
    drain(reader, writer(tmp_path))
    assert len(lines(target.path)) == 12
    assert is_drained(ring)


def test_a_journal_that_is_removed_is_made_again_with_what_later_lines_need(tmp_path: Path) -> None:
    ring = new_ring(tmp_path)
    fill(ring, 3)
    reader, target = opened(ring), writer(tmp_path)
    drain(reader, target)
    target.close()
    successor = writer(tmp_path)  # which has not seen the first lines
    keep_what_is_there(successor)
    os.unlink(target.path)
    ring.append(end(WHOLE, 1))
    drain(reader, successor)
    state = JournalState()
    (ended,) = [end for end in map(state.feed, lines(target.path)) if end is not None]
    assert ended.record.function.name == "f"
