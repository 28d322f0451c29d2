"""The benchmarks run and give rows of the agreed shape. What they measure is no matter of a test."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from support.commands import run_python

ROOT = Path(__file__).parents[2]
KEYS = {"name", "value", "unit", "stock", "ratio", "target", "met", "n", "note"}


def benchmarks(*arguments: str) -> subprocess.CompletedProcess[str]:
    return run_python("-m", "benchmarks", *arguments, cwd=ROOT, timeout=450)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "names", [("noop", "assemble"), pytest.param(("crates", "start"), marks=pytest.mark.long)], ids=" ".join
)
def test_quick_benchmarks_give_rows_of_the_agreed_shape(names: tuple[str, ...], tmp_path: Path) -> None:
    only = [part for name in names for part in ("--only", name)]
    done = benchmarks("--quick", "--no-peers", "--json", "--out", str(tmp_path), *only)
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert rows == json.loads((tmp_path / "results.json").read_text())
    assert {row["group"] for row in rows} == set(names)
    for row in rows:
        assert row.keys() >= KEYS
        assert row["name"]
        assert row["met"] is None or isinstance(row["met"], bool)
        if row["group"] == "assemble" and row["value"] is None:
            continue
        assert isinstance(row["value"], float), row["note"]
        assert row["unit"]
        if row["stock"]:
            assert row["ratio"] == pytest.approx(row["value"] / row["stock"], rel=0.01, abs=0.01)
    machine = json.loads((tmp_path / "machine.json").read_text())
    assert machine["quick"] is True
    assert machine["logical_cpus"] > 0
    assert machine["took_s"].keys() == set(names)


def test_an_unknown_benchmark_is_refused_with_the_names_that_there_are() -> None:
    done = benchmarks("--only", "nonsense")
    assert done.returncode == 2
    assert "nonsense" in done.stderr
    assert "noop" in done.stderr


def test_the_list_names_every_benchmark() -> None:
    done = benchmarks("--list")
    assert done.returncode == 0
    assert {"noop", "engine", "samples", "agent", "crates", "latency", "start", "lost", "assemble"} <= {
        line.split()[0] for line in done.stdout.splitlines()
    }
