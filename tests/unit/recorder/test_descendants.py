"""What a worker reads of its descendants at the start and end of a task."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from prov_worker.processes import process_state
from prov_worker.recorder.descendants import Descendants
from prov_worker.spool.slot import LISTED, MAX_DESCENDANTS

#: At each line of its input, runs a program that burns a tenth of a second, and writes a kilobyte.
PROGRAM = """
import os, subprocess, sys
burn = "import time\\nwhile time.process_time() < 0.1: pass"
for line in sys.stdin:
    subprocess.run([sys.executable, "-S", "-c", burn])
    os.write(2, bytes(1024))
    print(flush=True)
"""


class Slot:
    """The parts of a slot that tell of descendants."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.halves = {LISTED: 1}
        self.noted: list[tuple[int, int, bool]] = []

    def descendants(self) -> list[tuple[int, int]]:
        return [(self.pid, 0)]

    def note_descendants(self, begun: list[tuple[int, int, bool]]) -> None:
        self.noted = begun[:MAX_DESCENDANTS]


@pytest.fixture
def pool() -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-c", PROGRAM]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        yield process


def work(pool: subprocess.Popen[bytes]) -> None:
    assert pool.stdin is not None
    assert pool.stdout is not None
    pool.stdin.write(b"\n")
    pool.stdin.flush()
    pool.stdout.readline()
    while process_state(pool.pid) == "R":  # it waits for the next line soon
        pass


def test_what_a_descendant_waited_for_and_wrote_is_read_at_both_ends(pool: subprocess.Popen[bytes]) -> None:
    work(pool)
    slot, descendants = Slot(pool.pid), Descendants(os.getpid())
    descendants.begin(slot)  # type: ignore[arg-type]
    work(pool)
    ((pid, begun, ended, ran, waited, waited_after, *io),) = json.loads("{" + descendants.field(slot, False)[1:] + "}")[  # type: ignore[arg-type]
        "kin"
    ]
    assert (pid, ran) == (pool.pid, 0)
    assert begun <= ended
    assert waited >= 90_000_000
    assert waited_after - waited >= 80_000_000  # in ticks
    assert io[5] - io[1] >= 1024
    assert slot.noted == [(pool.pid, begun + waited, False)]


def test_nothing_is_read_if_there_are_none() -> None:
    slot, descendants = Slot(0), Descendants(os.getpid())
    slot.halves[LISTED] = 0
    assert not descendants.are_there(slot)  # type: ignore[arg-type]
    assert descendants.field(slot, False) == ""  # type: ignore[arg-type]
