"""LivePublication's reader of provenance, provenance-context (GusEllerm/ro-crate-provenance-tools), reads our crates.

Its other programs are in no package index; what they look up is looked up in ``tests/unit/crate/test_community.py``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from prov_worker.model import OutputFile
from prov_worker.run.assembly.assemble import assemble
from prov_worker.testing import CrateFactory, task_id, text_value
from support.commands import run_program

RELEASE = "0.2.0"
READER = """
import json, sys
from provenance_context import ProvenanceCrate

facts = []
for path in sys.argv[1:]:
    crate = ProvenanceCrate.from_dir(path)
    files = [entity for entity in crate.graph if crate._has_type(entity, "File")]
    facts.append({
        "actions": [crate._summarise_action(action) for action in crate.actions],
        "nowhere": [file["@id"] for file in files if crate.get_local_path(file) is None],
        "files": len(files),
        "lineage": [crate.get_file_lineage(file["@id"]) for file in files],
        "ancestry": [len(crate.get_file_ancestry(file["@id"])["actions"]) for file in files],
    })
print(json.dumps(facts))
"""


@pytest.mark.long
def test_its_reader_finds_actions_files_and_what_made_them(tmp_path: Path) -> None:
    """Of one input or output alone it takes the key for the reference, which RO-Crate's compact form has no part in."""
    crates = CrateFactory(tmp_path / "crates")
    crates.add(1, "read", sampled=True)
    arguments = [text_value("table", "1890 rain"), text_value("unit", "mm")]
    outputs = [OutputFile("part.csv", 5)]
    failed = crates.add(2, "total", offset_s=2, arguments=arguments, error="no total", outputs=outputs)
    assemble([crates.directory], tmp_path / "RUN.crate")
    run_program(sys.executable, "-m", "venv", str(tmp_path / "venv"), check=True)
    python = tmp_path / "venv" / "bin" / "python"
    pip = (python, "-m", "pip", "--disable-pip-version-check", "--quiet", "install")
    run_program(*pip, f"provenance-context=={RELEASE}", check=True)
    done = run_program(python, "-c", READER, failed, tmp_path / "RUN.crate")
    assert done.returncode == 0, done.stderr
    step, run = json.loads(done.stdout)

    (action,) = step["actions"]
    assert action["name"] == f"Run of total (task {task_id(2)})"
    assert action["startTime"] < action["endTime"]
    assert step["files"] > 1
    assert step["nowhere"] == []
    made = produced(step, "logs/traceback.txt")
    assert made["tool"]["name"] == "total"
    assert [value["name"] for value in made["inputs"]["parameters"]] == ["table", "unit"]
    assert sum(step["ancestry"]) == len(action_results(failed))

    assert len(run["actions"]) == 3, "both steps and the run"
    assert run["nowhere"] == []


def produced(facts: dict[str, Any], identifier: str) -> Any:
    """Return what is said of the action that made a file."""
    (lineage,) = [lineage for lineage in facts["lineage"] if lineage[0]["file"]["id"] == identifier]
    return lineage[0]["produced_by"]


def action_results(crate: Path) -> list[str]:
    graph = json.loads((crate / "ro-crate-metadata.json").read_text())["@graph"]
    files = {entity["@id"] for entity in graph if entity["@type"] == "File"}
    (action,) = [entity for entity in graph if "CreateAction" in entity["@type"]]
    return [result["@id"] for result in action["result"] if result["@id"] in files]
