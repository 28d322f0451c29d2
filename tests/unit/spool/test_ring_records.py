"""Records of a ring as lines of a journal."""

from __future__ import annotations

import json

from prov_worker.spool.records import JournalState
from prov_worker.spool.ring_records import (
    BRIEF,
    END,
    LINE,
    NO_ID,
    NONE,
    OK,
    PACK_SHORT,
    PACK_START,
    SHORT,
    START,
    WHOLE,
    brief,
    line_of,
)
from support.rings import FUNCTION, TASK, end


def test_lines_are_those_that_a_journal_has() -> None:
    assert line_of(bytes((LINE,)) + b'{"t":"notes"}\n', 9) == b'{"t":"notes","q":9}\n'
    start = PACK_START.pack(START, 0, 0, 3, 50, TASK.bytes, FUNCTION.bytes, 4) + b',"args":[]'
    begun = {"t": "start", "task": str(TASK), "n": 3, "ns": 50, "k": 4, "fid": str(FUNCTION), "args": []}
    assert json.loads(line_of(start, None)) == begun
    used = [250_000, 125_000, 1_000_000, 2_000_000, 0, 1000, 0, 1, 2, 3, 4, 5, 6]
    ended = {"m": 60, "dur": 70, "ok": 1, "u": used}
    assert json.loads(line_of(end(END), 7)) == {"t": "end", "task": str(TASK), "n": 3, "ns": 50, **ended, "q": 7}
    whole = json.loads(line_of(end(WHOLE, 4, FUNCTION.bytes) + b',"args":[]', None))
    assert whole == begun | ended
    unknown = json.loads(line_of(end(END, flags=NONE), None))
    assert (unknown["ok"], unknown["u"][2:4], unknown["u"][11:]) == (0, [None, None], [None, None])
    assert unknown["res"][:2] == ["return", "NoneType"]
    short = json.loads(line_of(brief(end(WHOLE, 4, FUNCTION.bytes) + b',"args":[1,2]'), 8))
    assert short == {
        "t": "start", "task": str(TASK), "n": 3, "ns": 50, "k": 4, "fid": str(FUNCTION), "m": 60, "dur": 70, "ok": 1,
        "brief": 1, "q": 8,
    }  # fmt: skip
    assert len(brief(end(WHOLE))) < len(end(WHOLE)) / 1.8
    fields = (OK | NONE, 0, 3, 50, 60, 70, TASK.bytes, NO_ID, 4)
    quick = json.loads(line_of(PACK_SHORT.pack(SHORT, *fields) + b',"args":[]', None))
    assert quick.pop("res")[:2] == ["return", "NoneType"]
    assert quick == {"t": "start", "task": str(TASK), "n": 3, "ns": 50, "k": 4, "m": 60, "dur": 70, "ok": 1, "args": []}
    assert brief(end(WHOLE))[0] == BRIEF


def test_a_brief_record_becomes_a_task_that_says_so() -> None:
    state = JournalState()
    state.feed({"t": "function", "k": 4, "name": "f"})
    ended = state.feed(json.loads(line_of(brief(end(WHOLE, 4)), 1)))
    assert ended is not None
    assert (ended.record.function.name, ended.record.status, ended.record.end_ns) == ("f", "completed", 120)
    assert ended.record.usage.cpu_s is None
    assert ended.record.notes == [
        "Little of it is known: more tasks ended than there was space for in the node's memory."
    ]
