"""Journals without a living writer: adopted by an agent, or finished by ``recover``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from prov_worker.agent import recover
from prov_worker.agent.journal_follower import Follower
from prov_worker.agent.orphaned_journals import adopt_orphans, slots_of
from prov_worker.agent.tick import Tick
from prov_worker.errors import InputError
from prov_worker.processes import process_start
from prov_worker.spool.journal import JournalWriter
from prov_worker.spool.ring_records import NO_ID
from support.spools import ELSEWHERE, NOW, Spool, end, finish, new_task, start


def test_orphans_are_journals_without_a_slot_and_without_a_living_process(spool: Spool) -> None:
    first, second, third = new_task(), new_task(), new_task()
    orphan = spool.journal(start(first), end(first))
    living = spool.journal(start(second), pid=os.getpid(), start=process_start(os.getpid()))
    spool.journal(start(third), host="another-node", place=ELSEWHERE)
    finaliser = spool.finaliser()
    assert adopt_orphans(finaliser, str(spool.crates), spool.runtime) == [orphan]
    finish(finaliser)
    assert spool.names() == [f"{first}.crate"]
    assert os.path.exists(living)


def test_recover_removes_what_a_killed_writer_left(spool: Spool) -> None:
    dead = subprocess.run(
        [sys.executable, "-c", "from prov_worker.crate.staging import staging_name; print(staging_name('x'))"],
        capture_output=True,
        text=True,
        check=True,
    )
    left = spool.crates / dead.stdout.strip()
    left.mkdir()
    report = recover.recover(spool.crates)
    assert (report.removed, left.exists()) == ([str(left)], False)


@pytest.mark.parametrize("noted", [False, True])
def test_recover_reads_the_slot_of_a_worker_that_died_unseen(spool: Spool, noted: bool) -> None:
    task = new_task()
    journal = spool.journal()
    slot = spool.slot(journal)
    slot.begin(NOW, 1000, 0, uuid.UUID(task).bytes, 3)
    if noted:
        slot.note(1, NO_ID, b"")
    (Path(spool.runtime) / "slot.junk").write_bytes(b"junk")
    assert list(slots_of(spool.runtime)) == [journal]
    report = recover.recover(spool.crates)
    assert (report.finished, report.skipped) == (1, [])
    crate = spool.crate(task)
    assert (crate.status, crate.attempt) == ("failed", 3)
    assert crate.function_name == ("f" if noted else "unknown")
    assert not os.path.exists(slot.path)
    assert recover.recover(spool.crates).finished == 0


def test_recover_leaves_the_living_and_the_lately_heard_of_alone(spool: Spool) -> None:
    first, second = new_task(), new_task()
    spool.journal(start(first), pid=os.getpid(), start=process_start(os.getpid()))
    spool.journal(start(second), host="another-node", place=ELSEWHERE)
    seen: list[tuple[int, int]] = []
    report = recover.recover(spool.crates, progress=lambda done, total: seen.append((done, total)))
    assert report.finished == 0
    assert len(report.skipped) == 2
    assert "is running" in "".join(report.skipped)
    assert "--take-over" in "".join(report.skipped)
    assert recover.recover(spool.crates, take_over=True).finished == 1
    assert spool.names() == [f"{second}.crate"]


def test_journals_of_another_place_are_judged_by_no_process_of_this_one(spool: Spool) -> None:
    """Whatever process has the number here; nor are names of releases that knew no places."""
    tasks = [new_task() for _ in range(3)]
    journals = [
        spool.journal(start(tasks[0]), place=ELSEWHERE),
        spool.journal(start(tasks[1]), pid=os.getpid(), place=ELSEWHERE),  # a number that is another process's here
        spool.journal(start(tasks[2]), place=""),
    ]
    for _ in range(3):
        report = recover.recover(spool.crates)
        assert (report.finished, report.problems) == (0, [])
        assert [line.partition(": ")[2][:30] for line in report.skipped] == ["written to in the last minutes"] * 3
        assert adopt_orphans(spool.finaliser(), str(spool.crates), spool.runtime) == []
    old = time.time() - 301
    for journal in journals:
        os.utime(journal, (old, old))
    finaliser = spool.finaliser()
    assert sorted(adopt_orphans(finaliser, str(spool.crates), spool.runtime)) == sorted(journals)
    finish(finaliser)
    assert sorted(spool.names()) == sorted(f"{task}.crate" for task in tasks)


def test_a_writer_that_was_taken_for_dead_has_the_last_word(spool: Spool) -> None:
    task = new_task()
    journal = Path(spool.journal(place=ELSEWHERE))
    head = journal.read_bytes()
    journal.unlink()
    writer = JournalWriter(str(journal), str(spool.crates / "fallback"))
    for line in head.splitlines(keepends=True):
        writer.remember(line)
    writer.begun = json.dumps(start(task)).encode() + b"\n"
    writer.write(writer.begun)
    old = time.time() - 3600
    os.utime(journal, (old, old))
    (reason,) = recover.recover(spool.crates).skipped
    assert reason.startswith(f"{journal}: held by its writer on ")
    assert recover.recover(spool.crates, take_over=True).finished == 1
    assert spool.crate(task).status == "failed"
    assert not journal.exists()
    writer.look()
    writer.write(json.dumps(end(task)).encode() + b"\n")
    writer.close()
    assert recover.recover(spool.crates, take_over=True).finished == 1
    crate = spool.crate(task)
    assert (crate.status, crate.function_name) == ("completed", "f")
    (note,) = crate.notes
    assert note.startswith("Before its end was known, this attempt was published as failed (unknown)")
    closed = journal.parent / "closed" / journal.name
    assert closed.read_bytes().count(head) == 2
    assert recover.recover(spool.crates, take_over=True).finished == 0


def test_a_journal_that_grows_is_not_moved(spool: Spool) -> None:
    first, second = new_task(), new_task()
    journal = Path(spool.journal(start(first), end(first)))
    follower = Follower(str(journal), None, "test")
    for ended in follower.read_all():
        follower.done(ended)
    with journal.open("ab") as file:
        file.write(json.dumps(start(second)).encode() + b"\n")
    assert not follower.put_away()
    assert journal.exists()
    assert list(follower.read_all()) == []
    assert follower.put_away()
    assert not journal.exists()


def test_an_agent_renews_the_leases_of_its_workers(spool: Spool) -> None:
    journal = spool.journal()
    slot = spool.slot(journal)
    os.utime(journal, (1, 1))
    finaliser = spool.finaliser()
    finaliser.take(Tick(mark_ns=5, slots=[slot.path], alive=1))
    finaliser.work(time.monotonic())
    assert os.stat(journal).st_mtime > 1
    finaliser.close()


def test_recover_of_no_directory_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such directory"):
        recover.recover(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    assert recover.recover(tmp_path / "empty").finished == 0
