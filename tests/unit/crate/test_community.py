"""Crates as objects of ro-crate-py."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("rocrate.rocrate")

import prov_worker
from prov_worker.errors import CrateError, InputError
from prov_worker.run.assembly.assemble import assemble
from prov_worker.testing import CrateFactory, task_id


@pytest.fixture
def crate(tmp_path: Path) -> Path:
    return CrateFactory(tmp_path / "crates").add(1, "work", sampled=True)


def document(path: Path) -> dict[str, object]:
    return json.loads((path / "ro-crate-metadata.json").read_text(encoding="utf-8"))


def entities(path: Path) -> dict[str, object]:
    return {entity["@id"]: entity for entity in document(path)["@graph"]}  # type: ignore[attr-defined]


def test_a_step_crate(crate: Path) -> None:
    opened = prov_worker.open_crate(crate)
    assert opened.version == "1.1"
    action = opened.mainEntity
    assert "CreateAction" in action.type
    assert action["instrument"]["name"] == "work"
    assert task_id(1) in opened.root_dataset["name"]


def test_what_the_readers_of_livepublication_ask_of_a_crate(crate: Path, tmp_path: Path) -> None:
    """They look for crates below a folder (``parser/crate.py`` of LP_SDK), take texts of each file and where it lies
    (``artifact_manager.py`` of ro-crate-plugin), and find a step by its task id (``retrospective/crate.py``)."""
    from rocrate.rocrate import ROCrate

    assemble([crate.parent], tmp_path / "RUN.crate")
    folders = [path.parent for path in tmp_path.rglob("ro-crate-metadata.json")]
    assert len(folders) == 3, "the step, the run, and the step in the run"
    for folder in folders:
        opened = ROCrate(str(folder))
        for entity in opened.data_entities:
            texts = [entity.get(key, "") for key in ("name", "description", "@type")]
            assert all(isinstance(text, str) or set(map(type, text)) == {str} for text in texts)
            assert (Path(opened.source) / entity.id).exists()
        main = opened.mainEntity
        if folder.name != "RUN.crate":
            assert {"CreateAction", "HowTo", "ActionAccessSpecification", "Schedule"} == set(main["@type"])
            assert main["step"].type == "HowToStep"
            assert main["step"]["position"] == task_id(1)
            assert "HardwareRuntime" in main["hasPart"].type


def test_what_is_written_again_is_the_same_graph_with_all_terms(crate: Path, tmp_path: Path) -> None:
    """The library alone would forget the contexts that define our terms."""
    prov_worker.open_crate(crate).write(tmp_path / "again")
    assert document(tmp_path / "again")["@context"] == document(crate)["@context"]
    assert entities(tmp_path / "again") == entities(crate)


def test_a_zip_of_a_crate(crate: Path, tmp_path: Path) -> None:
    path = tmp_path / "crate.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(crate.rglob("*")):
            archive.write(file, file.relative_to(crate))
    opened = prov_worker.open_crate(path)
    assert {entity.id for entity in opened.get_entities()} == set(entities(crate))


def test_what_is_not_a_crate_is_one_line(crate: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere: no such crate"):
        prov_worker.open_crate(tmp_path / "nowhere")
    (tmp_path / "file").write_text("text")
    with pytest.raises(CrateError, match="file: not a readable zip file"):
        prov_worker.open_crate(tmp_path / "file")
    (crate / "ro-crate-metadata.json").write_text('{"@graph": []}')
    with pytest.raises(CrateError, match="ro-crate-metadata.json: cannot be read as RO-Crate"):
        prov_worker.open_crate(crate)


def test_a_zip_that_leads_outside_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "crate.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("ro-crate-metadata.json", "{}")
        archive.writestr("../outside.txt", "text")
    with pytest.raises(CrateError, match="leads outside; refused"):
        prov_worker.open_crate(path)
    assert not (tmp_path.parent / "outside.txt").exists()
