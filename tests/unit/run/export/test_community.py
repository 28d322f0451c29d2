"""One zip with a page, by ro-crate-py; read back by zipfile and by the library."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rocrate.rocrate")

import prov_worker
from prov_worker.crate.check import validate_profiles
from prov_worker.crate.validator.client import find_validator
from prov_worker.run.api import open_run
from prov_worker.run.assembly.assemble import assemble
from prov_worker.run.assembly.vocabulary import PROFILE_OF_VALIDATOR, SKIPPED_CHECK
from prov_worker.run.export.community import write_ro_crate
from prov_worker.testing import CrateFactory, task_id

SEALS = {"manifest-sha256.txt", "seal.txt"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("community")
    crates = CrateFactory(directory / "crates")
    crates.add(1, "make", sampled=True)
    crates.add(2, "fail", error="no <b>luck</b>")
    assemble([directory / "crates"], directory / "run.crate")
    return directory / "run.crate"


def graph(path: Path) -> dict[str, Any]:
    with zipfile.ZipFile(path) as archive:
        document = json.loads(archive.read("ro-crate-metadata.json"))
    return {entity["@id"]: entity for entity in document["@graph"]}


def test_the_zip_has_the_run_a_page_and_no_seal(run: Path, tmp_path: Path) -> None:
    target = tmp_path / "run.zip"
    count = write_ro_crate(open_run(run), target)
    written = graph(target)
    assert len(written) == count
    original = {entity["@id"]: entity for entity in json.loads((run / "ro-crate-metadata.json").read_text())["@graph"]}
    assert set(original) - set(written) == SEALS
    assert set(written) - set(original) == set()
    with zipfile.ZipFile(target) as archive:
        assert archive.testzip() is None
        names = set(archive.namelist())
        page = archive.read("ro-crate-preview.html").decode()
    files = {str(file.relative_to(run)) for file in run.rglob("*") if file.is_file()}
    assert files - names == SEALS
    assert names - files == set()
    assert "seal.txt" not in page, "a page of the library's, not that of the run crate"
    assert "<html" in page
    assert "run.crate" in page or "run" in page
    assert len(list(open_run(target).steps())) == 2


def test_step_crates_are_assembled_first_and_tasks_can_be_chosen(run: Path, tmp_path: Path) -> None:
    write_ro_crate(open_run(run.parent / "crates"), tmp_path / "all.zip")
    write_ro_crate(open_run(run), tmp_path / "one.zip", tasks={task_id(2)})
    assert [step.function for step in open_run(tmp_path / "all.zip").steps()] == ["make", "fail"]
    assert [step.function for step in open_run(tmp_path / "one.zip").steps()] == ["fail"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["all.zip", "one.zip"], "nothing is left beside them"


@pytest.mark.validator
def test_it_is_a_valid_run_crate(run: Path, tmp_path: Path) -> None:
    if find_validator() is None:
        pytest.skip("no interpreter has roc-validator; set PROV_WORKER_VALIDATOR")
    write_ro_crate(open_run(run), tmp_path / "run.zip")
    unpacked = tmp_path / "unpacked"
    with zipfile.ZipFile(tmp_path / "run.zip") as archive:
        archive.extractall(unpacked)
    findings = validate_profiles([unpacked], "required", profile=PROFILE_OF_VALIDATOR, skip_checks=[SKIPPED_CHECK])
    assert findings == {unpacked: []}
    assert prov_worker.open_crate(unpacked).preview is not None
