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


@pytest.mark.long
@pytest.mark.faults
def test_every_crate_of_the_demo_runs_again_with_a_verdict(tmp_path: Path) -> None:
    crates, again = tmp_path / "crates", tmp_path / "again"
    demo = run_python("-m", "prov_worker", "demo", "--packed", "--json", "--crates", str(crates), timeout=280)
    assert demo.returncode == 0, demo.stdout + demo.stderr
    rows = {row["task_id"]: row["function"] for row in json.loads(demo.stdout)}
    assert len(rows) == 18
    done = run_python("-m", "prov_worker", "run", "rerun", crates, "--yes", "--json", "-o", again, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr
    answer = json.loads(done.stdout)
    assert answer["problems"] == []
    assert {step["first"]["task_id"]: step["function"] for step in answer["steps"]} == rows
    for step in answer["steps"]:
        # random content is in the files of one of them; the one that was killed is killed again
        assert step["verdict"] == ("differs" if step["function"] == "write_files" else "same"), step
        assert step["parts"]["outcome"]["verdict"] == "same", step
        assert check_crate(Path(step["crate"])) == []
