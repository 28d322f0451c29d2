"""Which attempts a page shows one by one, and their details: all of a run, or the telling ones of a large one."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable
from typing import Any

from prov_worker.run.report.downsample import packed
from prov_worker.run.report.model import Row

#: A page of more attempts shows some of them one by one; its figures are of all.
MOST_ATTEMPTS = 50_000
#: So many of them.
MOST_SHOWN = 2_000
#: Attempts in one packed block of details: what the page unpacks to show one of them.
BLOCK = 100
#: Seldom enough to choose again.
_SLACK = 2 * MOST_SHOWN


class Shown:
    """Rows that a page shows one by one, with their details, as attempts come; bounded.

    Args:
        most_attempts: all are kept up to so many.
        most_shown: beyond that, so many, of at least three: a third that failed, the slowest of them, a third that took
            most memory, and those that took most time.
    """

    def __init__(self, most_attempts: int = MOST_ATTEMPTS, most_shown: int = MOST_SHOWN) -> None:
        self._most_attempts = most_attempts
        self._most_shown = most_shown
        self._attempts = 0
        self._kept: dict[str, tuple[Row, bytes]] = {}
        self._least: tuple[float, float] | None = None

    def wants(self, failed: bool, wall_s: float, rss_bytes: int | None) -> bool:
        """Return whether the next attempt may be among those that are shown."""
        self._attempts += 1
        if self._attempts <= self._most_attempts:
            return True
        if self._least is None:
            self._choose()
        least_wall_s, least_rss_bytes = self._least or (0.0, 0.0)
        return failed or wall_s > least_wall_s or (rss_bytes or 0) > least_rss_bytes

    def add(self, row: Row, details: dict[str, Any]) -> None:
        """Take a row, with what the page shows of it beside."""
        text = json.dumps(details, separators=(",", ":"), allow_nan=False)
        self._kept[row.key] = row, zlib.compress(text.encode(), 1)
        if self._least is not None and len(self._kept) > _SLACK + self._most_shown:
            self._choose()

    def done(self) -> tuple[list[Row], list[str]]:
        """Return the rows by start, which know their places, and the packed blocks of their details."""
        if self._attempts > self._most_attempts:
            self._choose()
        kept = sorted(self._kept.values(), key=lambda entry: (entry[0].start_ns, entry[0].key))
        blocks: list[str] = []
        for first in range(0, len(kept), BLOCK):
            some = kept[first : first + BLOCK]
            for place, (row, _) in enumerate(some):
                row.block, row.place = len(blocks), place
            blocks.append(packed([json.loads(zlib.decompress(data)) for _, data in some]))
        return [row for row, _ in kept], blocks

    def _choose(self) -> None:
        rows = [row for row, _ in self._kept.values()]
        slowest = sorted(rows, key=lambda row: (-row.wall_s, row.key))
        largest = sorted(rows, key=lambda row: (-(row.rss_bytes or 0), row.key))
        share = self._most_shown // 3
        chosen: dict[str, Row] = {}
        for some, most in (
            ((row for row in slowest if row.failed), share),
            (largest, 2 * share),
            (slowest, self._most_shown),
        ):
            _fill(chosen, some, most)
        # What enters from now on is among the first of one of these orders.
        last = min(share, len(rows)) - 1
        self._least = slowest[last].wall_s, float(largest[last].rss_bytes or 0)
        self._kept = {key: self._kept[key] for key in chosen}


def _fill(chosen: dict[str, Row], rows: Iterable[Row], most: int) -> None:
    for row in rows:
        if len(chosen) >= most:
            return
        chosen[row.key] = row
