"""A run crate mentions the crates of the triggers that began it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from prov_worker.errors import InputError
from prov_worker.run.assembly.assemble import assemble
from prov_worker.run.assembly.model import Options
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


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "there is no such directory"),
        ("", "ro-crate-metadata.json is invalid JSON"),
        ('{"@graph": []}', "its metadata lack what prov-worker trigger writes"),
        ("[]", "its metadata lack what prov-worker trigger writes"),
        ('{"@graph": [{"@id": "./"}, {"@id": "#trigger"}]}', "its metadata lack what prov-worker trigger writes"),
    ],
)
def test_what_is_no_crate_of_a_trigger_is_refused(
    workflow_crates: Any, tmp_path: Path, content: str | None, message: str
) -> None:
    crate = tmp_path / "other.crate"
    if content is not None:
        crate.mkdir()
        (crate / "ro-crate-metadata.json").write_text(content)
    with pytest.raises(InputError, match=f"other.crate: not a crate of a trigger: {message}"):
        assemble([workflow_crates.directory], tmp_path / "run.crate", Options(triggers=(crate,)))
    assert not (tmp_path / "run.crate").exists()


def test_a_run_crate_is_no_crate_of_a_trigger(workflow_crates: Any, tmp_path: Path) -> None:
    assemble([workflow_crates.directory], tmp_path / "run.crate", Options())
    with pytest.raises(InputError, match="run.crate: not a crate of a trigger: its metadata lack"):
        assemble([workflow_crates.directory], tmp_path / "two.crate", Options(triggers=(tmp_path / "run.crate",)))
