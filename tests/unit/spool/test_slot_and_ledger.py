"""The slot's page, the ledger's lines, the notes, and the names of files."""

from __future__ import annotations

import os
import struct
import threading
import uuid
from pathlib import Path

import pytest

from prov_worker.attempt import AttemptId
from prov_worker.errors import SpoolError
from prov_worker.processes import process_start
from prov_worker.spool import notes, paths
from prov_worker.spool.ledger import Ledger
from prov_worker.spool.paths import JournalName
from prov_worker.spool.ring_records import NO_ID
from prov_worker.spool.slot import MAX_DESCENDANTS, NOTE_LIMIT, OFF, SIZE, Slot
from prov_worker.spool.slot_reader import SlotReader

JOURNAL = "/spool/node-1-2.jsonl"
TASK = uuid.UUID(int=77)


@pytest.fixture
def slot(tmp_path: Path) -> Slot:
    return Slot(str(tmp_path / "slot.1"), 4711, 0, 99, 0.25, JOURNAL)


def test_a_slot_says_what_runs(slot: Slot) -> None:
    reader = SlotReader(slot.path)
    assert (reader.pid, reader.thread, reader.start, reader.interval_s, reader.journal) == (
        4711,
        None,
        99,
        0.25,
        JOURNAL,
    )
    assert os.stat(slot.path).st_mode & 0o777 == 0o600
    before = reader.read()
    assert before is not None
    assert not before.running
    assert before.task == b""
    assert slot.begin(10, 20, 30, TASK.bytes, 2) == 1
    task = reader.read()
    assert task is not None
    assert task.running
    assert (task.start_ns, task.mono_ns, task.cpu_ns, task.task, task.attempt) == (10, 20, 30, TASK.bytes, 2)
    slot.end()
    ended = reader.read()
    assert ended is not None
    assert not ended.running
    assert (ended.sequence, ended.task) == (2, TASK.bytes)
    slot.end()
    assert reader.sequence() == 2
    reader.close()


def test_descendants_are_named_by_the_agent_and_looked_at_by_the_worker(slot: Slot) -> None:
    reader = SlotReader(slot.path)
    assert slot.descendants() == ()
    reader.list_descendants([(7, 10**12), (8, 0)])
    assert slot.descendants() == [(7, 10**12), (8, 0)]
    slot.note_descendants([(7, 2 * 10**12, True), (8, 5, False)])
    assert slot.begin(10, 20, 30, TASK.bytes, 1) == 1
    assert reader.begun_descendants(1) == {7: (2 * 10**12, True), 8: (5, False)}
    slot.end()
    slot.begin(10, 20, 30, TASK.bytes, 2)
    assert reader.begun_descendants(3) is None, "what was noted is of the task before"
    reader.list_descendants([(number, 1) for number in range(1, 100)])
    assert slot.descendants() == [(number, 1) for number in range(1, MAX_DESCENDANTS + 1)]
    slot.note_descendants([(number, 1, False) for number in range(1, 100)])
    assert slot.path
    assert reader.journal == JOURNAL
    reader.list_descendants([])
    assert slot.descendants() == ()
    reader.close()


def test_a_slot_says_that_it_was_let_go(slot: Slot) -> None:
    reader = SlotReader(slot.path)
    assert not reader.is_let_go()
    slot.let_go()
    assert reader.is_let_go()
    later = SlotReader(slot.path)
    assert (later.is_let_go(), later.thread, later.pid) == (True, None, 4711)


def test_a_slot_says_how_often_each_type_of_telemetry_is_read(slot: Slot, tmp_path: Path) -> None:
    assert SlotReader(slot.path).telemetry == (0.25,) * 8
    periods = (0.5, OFF, 0.25, 0.25, 0.25, 2.0, OFF, 1.0)
    path = str(tmp_path / "slot.2")
    Slot(path, 4711, 0, 99, 0.25, JOURNAL, periods).note(1, NO_ID, b"x" * NOTE_LIMIT)
    assert SlotReader(path).telemetry == periods
    Slot(path, 4711, 0, 99, 0.25, JOURNAL, (float("nan"), *periods[1:]))
    with pytest.raises(SpoolError, match="damaged"):
        SlotReader(path)


def test_a_task_that_never_ended_is_followed_by_the_next(slot: Slot) -> None:
    assert [slot.begin(1, 1, 1, TASK.bytes, 1) for _ in range(3)] == [1, 3, 5]


def test_acknowledgement_travels_back(slot: Slot) -> None:
    reader = SlotReader(slot.path)
    assert slot.finished() == 0
    reader.acknowledge(7)
    assert slot.finished() == 7


def test_a_note_belongs_to_one_sequence(slot: Slot) -> None:
    reader = SlotReader(slot.path)
    slot.begin(1, 2, 3, TASK.bytes, 4)
    task = reader.read()
    assert task is not None
    assert reader.note(task) is None
    more = f',"args":[{",".join(["1"] * ((NOTE_LIMIT - 10) // 2))}]'
    slot.note(7, uuid.UUID(int=5).bytes, more.encode())
    assert (
        reader.note(task)
        == f'{{"t":"start","task":"{TASK}","n":4,"ns":1,"k":7,"fid":"{uuid.UUID(int=5)}"{more}}}\n'.encode()
    )
    assert reader.journal == JOURNAL
    slot.end()
    slot.begin(1, 1, 1, TASK.bytes, 1)
    later = reader.read()
    assert later is not None
    assert reader.note(later) is None


def test_a_note_of_an_earlier_release_is_read(slot: Slot) -> None:
    sequence = slot.begin(1, 2, 3, TASK.bytes, 4)
    line = b'{"t":"start"}\n'
    with open(slot.path, "r+b") as file:
        file.seek(96)
        file.write(struct.pack("<QH", sequence, len(line)) + line)
    reader = SlotReader(slot.path)
    task = reader.read()
    assert task is not None
    assert reader.note(task) == line


def test_a_reader_never_sees_half_of_a_task(slot: Slot) -> None:
    """All fields of a task are one number here."""
    reader, stop = SlotReader(slot.path), threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            slot.begin(number, number, number, number.to_bytes(16, "little"), number)
            slot.end()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for _ in range(20_000):
            task = reader.read()
            if task is not None and task.sequence:
                seen = {task.start_ns, task.mono_ns, task.cpu_ns, task.attempt, int.from_bytes(task.task, "little")}
                assert len(seen) == 1
    finally:
        stop.set()
        thread.join()


def test_an_unseen_slot_takes_everything_and_has_no_file() -> None:
    slot = Slot.in_memory()
    slot.begin(1, 2, 3, TASK.bytes, 1)
    slot.note(1, NO_ID, b"")
    slot.end()
    assert (slot.path, slot.finished()) == ("", 0)


def test_a_path_too_long_for_the_page_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="too long"):
        Slot(str(tmp_path / "slot"), 1, 0, 1, 0.05, "/" + "x" * SIZE + ".jsonl")


@pytest.mark.parametrize("data", [b"", b"PRVSLT01", bytes(SIZE), b"OTHER" * 1000])
def test_what_is_no_slot_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "slot").write_bytes(data)
    with pytest.raises(SpoolError, match="slot"):
        SlotReader(str(tmp_path / "slot"))


def test_a_ledger_remembers_across_finalisers_and_torn_lines(tmp_path: Path) -> None:
    journal = str(tmp_path / "n-1-2.jsonl")
    first = Ledger(journal, "n-10")
    first.add(AttemptId("a", 1, 5))
    first.close()
    with open(tmp_path / "n-1-2.n-10.done", "a") as file:
        file.write("b 1 5\nnot a line\nc x 5\nd 1 -5\ne 1 5")  # the last is torn
    second = Ledger(journal, "n-11")
    assert second.has(AttemptId("a", 1, 5), verdict=False)
    assert second.has(AttemptId("b", 1, 5), verdict=False)
    assert second.has(AttemptId("d", 1, -5), verdict=False)
    assert not second.has(AttemptId("e", 1, 5), verdict=False)
    second.add(AttemptId("e", 1, 5))
    second.close()
    assert Ledger(journal, "n-12").has(AttemptId("e", 1, 5), verdict=False)
    assert len(second.paths()) == 2


def test_a_ledger_counts_when_it_was_put_away_and_forgets_nothing_recent(tmp_path: Path) -> None:
    journal = str(tmp_path / "n-1-2.jsonl")
    (tmp_path / "closed").mkdir()
    (tmp_path / "closed" / "n-1-2.n-9.done").write_text("z 1 1\n")
    ledger = Ledger(journal, "n-10")
    assert ledger.has(AttemptId("z", 1, 1), verdict=False)
    for number in range(10_000):
        ledger.add(AttemptId("t", 1, number))
    assert ledger.has(AttemptId("t", 1, 9_999), verdict=False)
    assert len(ledger._done) < 5_000
    ledger.close()
    assert Ledger(journal, "n-11").has(AttemptId("t", 1, 3), verdict=False)


@pytest.mark.parametrize(
    "name",
    [
        JournalName("node-a-1", 4, 5),
        JournalName("n", 4, 5, 6),
        JournalName("t1-t2", 1, 2, 0),
        JournalName("10.73.114.89", 4, 5, None, "0123456789ab"),
        JournalName("a~b.example", 4, 5, 0, "0123456789ab"),
        JournalName("a~b", 4, 5),
    ],
)
def test_names_of_journals_are_read_back(name: JournalName) -> None:
    assert JournalName.parse(str(name)) == name


@pytest.mark.parametrize("text", ["", "x", "a.jsonl", "n-1.jsonl", "n-x-2.jsonl", "n-1-2.done", "n-1-2.jsonl.new"])
def test_other_names_are_no_journals(text: str) -> None:
    assert JournalName.parse(text) is None


def test_a_process_is_known_by_its_id_and_its_start() -> None:
    pid = os.getpid()
    start = process_start(pid)
    assert JournalName("n", pid, start).is_alive()
    assert not JournalName("n", pid, start + 1).is_alive()


def test_a_private_directory_is_ours_alone(tmp_path: Path) -> None:
    open_to_all = tmp_path / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o755)
    assert paths.private_directory(str(open_to_all))
    assert open_to_all.stat().st_mode & 0o777 == 0o700
    open_to_all.chmod(0o720)
    assert not paths.private_directory(str(open_to_all))
    (tmp_path / "link").symlink_to(open_to_all)
    assert not paths.private_directory(str(tmp_path / "link"))
    (tmp_path / "file").touch()
    assert not paths.private_directory(str(tmp_path / "file"))
    assert not paths.private_directory(str(tmp_path / "no" / "parent"))


def test_runtime_directories_differ_by_crate_directory(tmp_path: Path) -> None:
    first, second = paths.runtime_dir(str(tmp_path / "a")), paths.runtime_dir(str(tmp_path / "b"))
    try:
        assert first != second
        assert paths.runtime_dir(str(tmp_path / "x" / ".." / "a")) == first
    finally:
        os.rmdir(first)
        os.rmdir(second)


def test_no_place_for_a_runtime_directory_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "_RUNTIME_ROOTS", (str(tmp_path / "none"),))
    with pytest.raises(SpoolError, match="no private directory"):
        paths.runtime_dir(str(tmp_path))


def test_notes_stand_beside_their_journal(tmp_path: Path) -> None:
    journal = str(tmp_path / "n-1-2.jsonl")
    good = b'{"t":"start","task":"a","n":1,"ns":5,"k":1}\n'
    notes.write_note(journal, "n-9", good)
    notes.write_note(
        journal, "n-9", b'{"t":"start","task":["a"],"n":1,"ns":5}\n{"t":"end"}\n[]\n' + b"[" * 100_000 + b"\n"
    )
    notes.write_note(journal, "n-8", good[:20])
    assert [note["task"] for note in notes.read_notes(journal)] == ["a"]
    assert {notes.journal_of(path) for path in notes.note_files(journal)} == {journal}


def test_a_verdict_does_not_stand_for_an_end(tmp_path: Path) -> None:
    journal = str(tmp_path / "n-1-2.jsonl")
    first, second = AttemptId("a", 1, 5), AttemptId("b", 1, 5)
    ledger = Ledger(journal, "other-9")
    ledger.add(first, verdict=True)
    ledger.add(second)
    ledger.close()
    for read in (ledger, Ledger(journal, "mine")):
        assert [read.has(attempt, verdict=True) for attempt in (first, second)] == [True, True]
        assert [read.has(attempt, verdict=False) for attempt in (first, second)] == [False, True]


def test_a_slot_that_was_removed_is_made_again_with_all_that_it_says(tmp_path: Path) -> None:
    path = tmp_path / "slot.1"
    slot = Slot(str(path), 1, 0, 7, 0.05, str(tmp_path / "h-1-7.jsonl"))
    slot.begin(1, 2, 3, bytes(range(16)), 4)
    slot.end()
    before = SlotReader(str(path))
    assert slot.is_there()
    path.unlink()
    assert not slot.is_there()
    slot.make_again()
    assert slot.is_there()
    assert before.is_let_go()
    after = SlotReader(str(path))
    assert not after.is_let_go()
    assert after.read() == before.read()
    assert (after.pid, after.start, after.journal, after.interval_s) == (1, 7, before.journal, 0.05)
    assert slot.begin(5, 6, 7, bytes(16), 1) == after.sequence() == before.sequence() + 1
    path.write_bytes(b"")
    os.replace(path, tmp_path / "elsewhere")
    path.write_bytes(b"")
    assert not slot.is_there(), "another file has its name"
    assert Slot.in_memory().is_there()
