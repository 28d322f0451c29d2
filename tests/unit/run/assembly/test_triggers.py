"""A run crate mentions the crates of the triggers that began it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from prov_worker.errors import InputError
from prov_worker.run.assembly.assemble import Options, assemble
from prov_worker.trigger.record import write_crate
from prov_worker.trigger.watcher import Settled

_SECOND = 1_000_000_000


def test_the_run_mentions_its_trigger(workflow_crates: Any, tmp_path: Path) -> None:
    (tmp_path / "run1").mkdir()
    folder = Settled(tmp_path / "run1", 2, 30, 1_790_000_000 * _SECOND, 1_790_000_060 * _SECOND, "content")
    trigger = write_crate(tmp_path / "triggers", folder, "key-1", {"command": "true", "exit": 0})
    result = assemble([workflow_crates.directory], tmp_path / "run.crate", Options(triggers=(trigger,)))
    assert result.problems == []
    graph = json.loads((tmp_path / "run.crate" / "ro-crate-metadata.json").read_text())["@graph"]
    entities = {entity["@id"]: entity for entity in graph}
    root = json.loads((trigger / "ro-crate-metadata.json").read_text())["@graph"][1]
    assert {"@id": root["identifier"]} in entities["./"]["mentions"]
    assert entities[root["identifier"]]["description"] == "Folder run1 had settled; Command: true followed"


def test_what_is_no_crate_of_a_trigger_is_refused(workflow_crates: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no crate of a trigger"):
        assemble([workflow_crates.directory], tmp_path / "run.crate", Options(triggers=(tmp_path / "none",)))
    assert not (tmp_path / "run.crate").exists()
