"""Tasks of an endpoint, counted from its journals."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from prov_worker.fleet.endpoint import ManagedEndpoint
from prov_worker.fleet.fleetfile import Fleet
from prov_worker.fleet.task_counts import Counts, Tally
from prov_worker.model import host_name
from prov_worker.processes import process_start
from prov_worker.spool.paths import place_of

ENDPOINT = "5d9f8a52-3b1c-4f0e-8a44-0d2f4a6f1c01"


def start(task: str, ns: int, n: int = 1) -> dict[str, Any]:
    return {"t": "start", "task": task, "n": n, "ns": ns}


def end(task: str, ns: int, *, ok: bool = True, n: int = 1) -> dict[str, Any]:
    error = None if ok else {"kind": "raised", "message": "no"}
    return {"t": "end", "task": task, "n": n, "ns": ns, "dur": 5, "ok": ok, "err": error}


def journal(directory: Path, name: str, *lines: dict[str, Any], endpoint: str = ENDPOINT) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    worker = {"t": "worker", "v": 1, "endpoint_name": f"uep.{endpoint}.1"}
    path = directory / f"{name}.jsonl"
    with path.open("a") as file:
        for line in (worker, *lines):
            file.write(json.dumps(line) + "\n")
    return path


def test_each_task_counts_once_by_its_last_execution(fleet: Fleet, endpoint: Path) -> None:
    spool = fleet.user_dir / "provenance" / f"uep.{ENDPOINT}.1" / ".spool"
    here = f"{host_name()}~{place_of(None)}"
    mine = f"{here}-{os.getpid()}-{process_start(os.getpid())}"
    living = journal(spool, mine, start("a", 1), end("a", 1), start("b", 2), end("b", 2, ok=False), start("c", 3))
    dead = f"{here}-{os.getpid()}-1"
    journal(spool, dead, start("d", 4), start("b", 9), end("b", 9, n=2))
    journal(spool / "closed", f"{host_name()}-4-4", start("e", 5), start("a", 0))
    journal(spool, f"{host_name()}-5-5", start("f", 6), end("f", 6), endpoint="another")
    tally, folder = Tally(), ManagedEndpoint(fleet.endpoints[0])
    # a and b done (b at the second try), d and e begun by workers that are gone, c under way, f another's
    assert tally.count(folder) == Counts(completed=2, failed=2, running=1)

    # What is new is read; a journal that is put away is the same journal.
    with living.open("a") as file:
        file.write(json.dumps(end("c", 3)) + "\n")
    assert tally.count(folder) == Counts(completed=3, failed=2, running=0)
    living.rename(spool / "closed" / living.name)
    assert tally.count(folder) == Counts(completed=3, failed=2, running=0)
    assert Tally().count(folder) == Counts(completed=3, failed=2, running=0)


def test_a_journal_of_a_later_release_is_named(fleet: Fleet, endpoint: Path) -> None:
    spool = fleet.user_dir / "provenance" / f"uep.{ENDPOINT}.1" / ".spool"
    journal(spool, f"{host_name()}-4-4", start("a", 1), end("a", 1))
    newer = spool / f"{host_name()}-5-5.jsonl"
    newer.write_text("".join(json.dumps(line) + "\n" for line in ({"t": "worker", "v": 2}, start("b", 2))))
    counts = Tally().count(ManagedEndpoint(fleet.endpoints[0]))
    assert (counts.completed, counts.running) == (1, 0)
    (reason,) = counts.unread
    assert reason.startswith(f"{newer}: its lines are of version 2, this release reads up to 1")


def test_an_endpoint_that_never_started(fleet: Fleet) -> None:
    assert Tally().count(ManagedEndpoint(fleet.endpoints[1])) == Counts()
