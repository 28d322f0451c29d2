"""Crates for the tests of others."""

from __future__ import annotations

from pathlib import Path

import pytest

from prov_worker.crate.check import check_crate
from prov_worker.crate.reader import StepCrate
from prov_worker.model import Failure
from prov_worker.run.api import open_run
from prov_worker.testing import CrateFactory, make_run, task_id


def test_a_crate_is_one_that_the_agent_could_have_written(tmp_path: Path) -> None:
    path = CrateFactory(tmp_path).add(7, "simulate", wall_s=2.0, sampled=True)
    crate = StepCrate.open(path)
    assert list(check_crate(path)) == []
    assert (crate.task_id, crate.function_name, crate.wall_time_s) == (task_id(7), "simulate", 2.0)
    series = crate.series().task
    assert series is not None
    assert len(series.offset_s) == 40


@pytest.mark.parametrize(
    "changes, kind", [({"error": "no luck"}, "exception"), ({"failure": Failure("lost", "gone")}, "lost")]
)
def test_a_failed_attempt(tmp_path: Path, changes: dict[str, object], kind: str) -> None:
    CrateFactory(tmp_path).add(1, **changes)  # type: ignore[arg-type]
    (step,) = open_run(tmp_path).steps()
    assert (step.failed, step.failure_kind) == (True, kind)


def test_the_same_seed_makes_the_same_run(tmp_path: Path) -> None:
    documents = []
    for name in ("a", "b"):
        run = make_run(tmp_path / name, 26, nodes=1, workers=4)
        documents.append({path.parent.name: path.read_bytes() for path in run.glob("*/ro-crate-metadata.json")})
    assert documents[0] == documents[1]
    assert len(documents[0]) >= 26
