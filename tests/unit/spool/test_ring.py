"""The ring: what is written comes out once and in order, whoever dies meanwhile and however little room there is."""

from __future__ import annotations

import os
import random
import signal
import threading
from pathlib import Path

import pytest

from prov_worker.errors import SpoolError
from prov_worker.spool import ring as ring_module
from prov_worker.spool.drain import open_held
from prov_worker.spool.ring_format import RINGS
from prov_worker.spool.ring_reader import RingReader, journal_name_of, rings_of
from prov_worker.spool.ring_records import (
    OK,
    PACK_SHORT,
    SHORT,
    brief,
    line_of,
)
from support.commands import run_python
from support.rings import FUNCTION, MANY, TASK, is_drained, new_ring, opened


def bodies(reader: RingReader) -> list[bytes]:
    """All that is there, drained."""
    taken = []
    while records := reader.read(1 << 16):
        taken += [body for _, body in records]
        reader.drained(records[-1][0])
    return taken


def numbered(count: int, begin: int = 0, size: int = 150) -> list[bytes]:
    return [b"\1" + str(number).encode().ljust(size) for number in range(begin, begin + count)]


def files(runtime: Path) -> list[str]:
    return os.listdir(runtime / RINGS)


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
