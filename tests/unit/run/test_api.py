from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

import prov_worker
from prov_worker.crate.reader import StepCrate
from prov_worker.errors import CrateError, InputError
from prov_worker.run.api import open_run
from prov_worker.run.assembly.assemble import assemble
from prov_worker.run.assembly.model import Options
from prov_worker.run.index.tables import SAMPLES


def test_a_directory_and_its_run_crate_give_the_same_steps(workflow_crates: Any, tmp_path: Path) -> None:
    assemble([workflow_crates.directory], tmp_path / "R.crate", Options(name="Rainfall"))
    plain, sealed = open_run(workflow_crates.directory), open_run(tmp_path / "R.crate")
    assert (plain.name, sealed.name) == ("crates", "Rainfall")
    assert (plain.is_run_crate, sealed.is_run_crate) == (False, True)
    first, other = list(plain.steps()), list(sealed.steps())
    for step in (*first, *other):
        step.crate = ""
    assert first == other
    assert list(plain.links()) == list(sealed.links())


def test_facts_are_those_of_the_crate(workflow_crates: Any) -> None:
    for step in open_run(workflow_crates.directory).steps():
        crate = StepCrate.open(step.crate)
        assert (step.task_id, step.attempt, step.status) == (crate.task_id, crate.attempt, crate.status)
        assert (step.function, step.host, step.endpoint_id) == (crate.function_name, crate.host, crate.endpoint_id)
        assert (step.error, step.wall_s) == (crate.error, crate.wall_time_s)
        assert step.failed == (step.failure_kind == "exception")
        assert (step.node_cpus, step.cpus_allowed, step.endpoint_name) == (64, 2, "laptop")
        assert step.node_memory_bytes == 512 << 30
        assert step.versions["python"] == "3.11.7"
        assert step.worker == f"{crate.host}/{step.pid}"


def test_series_and_hardware_from_directories_and_zips(workflow_crates: Any, tmp_path: Path) -> None:
    crate = sorted(workflow_crates.directory.iterdir())[0]
    (tmp_path / "zips").mkdir()
    with zipfile.ZipFile(tmp_path / "zips" / f"{crate.name}.zip", "w") as archive:
        for path in crate.rglob("*"):
            archive.write(path, path.relative_to(crate))
    for directory in (workflow_crates.directory, tmp_path / "zips"):
        run = open_run(directory)
        step = next(run.steps())
        assert step.has_series
        assert (step.samples, step.samples_expected) == (20, 20)
        series = run.series(step)
        assert series.task is not None
        assert series.task.columns["cpu_percent"].mean == [90.0] * 20
        assert run.hardware(step)["host"] == "node01"
        with pytest.raises(CrateError, match="no such file"):
            run.read(step, "data/nothing.json")


def test_values_that_were_not_recorded_are_told_apart(workflow_crates: Any) -> None:
    steps = {step.function: step for step in open_run(workflow_crates.directory).steps()}
    (table, scale) = steps["total"].arguments
    assert (table.name, table.type, table.recorded, table.size_bytes) == ("table", "str", False, 17)
    assert (scale.name, scale.value, scale.recorded) == ("scale", 2, True)
    assert [file.path for file in steps["total"].files] in (["part-0.csv"], ["part-1.csv"])


def test_data_frames(workflow_crates: Any) -> None:
    pytest.importorskip("pandas")
    run = prov_worker.open_run(workflow_crates.directory)
    tasks = run.tasks()
    assert len(tasks) == 6
    assert str(tasks["start"].dt.tz) == "UTC"
    assert list(run.failures()["error"]) == ["ValueError: not there yet", "ValueError: nothing to merge"]
    joined = run.arguments().merge(tasks, on="crate", suffixes=("", "_task"))
    assert set(joined[joined["name"] == "scale"]["function"]) == {"total"}
    assert sorted(run.files()[run.files()["role"] == "generated"]["path"])[-2:] == ["part-0.csv", "part-1.csv"]


def test_a_series_as_a_data_frame(workflow_crates: Any) -> None:
    pytest.importorskip("pandas")
    run = open_run(workflow_crates.directory)
    frame = run.series_frame(next(run.steps()))
    assert list(frame.columns) == list(SAMPLES)
    cpu = frame[frame["quantity"] == "cpu_percent"]
    assert (len(cpu), cpu["mean"].mean(), cpu["time"].is_monotonic_increasing) == (20, 90.0, True)


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such run"):
        open_run(tmp_path / "nothing")
    assert list(open_run(tmp_path).steps()) == []


def test_one_crate_is_a_run_of_one(workflow_crates: Any) -> None:
    crate = sorted(workflow_crates.directory.iterdir())[0]
    assert [step.crate for step in open_run(crate).steps()] == [str(crate)]


def test_a_crate_that_vanishes_is_told(workflow_crates: Any) -> None:
    run = open_run(workflow_crates.directory)
    step = next(run.steps())
    shutil.rmtree(step.crate)
    with pytest.raises(CrateError, match="no such|no readable"):
        run.series(step)


def test_importing_the_package_loads_nothing_of_runs() -> None:
    code = "import sys, prov_worker; assert not [m for m in sys.modules if m.startswith('prov_worker.')], sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
