"""The ring: what is written comes out once and in order, whoever dies meanwhile and however little room there is."""

from __future__ import annotations

import json
import os
import random
import signal
import threading
import uuid
from pathlib import Path

import pytest

from prov_worker.errors import SpoolError
from prov_worker.spool import ring as ring_module
from prov_worker.spool.drain import drain, keep_what_is_there, open_held
from prov_worker.spool.journal import JournalReader, JournalWriter
from prov_worker.spool.records import JournalState
from prov_worker.spool.ring import Ring
from prov_worker.spool.ring_format import DEFAULT_LIMIT, RINGS
from prov_worker.spool.ring_reader import RingReader, journal_name_of, rings_of
from prov_worker.spool.ring_records import (
    BLOCKS,
    BRIEF,
    CHILDREN,
    END,
    FIRST,
    KEPT,
    LINE,
    NO_ID,
    NONE,
    OK,
    PACK_END,
    PACK_SHORT,
    PACK_START,
    SHORT,
    START,
    WHOLE,
    brief,
    line_of,
)
from support.commands import run_python

TASK = uuid.UUID(int=77)
FUNCTION = uuid.UUID(int=78)
MANY = 1 << 30


def new_ring(runtime: Path, limit: int = DEFAULT_LIMIT) -> Ring:
    return Ring(str(runtime), f"{runtime}/crates/.spool/node.one~0123456789ab-1-2.jsonl", os.getpid(), 0, 2, limit)


def opened(ring: Ring) -> RingReader:
    reader = open_held(ring.path)
    assert reader is not None
    return reader


def bodies(reader: RingReader) -> list[bytes]:
    """All that is there, drained."""
    taken = []
    while records := reader.read(1 << 16):
        taken += [body for _, body in records]
        reader.drained(records[-1][0])
    return taken


def is_drained(ring: Ring) -> bool:
    return RingReader(ring.path).read(1) == []


def numbered(count: int, begin: int = 0, size: int = 150) -> list[bytes]:
    return [b"\1" + str(number).encode().ljust(size) for number in range(begin, begin + count)]


def files(runtime: Path) -> list[str]:
    return os.listdir(runtime / RINGS)


def writer(runtime: Path) -> JournalWriter:
    return JournalWriter(str(runtime / "crates" / ".spool" / "node.jsonl"), str(runtime / "spool" / "node.jsonl"))


def lines(path: str) -> list[dict[str, object]]:
    return list(JournalReader(path).read())


# -- records ---------------------------------------------------------------------------------------------------------


def test_records_come_out_in_order_and_once(tmp_path: Path) -> None:
    ring = new_ring(tmp_path)
    reader = opened(ring)
    assert reader.is_fresh
    assert bodies(reader) == []
    for body in numbered(3):
        assert ring.append(body)
    assert not is_drained(ring)
    assert reader.has_next()
    first = reader.read(MANY)
    assert first == reader.read(MANY)  # as nobody said that they are drained
    assert [body for _, body in first] == numbered(3)
    assert [number for number, _ in first] == [first[0][0] + n for n in range(3)]
    reader.drained(first[1][0])
    assert bodies(reader) == numbered(3)[2:]
    assert is_drained(ring)
    assert not reader.has_next()
    assert not reader.is_fresh


def test_a_ring_that_is_drained_in_time_never_grows(tmp_path: Path) -> None:
    ring = new_ring(tmp_path)
    reader = opened(ring)
    taken: list[bytes] = []
    for body in numbered(20_000):
        assert ring.append(body)
        if len(taken) < 20_000 and random.Random(body).random() < 0.01:
            taken += bodies(reader)
    taken += bodies(reader)
    assert taken == numbered(20_000)
    assert files(tmp_path) == [os.path.basename(ring.path)]


def test_a_ring_that_nobody_drains_grows_to_its_limit_and_shrinks_when_somebody_does(tmp_path: Path) -> None:
    ring = new_ring(tmp_path, limit=4 << 20)
    count = 0
    while ring.append(numbered(1, count)[0]):
        count += 1
    assert (3 << 20) / 176 < count < (4 << 20) / 168
    more = 0
    while ring.append(numbered(1, count + more)[0], brief=True):
        more += 1
    assert more > (1 << 20) / 200 - 800
    assert not ring.append(numbered(1)[0], brief=True)
    ring.count_unrecorded()
    total = sum(os.stat(tmp_path / RINGS / name).st_size for name in files(tmp_path))
    assert total <= 5 << 20
    reader = opened(ring)
    assert reader.unrecorded == 1
    assert bodies(reader) == numbered(count + more)
    assert len(files(tmp_path)) <= 2  # its own, and the one that is written to
    for body in numbered(2000):
        assert ring.append(body)
    assert bodies(reader) == numbered(2000)
    assert len(files(tmp_path)) <= 2


@pytest.mark.parametrize("size", [2, 7, 40, 84, 150, 1000, 70_000])
def test_a_task_whose_start_has_space_has_space_for_its_end(tmp_path: Path, size: int) -> None:
    ring = new_ring(tmp_path, limit=1 << 20)
    count = 0
    while ring.append(numbered(1, count, size)[0], brief=True):
        count += 1
    end = brief(PACK_SHORT.pack(SHORT, OK, 0, 1, 2, 3, 4, TASK.bytes, FUNCTION.bytes, 5))
    ends = 0
    while ring.append(end, brief=True, last=True):
        ends += 1
    assert ends > 0
    assert not ring.append(numbered(1, count, size)[0], brief=True)
    reader = opened(ring)
    assert bodies(reader) == [*numbered(count, 0, size), *[end] * ends]
    assert ring.append(end)
    assert bodies(reader) == [end]
    ring.close()
    assert not ring.append(end, brief=True, last=True)


def test_the_limit_is_that_of_all_rings_of_a_node(tmp_path: Path) -> None:
    rings = [new_ring(tmp_path, limit=2 << 20) for _ in range(4)]
    count = sum(1 for _ in iter(lambda: any(ring.append(numbered(1)[0]) for ring in rings), False))
    assert (1 << 20) / 176 < count < (2 << 20) / 168


def test_a_record_of_any_size(tmp_path: Path) -> None:
    ring = new_ring(tmp_path)
    reader = opened(ring)
    sizes = [1, 7, 8, 9, 60_000, 63_000, 70_000, 1 << 20, 5, 3 << 20, 100]
    for round_number in range(3):
        for size in sizes:
            assert ring.append(b"\1" * size)
            if round_number == 1:
                assert [len(body) for body in bodies(reader)] == [size]
        if round_number != 1:
            assert [len(body) for body in bodies(reader)] == sizes


def test_an_interrupted_record_costs_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal's handler of the task may raise anywhere."""
    ring = new_ring(tmp_path)
    reader = opened(ring)
    before, later = numbered(2)
    checksum, calls = ring_module.crc32, 0

    def interrupted(data: bytes) -> int:
        nonlocal calls
        calls += 1
        if calls == 1:
            assert ring.append(later)  # the handler annotates the task, and then
            raise TimeoutError
        return checksum(data)

    assert ring.append(before)
    monkeypatch.setattr(ring_module, "crc32", interrupted)
    with pytest.raises(TimeoutError):
        ring.append(b"\1" * 1000)
    monkeypatch.undo()
    assert ring.append(before)
    taken = bodies(reader)
    assert [body for body in taken if body.strip(b"\0")] == [before, later, before]
    assert line_of(taken[1], 5) == b""


def test_a_reader_beside_a_writer(tmp_path: Path) -> None:
    ring = new_ring(tmp_path)
    reader = opened(ring)
    written = numbered(30_000, size=60)
    thread = threading.Thread(target=lambda: [ring.append(body) for body in written])
    thread.start()
    taken: list[bytes] = []
    while thread.is_alive():
        taken += bodies(reader)
    assert taken + bodies(reader) == written


# -- who writes, and who reads ---------------------------------------------------------------------------------------


def test_a_forked_child_writes_nothing_to_its_parents_ring(tmp_path: Path) -> None:
    ring = new_ring(tmp_path)
    reader = opened(ring)
    assert ring.append(numbered(1)[0])
    child = os.fork()
    if child == 0:
        status = 1
        try:
            status = 2 if ring.append(numbered(1, 7)[0]) else 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert ring.append(numbered(1, 1)[0])
    assert bodies(reader) == numbered(2)


def test_what_a_killed_process_wrote_is_there(tmp_path: Path) -> None:
    code = f"""
import os
from prov_worker.spool.ring import Ring
ring = Ring({str(tmp_path)!r}, {str(tmp_path)!r} + "/node-1-2.jsonl", os.getpid(), 0, 2, 1 << 24)
for number in range(3000):
    ring.append(b"\\1" + str(number).encode().ljust(150))
os.kill(os.getpid(), 9)
"""
    done = run_python("-c", code)
    assert done.returncode == -signal.SIGKILL
    (path,) = rings_of(str(tmp_path))
    assert journal_name_of(path) == "node-1-2.jsonl"
    reader = open_held(path)
    assert reader is not None
    assert bodies(reader) == numbered(3000)
    reader.remove()
    assert files(tmp_path) == []


def test_one_process_drains_a_ring(tmp_path: Path) -> None:
    ring = new_ring(tmp_path)
    reader = opened(ring)
    assert open_held(ring.path) is None
    reader.close()
    opened(ring).close()


@pytest.mark.parametrize("at", [0, 1, 700, 1500, 2999])
def test_a_successor_goes_on_where_the_one_before_was(tmp_path: Path, at: int) -> None:
    ring = new_ring(tmp_path)
    for body in numbered(3000):
        ring.append(body)
    reader = opened(ring)
    records = reader.read(MANY)
    if at:
        reader.drained(records[at - 1][0])
    reader.close()
    assert bodies(opened(ring)) == numbered(3000)[at:]


def test_a_ring_that_was_removed_is_known_as_such_and_gives_what_was_not_drained(tmp_path: Path) -> None:
    ring = new_ring(tmp_path)
    reader = opened(ring)
    for body in numbered(500):
        ring.append(body)
    records = reader.read(MANY)
    reader.drained(records[99][0])
    assert ring.is_there()
    os.unlink(ring.path)
    assert not ring.is_there()
    assert ring.undrained() == numbered(500)[100:]
    ring.abandon()
    assert not ring.append(b"\1")


def test_rings_of_one_journal_have_growing_numbers(tmp_path: Path) -> None:
    numbers = []
    for _ in range(3):
        ring = new_ring(tmp_path)
        ring.append(b"\1")
        numbers.append(opened(ring).read(MANY)[0][0])
        ring.close()
    assert sorted(numbers) == numbers
    assert [journal_name_of(path) for path in rings_of(str(tmp_path))] == ["node.one~0123456789ab-1-2.jsonl"] * 3


def test_no_ring_of_any_content_does_worse_than_an_error(tmp_path: Path) -> None:
    rng = random.Random(11)
    ring = new_ring(tmp_path)
    for body in numbered(2000):
        ring.append(body)
    good = Path(ring.path).read_bytes()
    refused = 0
    for number in range(300):
        data = bytearray(good)
        for _ in range(rng.choice([1, 3, 50])):
            data[rng.choice([rng.randrange(200), rng.randrange(4000, 6000), rng.randrange(len(data))])] = rng.randrange(
                256
            )
        path = tmp_path / RINGS / f"x-{number}-1.{number:016x}.ring"
        path.write_bytes(data)
        try:
            reader = RingReader(str(path))
        except SpoolError:
            refused += 1
            continue
        try:
            bodies(reader)
        except SpoolError:
            refused += 1
        reader.close()
    assert refused > 100
    for content in (b"", b"PRVRNG01", bytes(len(good))):
        path.write_bytes(content)
        with pytest.raises(SpoolError):
            RingReader(str(path))


def test_there_must_be_room_for_a_ring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    ring = new_ring(tmp_path)
    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match="No space"):
        new_ring(tmp_path)
    assert files(tmp_path) == [os.path.basename(ring.path)]
    count = sum(1 for _ in iter(lambda: ring.append(numbered(1)[0]), False))
    assert count > 600
    assert bodies(opened(ring)) == numbered(1) * count
    assert ring.append(numbered(1)[0])  # there is room again in what it has


# -- lines -----------------------------------------------------------------------------------------------------------


def end(kind: int, number: int = 0, function: bytes = NO_ID, flags: int = OK | CHILDREN | BLOCKS) -> bytes:
    numbers = (0.25, 0.125, 1.0, 2.0, 1000, 1, 2, 3, 4, 5, 6)
    return PACK_END.pack(kind, flags, 0, 3, 50, 60, 70, TASK.bytes, function, number, *numbers)


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


# -- from the ring to the journal ------------------------------------------------------------------------------------


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
