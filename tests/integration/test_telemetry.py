"""Telemetry that is switched off or slowed down, through the real engine."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import functions
import pytest

from prov_worker.crate.check import check_crate, validate_profiles
from prov_worker.crate.reader import StepCrate
from prov_worker.crate.validator.client import find_validator
from prov_worker.globus.embedded import EmbeddedEndpoint

LIMIT_S = 180


def crate_of(crates: Path, telemetry: dict[str, bool | float], wait_for: Callable[..., None]) -> StepCrate:
    with EmbeddedEndpoint(workers=1, provenance={"crate_dir": str(crates), "telemetry": telemetry}) as endpoint:
        future = endpoint.submit(functions.work_for, 1.5)
        assert future.result(LIMIT_S) > 0
        path = crates / f"{future.task_id}.crate"
        wait_for(path.exists, "the crate")
    assert check_crate(path) == []
    return StepCrate.open(path)


@pytest.mark.validator
def test_crates_without_types_of_telemetry_keep_all_recommendations(
    crates: Path, wait_for: Callable[..., None]
) -> None:
    if find_validator() is None:
        pytest.skip("no interpreter has roc-validator; set PROV_WORKER_VALIDATOR")
    kinds = ("cpu", "memory", "threads", "io", "children", "node", "per_cpu", "gpu")
    paths = [
        crate_of(crates, telemetry, wait_for).path
        for telemetry in ({"cpu": False, "node": 1}, dict.fromkeys(kinds, False))
    ]
    assert validate_profiles(paths, "recommended") == {path: [] for path in paths}


def test_what_is_off_is_absent_and_what_is_slow_is_sparse(crates: Path, wait_for: Callable[..., None]) -> None:
    telemetry: dict[str, bool | float] = {"io": False, "per_cpu": False, "gpu": False, "memory": 0.5}
    crate = crate_of(crates, telemetry, wait_for)
    data = json.loads((crate.path / "data/resource_usage.json").read_text())["series"]
    assert set(data) == {"task", "node"}
    columns = data["task"]["columns"]
    assert set(columns) == {"cpu_percent", "rss_bytes", "threads", "children", "children_rss_bytes"}
    assert set(data["node"]["columns"]) == {"cpu_percent", "memory_used_bytes"}
    memory = [value for value in columns["rss_bytes"]["mean"] if value is not None]
    assert 1 <= len(memory) <= 4 < len(columns["cpu_percent"]["mean"])
    assert columns["rss_bytes"]["interval_s"] == 0.5
    metadata = (crate.path / "ro-crate-metadata.json").read_text()
    assert "each 0.5 s" in metadata
    assert "#observation-task-read" not in metadata


def test_without_cpu_the_crate_says_why_there_are_no_samples(crates: Path, wait_for: Callable[..., None]) -> None:
    crate = crate_of(crates, {"cpu": False}, wait_for)
    assert not (crate.path / "data/cpu_usage.json").exists()
    assert not (crate.path / "images").exists()
    data = json.loads((crate.path / "data/resource_usage.json").read_text())["series"]
    assert "cpu_percent" not in data["task"]["columns"]
    assert "rss_bytes" in data["task"]["columns"]
    assert "switched off" in (crate.path / "ro-crate-metadata.json").read_text()


def test_a_crate_without_any_telemetry(crates: Path, wait_for: Callable[..., None]) -> None:
    kinds = ("cpu", "memory", "threads", "io", "children", "node", "per_cpu", "gpu")
    crate = crate_of(crates, dict.fromkeys(kinds, False), wait_for)
    assert not (crate.path / "data/resource_usage.json").exists()
    assert crate.status == "completed"
