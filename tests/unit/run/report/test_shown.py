"""A page of very many attempts shows the telling ones of them, and counts all."""

from __future__ import annotations

import base64
import json
import random
import re
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from prov_worker.crate.gpu_use import GpuUse
from prov_worker.run.api import open_run
from prov_worker.run.report.model import Row
from prov_worker.run.report.page import write_report
from prov_worker.run.report.shown import Shown
from prov_worker.testing import CrateFactory
from prov_worker.testing.crates import task_id

ROW = Row("", "", 1, True, False, 0, 0, 0, 0, 0, True, 0.0, None, None, None, GpuUse(0), -1, None, -1, -1)


def rows(count: int) -> list[Row]:
    generator = random.Random(7)
    return [
        replace(
            ROW,
            key=str(number),
            start_ns=number,
            wall_s=generator.random(),
            rss_bytes=generator.randrange(1 << 30),
            failed=generator.random() < 0.1,
        )
        for number in range(count)
    ]


def kept(some: list[Row], shown: Shown) -> tuple[list[Row], list[Any]]:
    for row in some:
        if shown.wants(row.failed, row.wall_s, row.rss_bytes):
            shown.add(row, {"number": row.key})
    chosen, blocks = shown.done()
    return chosen, [json.loads(zlib.decompress(base64.b64decode(block), -15)) for block in blocks]


@pytest.mark.parametrize("count", [0, 1, 99, 1000])
def test_all_are_shown_up_to_a_number(count: int) -> None:
    some = rows(count)
    chosen, blocks = kept(some, Shown(1000, 90))
    assert chosen == some
    assert [blocks[row.block][row.place] for row in chosen] == [{"number": row.key} for row in chosen]


@pytest.mark.parametrize("count", [1001, 20_000])
def test_of_more_the_failed_the_largest_and_the_slowest_are_shown(count: int) -> None:
    some = rows(count)
    chosen, blocks = kept(some, Shown(1000, 90))
    assert len(chosen) == 90
    assert [row.start_ns for row in chosen] == sorted(row.start_ns for row in chosen)
    assert [blocks[row.block][row.place] for row in chosen] == [{"number": row.key} for row in chosen]
    keys = {row.key for row in chosen}
    slowest = sorted(some, key=lambda row: -row.wall_s)
    largest = sorted(some, key=lambda row: -(row.rss_bytes or 0))
    for order in ([row for row in slowest if row.failed], largest, slowest):
        assert {row.key for row in order[:30]} <= keys


def test_the_page_says_so_and_its_figures_are_of_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    factory = CrateFactory(tmp_path / "crates")
    for number in range(12):
        factory.add(number, "fit", offset_s=number, wall_s=1.0 + number, error="no" if number < 4 else None)
    monkeypatch.setattr(Shown.__init__, "__defaults__", (10, 6))
    page = tmp_path / "page.html"
    data, summary = write_report(open_run(factory.directory), page)
    html = page.read_text(encoding="utf-8")
    assert (summary.tasks, summary.failed_tasks, len(data.rows), len(data.shown)) == (12, 4, 12, 6)
    assert "6 of 12 attempts are shown one by one" in html
    assert task_id(11) in html
    assert re.findall(r'href="#task-(\d+)"', html)
    assert max(int(place) for place in re.findall(r'href="#task-(\d+)"', html)) < 6
