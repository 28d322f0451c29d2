"""Output files of a task whose sandbox is taken away or changed as soon as its result is there."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

import pytest
import workloads

from conftest import LIMIT_S
from prov_worker.crate.reader import StepCrate
from prov_worker.globus.embedded import EmbeddedEndpoint


def outputs_of(crate: StepCrate) -> dict[str, dict[str, Any]]:
    return {str(entity["value"]): entity for key, entity in crate.entities.items() if key.startswith("#output-file-")}


@pytest.fixture
def endpoint(tmp_path: Path, request: pytest.FixtureRequest) -> Any:
    settings = {"crate_dir": str(tmp_path / "crates"), "plots": "none", **request.param}
    with EmbeddedEndpoint(workers=1, provenance=settings, run_in_sandbox=True, run_dir=tmp_path / "run") as started:
        yield started


def crate_of(endpoint: Any, tmp_path: Path, task: Any, wait_for: Any) -> StepCrate:
    path = tmp_path / "crates" / f"{task}.crate"
    wait_for(path.exists, "the crate")
    return StepCrate.open(path)


@pytest.mark.parametrize("endpoint", [{"capture_outputs": "at_end"}], indirect=True)
def test_files_that_are_taken_away_with_the_result_are_all_listed(endpoint: Any, tmp_path: Path, wait_for: Any) -> None:
    for _ in range(3):
        future = endpoint.submit(workloads.make_files, 3, 0.0)
        shutil.rmtree(future.result(LIMIT_S))
        files = outputs_of(crate_of(endpoint, tmp_path, future.task_id, wait_for))
        assert sorted(files) == ["file0", "file1", "sub/file2"]
        for entity in files.values():
            assert entity["contentSize"] == "5"
            assert entity.get("sha256") == hashlib.sha256(b"hello").hexdigest() or "taken away" in entity["description"]


@pytest.mark.parametrize("endpoint", [{}], indirect=True)
def test_files_that_were_seen_while_the_task_ran_are_listed(endpoint: Any, tmp_path: Path, wait_for: Any) -> None:
    endpoint.submit(workloads.sleep, 0).result(LIMIT_S)
    future = endpoint.submit(workloads.make_files, 3, 3.0)
    shutil.rmtree(future.result(LIMIT_S))
    files = outputs_of(crate_of(endpoint, tmp_path, future.task_id, wait_for))
    assert sorted(files) == ["file0", "file1", "sub/file2"]


@pytest.mark.parametrize("endpoint", [{}], indirect=True)
def test_a_sandbox_that_nobody_could_look_at_is_said(endpoint: Any, tmp_path: Path, wait_for: Any) -> None:
    """By the task itself, so that it is gone whenever the agent comes."""
    future = endpoint.submit(workloads.remove_sandbox)
    future.result(LIMIT_S)
    crate = crate_of(endpoint, tmp_path, future.task_id, wait_for)
    assert outputs_of(crate) == {}
    assert any("taken away" in note and "not known" in note for note in crate.notes)


@pytest.mark.parametrize("endpoint", [{"capture_outputs": "at_end"}], indirect=True)
def test_a_file_that_is_changed_with_the_result_has_no_wrong_hash(endpoint: Any, tmp_path: Path, wait_for: Any) -> None:
    future = endpoint.submit(workloads.make_files, 1, 0.0)
    path = Path(future.result(LIMIT_S)) / "file0"
    path.write_text("changed")
    (entity,) = outputs_of(crate_of(endpoint, tmp_path, future.task_id, wait_for)).values()
    assert entity["contentSize"] == "5"
    assert entity.get("sha256") == hashlib.sha256(b"hello").hexdigest() or "changed after" in entity["description"]
