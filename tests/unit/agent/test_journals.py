"""Journals that the finaliser cannot understand: those of a later release, damaged ones, and files closed to it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import pytest

from prov_worker.agent import recover
from prov_worker.agent.tick import Death, Tick, WorkerDeath
from prov_worker.model import Failure
from prov_worker.spool.slot_reader import SlotTask
from support.spools import ELSEWHERE, NOW, Spool, end, finish, lost, new_task, start

# -- journals of a later release -------------------------------------------------------------------------------------


def later(spool: Spool, *lines: dict[str, Any], **name: Any) -> str:
    journal = spool.journal(**name)
    texts = [{"t": "worker", "v": 99, "settings": spool.settings}, *lines]
    Path(journal).write_text("".join(json.dumps(line) + "\n" for line in texts))
    return journal


def test_a_journal_of_a_later_release_is_named_and_kept_by_the_agent(spool: Spool) -> None:
    task, other, mine = new_task(), new_task(), new_task()
    journal = later(spool, start(task), end(task), start(other))
    slot = spool.slot(journal)
    slot.begin(NOW, 1000, 0, uuid.UUID(task).bytes, 1)
    before = Path(journal).read_bytes()
    finaliser = spool.finaliser()
    finaliser.take(Tick(mark_ns=5, slots=[slot.path], alive=1))
    finaliser.adopt(spool.journal(start(mine), end(mine), pid=77), Failure("unknown", "gone"))
    finaliser.work(time.monotonic() + 1)
    assert slot.finished() == 0  # nobody may take its crate for written
    running = SlotTask(1, NOW, 1000, 0, uuid.UUID(task).bytes, 1)
    death = WorkerDeath(slot.path, running, Death(signal.SIGKILL, 2000))
    finaliser.take(Tick(mark_ns=10**12, deaths=[death], alive=0))
    finish(finaliser)
    assert spool.names() == [f"{mine}.crate"]
    (problem,) = finaliser.problems
    assert problem.startswith(f"{journal}: its lines are of version 99, this release reads up to 1")
    assert Path(journal).read_bytes() == before
    assert os.path.exists(slot.path)


def test_recover_names_a_journal_of_a_later_release(spool: Spool) -> None:
    task = new_task()
    journal = later(spool, start(task))
    report = recover.recover(spool.crates)
    assert (report.finished, spool.names(), os.path.exists(journal)) == (0, [], True)
    (problem,) = report.problems
    assert problem.startswith(f"{journal}: its lines are of version 99")


def test_what_a_worker_of_a_later_release_knows_is_not_denied(spool: Spool) -> None:
    task = new_task()
    journal = later(spool, start(task), host="another-node", place=ELSEWHERE)
    finaliser = spool.finaliser()
    finaliser.adopt(spool.engine(lost(task)), Failure("unknown", "gone"))
    finish(finaliser)
    (note,) = spool.crate(task).notes
    assert note.startswith(f"The journal {journal} tells of this task and is of a later release")


# -- what cannot be read ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        bytes(range(256)),
        b'{"t":"function","k":[1]}',
        b'{"t":"end","task":"a","n":1,"ns":5,"m":1,"dur":3,"ok":1,"u":[1,"x"]}',
        b'{"t":"end","task":"a","n":1,"ns":Infinity,"m":1,"dur":3,"ok":1}',
        b'{"t":"end","task":"a","n":1,"ns":5,"m":1,"dur":3,"ok":1,"notes":7}',
        b'{"t":"notes","task":"a","n":1,"u":3}',
        b'{"t":"lately","task":"a"}',
        b'{"t":["end"],"task":"a"}',
        b"{}",
        b"[]",
    ],
    ids=lambda line: line.decode("ascii", "replace")[:40],
)
def test_a_journal_with_a_line_that_cannot_be_understood_is_named_and_stays(spool: Spool, line: bytes) -> None:
    ended, open_ = new_task(), new_task()
    journal = Path(spool.journal(start(ended), end(ended), start(open_)))
    with journal.open("ab") as file:
        file.write(line + b"\n")
    before = journal.read_bytes()
    for finished in (1, 0):
        report = recover.recover(spool.crates)
        assert report.finished == finished
        assert [problem.partition(": ")[0] for problem in report.problems] == [str(journal)]
    assert journal.read_bytes() == before
    assert spool.names() == [f"{ended}.crate"]  # the end of the other may be the very line


def test_an_ending_in_junk_is_a_line_that_cannot_be_understood(spool: Spool) -> None:
    journal = Path(spool.journal())
    journal.write_bytes(bytes(range(128, 256)) * 4)
    (problem,) = recover.recover(spool.crates).problems
    assert problem.startswith(f"{journal}: 1 line cannot be understood")
    assert journal.exists()


def test_what_a_full_disk_has_torn_and_a_dead_worker_left_is_no_damage(spool: Spool) -> None:
    first, second = new_task(), new_task()
    journal = Path(spool.journal(start(first)))
    whole = json.dumps(end(first)).encode()
    with journal.open("ab") as file:
        file.write(whole[:40] + b"\n" + whole + b"\n" + json.dumps(start(second)).encode() + b'\n{"t":"en')
    report = recover.recover(spool.crates)
    assert (report.finished, report.problems, journal.exists()) == (2, [], False)
    assert [spool.crate(task).status for task in (first, second)] == ["completed", "failed"]


@pytest.mark.parametrize("name", ["journal", "ledger", "notes"])
def test_what_may_not_be_read_is_named_and_stays(spool: Spool, name: str) -> None:
    task, other = new_task(), new_task()
    journal = Path(spool.journal(start(task), end(task), start(other)))
    paths = {
        "journal": journal,
        "ledger": journal.with_suffix(".other.done"),
        "notes": journal.with_suffix(".other.open"),
    }
    path = paths[name]
    if not path.exists():
        path.write_text("")
    mode = path.stat().st_mode
    path.chmod(0)
    command = [sys.executable, "-m", "prov_worker", "recover", str(spool.crates)]
    if os.geteuid() == 0:  # root reads everything, unless it lets that right go
        command = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *command]
    refused = subprocess.run(command, capture_output=True, text=True, check=False)
    path.chmod(mode)
    assert refused.returncode == 1, refused.stdout + refused.stderr
    assert str(path) in refused.stderr
    assert "Traceback" not in refused.stderr
    assert journal.exists()
    report = recover.recover(spool.crates)
    assert (report.problems, journal.exists()) == ([], False)
    assert sorted(spool.names()) == sorted(f"{task}.crate" for task in (task, other))
    assert spool.crate(task).status == "completed"
