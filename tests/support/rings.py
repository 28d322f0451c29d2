"""Rings of a test, and what is in them."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

from prov_worker.spool.drain import open_held
from prov_worker.spool.ring import Ring
from prov_worker.spool.ring_format import DEFAULT_LIMIT
from prov_worker.spool.ring_reader import RingReader
from prov_worker.spool.ring_records import BLOCKS, CHILDREN, NO_ID, OK, PACK_END

TASK = uuid.UUID(int=77)
FUNCTION = uuid.UUID(int=78)
MANY = 1 << 30


def new_ring(runtime: Path, limit: int = DEFAULT_LIMIT) -> Ring:
    return Ring(str(runtime), f"{runtime}/crates/.spool/node.one~0123456789ab-1-2.jsonl", os.getpid(), 0, 2, limit)


def opened(ring: Ring) -> RingReader:
    reader = open_held(ring.path)
    assert reader is not None
    return reader


def is_drained(ring: Ring) -> bool:
    return RingReader(ring.path).read(1) == []


def end(kind: int, number: int = 0, function: bytes = NO_ID, flags: int = OK | CHILDREN | BLOCKS) -> bytes:
    numbers = (0.25, 0.125, 1.0, 2.0, 1000, 1, 2, 3, 4, 5, 6)
    return PACK_END.pack(kind, flags, 0, 3, 50, 60, 70, TASK.bytes, function, number, *numbers)
