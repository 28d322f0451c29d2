"""Others read our run crates: the community's validator, rocrate and runcrate."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from prov_worker.crate.check import validate_profiles
from prov_worker.crate.validator.client import find_validator
from prov_worker.model import Value
from prov_worker.run.assembly.assemble import assemble
from prov_worker.run.assembly.model import Options
from prov_worker.run.assembly.vocabulary import PROFILE_OF_VALIDATOR, SKIPPED_CHECK
from prov_worker.testing import CrateFactory
from support.commands import run_program

DEFINITION = """
name: Rainfall
steps:
  - {name: fetch, function: read}
  - {name: fit, function: [total, merge], after: [fetch]}
groups: {first: [7a171870-b038-4174-8000-000000000000]}
"""


@pytest.fixture
def run(workflow_crates: CrateFactory, tmp_path: Path) -> Path:
    options = Options(license="https://spdx.org/licenses/CC-BY-4.0", author="https://orcid.org/0000-0002-1825-0097")
    assemble([workflow_crates.directory], tmp_path / "RUN.crate", options)
    return tmp_path / "RUN.crate"


@pytest.mark.validator
def test_run_crates_keep_requirements_and_recommendations(
    run: Path, workflow_crates: CrateFactory, crates: CrateFactory, make_crates: Any, tmp_path: Path
) -> None:
    """With failed and repeated attempts, with a definition, without files; each with its page."""
    if find_validator() is None:
        pytest.skip("no interpreter has roc-validator; set PROV_WORKER_VALIDATOR")
    definition = tmp_path / "definition.yaml"
    definition.write_text(DEFINITION)
    assemble([workflow_crates.directory], tmp_path / "defined.crate", Options(workflow=definition))
    lone = make_crates(tmp_path / "lone")
    lone.add(1, result=Value("return", "int", value=7))
    assemble([lone.directory], tmp_path / "lone.crate")
    failed = make_crates(tmp_path / "failed")
    failed.add(1, error="no")
    failed.add(2, error="lost")
    assemble([failed.directory], tmp_path / "failed.crate")
    runs = [run, *(tmp_path / f"{name}.crate" for name in ("defined", "lone", "failed"))]
    assert all((path / "ro-crate-preview.html").stat().st_size > 1000 for path in runs)
    verdicts = validate_profiles(runs, "recommended", profile=PROFILE_OF_VALIDATOR, skip_checks=[SKIPPED_CHECK])
    assert {path.name: findings for path, findings in verdicts.items() if findings} == {}


def test_rocrate_reads_the_run_and_every_crate_in_it(run: Path) -> None:
    rocrate = pytest.importorskip("rocrate.rocrate")
    import inspect

    if "load_subcrates" not in inspect.signature(rocrate.ROCrate).parameters:
        pytest.skip("this rocrate knows no crates in crates")
    crate = rocrate.ROCrate(run, load_subcrates=True)
    inside = [entity.get_crate() for entity in crate.get_entities() if hasattr(entity, "get_crate")]
    assert len(inside) == 6
    for step in inside:
        assert "CreateAction" in step.mainEntity.type
    assert crate.mainEntity.id == "workflow.json"


def test_runcrate_reports_every_attempt(run: Path) -> None:
    program = os.environ.get("PROV_TEST_RUNCRATE") or shutil.which("runcrate")
    if not program or not os.access(program, os.X_OK):
        pytest.skip("no runcrate; set PROV_TEST_RUNCRATE to the program")
    done = run_program(program, "report", str(run))
    assert done.returncode == 0, done.stderr
    blocks = done.stdout.split("action: ")[1:]
    assert sum(block.startswith("#run\n") for block in blocks) == 1
    steps = [block for block in blocks if block.startswith("steps/")]
    assert len(steps) == 6
    assert sum("step: workflow.json#main/0-read" in block for block in steps) == 3
    assert sum("2 <- workflow.json#total/input-scale" in block for block in steps) == 2
