"""The demo from its command line, as ``make demo`` runs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from prov_worker.crate.check import check_crate
from support.commands import run_python

FAILS = {"divide": "ZeroDivisionError", "die": "SIGKILL"}


@pytest.mark.faults
def test_every_task_of_the_demo_leaves_a_sound_crate(tmp_path: Path) -> None:
    crates = tmp_path / "crates"
    (crates / "of-another-run.crate").mkdir(parents=True)
    done = run_python(
        "-m", "prov_worker", "demo", "--quick", "--workers", "2", "--json", "--crates", str(crates), timeout=240
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rows = json.loads(done.stdout)
    assert len({row["task_id"] for row in rows}) == len(rows) == 12
    for row in rows:
        assert row["status"] == ("failed" if row["function"] in FAILS else "completed"), row
        assert FAILS.get(row["function"], "") in (row["reason"] or ""), row
        assert check_crate(Path(row["crate"])) == [], row
    busy = {row["function"]: row for row in rows}
    # What holds the GIL from beginning to end is sampled all the same.
    assert busy["sum_range"]["samples"] >= 2
    assert busy["sum_range"]["cpu_percent"] > busy["wait"]["cpu_percent"]
    assert busy["fill_memory"]["peak_rss_bytes"] > 200 << 20
