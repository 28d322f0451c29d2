"""Annotations and steps outside Globus Compute: a plain Python program and the crates that it leaves."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import prov_worker
from prov_worker.crate.check import check_crate
from prov_worker.crate.summary import RunStep
from prov_worker.run.api import open_run
from support.commands import run_program

PROGRAM = """
import sys
import time
import prov_worker

prov_worker.annotate(before="any task")


@prov_worker.step
def write(path, text):
    prov_worker.annotate(lines=3, api_token="s3cr3t-s3cr3t", model="linear")
    with open(path, "w") as stream:
        stream.write(text)
    prov_worker.name_run("scan-7")
    prov_worker.generated(path)
    return len(text)


@prov_worker.step(name="read back")
def read(path):
    prov_worker.used(path)
    prov_worker.used("/nowhere/at/all")
    return len(helper(path))


@prov_worker.step
def helper(path):
    return open(path).read()


@prov_worker.step
def fail():
    raise ValueError("as meant")


assert write(sys.argv[1], "rain of a whole year") == 20
time.sleep(0.01)
assert read(sys.argv[1]) == 20
try:
    fail()
except ValueError as error:
    assert str(error) == "as meant"
else:
    raise AssertionError("the error was swallowed")
"""


def run_steps(tmp_path: Path, **environment: str) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PROV_WORKER")}
    command = [sys.executable, str(program), str(tmp_path / "data.txt")]
    done = run_program(*command, env={**kept, **environment})
    assert done.returncode == 0, done.stderr


@pytest.fixture
def steps(tmp_path: Path, crates: Path, wait_for: Callable[..., None]) -> dict[str, RunStep]:
    run_steps(tmp_path, PROV_WORKER="1", PROV_WORKER_CRATE_DIR=str(crates), PROV_WORKER_PLOTS="none")
    wait_for(lambda: len(list(crates.glob("*.crate"))) == 3, "three crates")
    return {step.function: step for step in open_run(crates).steps()}


def test_each_outer_step_leaves_a_sound_crate(steps: dict[str, RunStep]) -> None:
    assert {name: step.status for name, step in steps.items()} == {
        "write": "completed",
        "read back": "completed",
        "fail": "failed",
    }
    assert steps["fail"].error == "ValueError: as meant"
    assert all(step.function_sha256 for step in steps.values())
    for step in steps.values():
        assert [finding for finding in check_crate(step.crate) if finding.level == "error"] == []


def test_annotations_are_in_the_crate_and_secrets_are_not(steps: dict[str, RunStep]) -> None:
    assert steps["write"].annotations == {"lines": 3, "api_token": "[redacted]", "model": "linear", "run": "scan-7"}
    assert steps["read back"].annotations == {}


def test_declared_files_are_hashed_and_linked(steps: dict[str, RunStep], crates: Path, tmp_path: Path) -> None:
    (made,) = steps["write"].files
    (used,) = steps["read back"].files
    assert (made.role, made.declared, made.size_bytes) == ("generated", True, 20)
    assert (used.role, used.path, used.sha256) == ("used", str(tmp_path / "data.txt"), made.sha256)
    assert any("could not be read afterwards" in note for note in steps["read back"].notes)
    links = [(link.source, link.target, link.via) for link in open_run(crates).links()]
    assert links == [(steps["write"].key, steps["read back"].key, "declared")]


def test_nothing_is_recorded_where_recording_is_off(tmp_path: Path) -> None:
    run_steps(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data.txt", "program.py"]


def test_a_coroutine_function_is_refused() -> None:
    async def later() -> None:
        """Nothing."""

    with pytest.raises(TypeError, match="coroutine function"):
        prov_worker.step(later)


def test_a_step_keeps_name_and_documentation() -> None:
    @prov_worker.step
    def fit(table: Any) -> Any:
        """Fit."""
        return table

    assert (fit.__name__, fit.__doc__, fit("x")) == ("fit", "Fit.", "x")
