"""Releases of ro-crate-py, each in an environment of its own, read and write what the product makes.

What is asked of each is what programs do that were written for it: open a directory and a zip, follow references, add a
step crate to a crate of their own as a folder, and write.
"""

from __future__ import annotations

import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from prov_worker.crate.check import check_crate
from prov_worker.crate.reader import StepCrate
from prov_worker.run.assembly.assemble import assemble
from prov_worker.testing import CrateFactory, text_value
from support.commands import run_program

#: The first release that the extra ``crate`` takes, and the last one of each later minor version.
RELEASES = ("0.13.0", "0.14.2", "0.15.1", "0.16.0")
SOURCE = Path(__file__).parents[3] / "src"

READER = """
import json, pathlib, shutil, sys, zipfile
from rocrate.rocrate import ROCrate
from rocrate.utils import as_list
from prov_worker.crate.community import open_crate
from prov_worker.run.api import open_run
from prov_worker.run.export.community import write_ro_crate

step, archive, run, target = map(pathlib.Path, sys.argv[1:5])
facts = {}
for name, path in (("directory", step), ("zip", archive)):
    crate = ROCrate(path)
    action = crate.mainEntity
    facts[name] = {
        "conforms": [getattr(profile, "id", profile) for profile in as_list(crate.metadata["conformsTo"])],
        "action": as_list(action.type),
        "function": action["instrument"]["name"],
        "usage": {usage["name"]: usage["value"] for usage in as_list(action["resourceUsage"])},
        "files": sorted(entity.id for entity in crate.data_entities),
        "entities": len(list(crate.get_entities())),
    }
# written again: by the library alone, and with the terms of the context
ROCrate(step).write(target / "plain.crate")
ROCrate(step).write_zip(target / "plain.zip")
open_crate(step).write(target / "kept.crate")
# a run of steps
crate = open_crate(run)
facts["run"] = {"main": crate.mainEntity.id, "parts": sorted(entity.id for entity in crate.data_entities)}
crate.write(target / "run.crate")
write_ro_crate(open_run(run), target / "deposit.zip")
# collected as a folder of another crate
outer = ROCrate()
outer.add_tree(source=step, dest_path="steps/one")
outer.write(target / "outer.crate")
print(json.dumps(facts))
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A step crate, its zip and a run crate."""
    top = tmp_path_factory.mktemp("made")
    crates = CrateFactory(top / "crates")
    step = crates.add(1, "read", result=text_value("return", "1890 rain"), sampled=True)
    crates.add(2, "total", offset_s=2, arguments=[text_value("table", "1890 rain")], error="no total")
    step.rename(top / "step.crate")
    with zipfile.ZipFile(top / "step.zip", "w") as archive:
        for file in sorted((top / "step.crate").rglob("*")):
            archive.write(file, file.relative_to(top / "step.crate"))
    assemble([top / "step.crate", crates.directory], top / "run.crate")
    return top


@pytest.mark.long
@pytest.mark.parametrize("release", RELEASES)
def test_a_release_reads_and_writes_step_and_run_crates(release: str, made: Path, tmp_path: Path) -> None:
    python = tmp_path / "venv" / "bin" / "python"
    run_program(sys.executable, "-m", "venv", str(tmp_path / "venv"), check=True)
    pip = (python, "-m", "pip", "--disable-pip-version-check", "--quiet", "install")
    run_program(*pip, f"rocrate=={release}", check=True)
    crates = (made / "step.crate", made / "step.zip", made / "run.crate")
    done = run_program(python, "-c", READER, *crates, tmp_path, env={"PYTHONPATH": str(SOURCE)})
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)

    before = StepCrate.open(made / "step.crate")
    assert facts["zip"] == facts["directory"]
    step = facts["directory"]
    assert "https://w3id.org/ro/crate/1.1" in step["conforms"]
    assert "CreateAction" in step["action"]
    assert step["function"] == "read"
    assert step["usage"]
    assert step["files"] == sorted(file.id for file in before.files)
    assert step["entities"] == len(before.entities)
    assert facts["run"]["main"] == "workflow.json"

    for name in ("plain.crate", "kept.crate"):
        assert facts_of(tmp_path / name) == facts_of(made / "step.crate"), name
    assert not check_crate(tmp_path / "kept.crate"), "it has all that it had"
    with zipfile.ZipFile(tmp_path / "plain.zip") as archive:
        assert archive.read("data/hardware.json") == (made / "step.crate/data/hardware.json").read_bytes()
    with zipfile.ZipFile(tmp_path / "deposit.zip") as archive:
        assert "ro-crate-preview.html" in archive.namelist()
    inside = tmp_path / "outer.crate" / "steps" / "one"
    assert facts_of(inside) == facts_of(made / "step.crate")
    assert not check_crate(inside), "a folder of another crate is what it was"


def facts_of(path: Path) -> tuple[Any, ...]:
    """What a crate says, read with the product."""
    crate = StepCrate.open(path)
    return crate.task_id, crate.status, crate.usage, crate.function_name, crate.series(), {f.id for f in crate.files}
