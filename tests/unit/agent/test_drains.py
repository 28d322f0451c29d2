"""Rings are drained also while the finaliser is at a step that takes long."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from prov_worker.agent.drains import Drains
from prov_worker.spool.paths import JournalName, runtime_dir, spool_dir
from prov_worker.spool.ring import Ring
from prov_worker.spool.ring_format import DEFAULT_LIMIT
from prov_worker.spool.ring_records import LINE
from support.crate_dir import wait_until


@pytest.fixture
def rings(tmp_path: Path) -> Iterator[tuple[Drains, Ring, Path]]:
    crates = tmp_path / "crates"
    crates.mkdir()
    runtime, spool = runtime_dir(str(crates)), spool_dir(str(crates))
    os.makedirs(spool, 0o700)
    journal = os.path.join(spool, str(JournalName("h", os.getpid(), 7, None, "0123456789ab")))
    ring = Ring(runtime, journal, os.getpid(), 0, 7, DEFAULT_LIMIT)
    drains = Drains([runtime])
    yield drains, ring, Path(journal)
    drains.close()
    ring.abandon()


def put(ring: Ring, number: int) -> None:
    assert ring.append(bytes((LINE,)) + json.dumps({"t": "notes", "number": number}).encode() + b"\n")


def numbers(journal: Path) -> list[int]:
    lines = journal.read_text().splitlines() if journal.exists() else []
    return [json.loads(line)["number"] for line in lines]


def test_a_step_that_takes_long_keeps_no_record_from_the_journal(rings: tuple[Drains, Ring, Path]) -> None:
    drains, ring, journal = rings
    before = set(threading.enumerate())
    drains.begin_step()
    beside = list(set(threading.enumerate()) - before)
    assert len(beside) == 1, "a thread drains beside the step"
    for number in range(3):
        put(ring, number)
        wait_until(
            lambda n=number: len(numbers(journal)) > n or not beside[0].is_alive(), "the record, or the thread's end"
        )  # type: ignore[misc]
        assert numbers(journal) == list(range(number + 1)), "it is there, though no step has ended"
    drains.end_steps()


def test_nothing_comes_twice_from_both_threads(rings: tuple[Drains, Ring, Path]) -> None:
    drains, ring, journal = rings
    done = threading.Event()

    def write() -> None:
        for number in range(3000):
            put(ring, number)
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not done.is_set():
        drains.begin_step()
        assert drains.drain(str(journal)) is None
        drains.drain_all()
    writer.join()
    assert drains.drain(str(journal)) is None
    drains.end_steps()
    assert numbers(journal) == list(range(3000))
