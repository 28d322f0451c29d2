"""Ids, sizes and states as other programs write them: every reader takes them, and all in the same way."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prov_worker.cli.main import run as cli
from prov_worker.crate.check import check_crate
from prov_worker.crate.reader import StepCrate
from prov_worker.crate.sources import source_of
from prov_worker.crate.summary_reader import open_step
from prov_worker.crate.validator.client import find_validator
from prov_worker.errors import CrateError
from prov_worker.run.api import open_run
from prov_worker.run.assembly.assemble import assemble
from prov_worker.run.assembly.verify import verify
from prov_worker.testing import CrateFactory

METADATA = "ro-crate-metadata.json"
Entities = dict[str, dict[str, Any]]
URIS = [
    "urn:uuid:3f2f9f4e-0000-4000-8000-0000000000aa",
    "doi:10.1/abc",
    "tag:joe@example.org,2026:x",
    "swh:1:cnt:94a9ed024d3859793618152ea559a168bbcbb5e2",
    "ark:/12345/x",
    "https://example.org/x.csv",
    "s3://bucket/x.csv",
]


@pytest.fixture
def crate(crates: CrateFactory) -> Path:
    return crates.add(1, sampled=True)


def change(crate: Path, how: Callable[[Entities], object]) -> None:
    path = crate / METADATA
    document = json.loads(path.read_text())
    entities = {entity["@id"]: entity for entity in document["@graph"]}
    how(entities)
    document["@graph"] = list(entities.values())
    path.write_text(json.dumps(document))


def replace(crate: Path, old: str, new: str) -> None:
    path = crate / METADATA
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def also(entity: dict[str, Any], key: str, identifier: str) -> None:
    before = entity.get(key, [])
    entity[key] = [*(before if isinstance(before, list) else [before]), {"@id": identifier}]


def add(crate: Path, entity: dict[str, Any], *, part: bool = True, role: str = "object") -> None:
    def how(entities: Entities) -> None:
        entities[entity["@id"]] = entity
        also(entities["#distributed_step"], role, entity["@id"])
        if part:
            also(entities["./"], "hasPart", entity["@id"])

    change(crate, how)


def run_graph(run: Path) -> Entities:
    graph = json.loads((run / METADATA).read_text())["@graph"]
    entities = {entity["@id"]: entity for entity in graph}
    assert len(entities) == len(graph)
    return entities


@pytest.mark.parametrize("uri", URIS)
def test_a_file_by_an_absolute_uri_lies_elsewhere(crate: Path, crates: CrateFactory, tmp_path: Path, uri: str) -> None:
    """Two steps used it: it is one entity of the run, under its own id."""
    other = crates.add(2, offset_s=5, sampled=True)
    entity = {"@id": uri, "@type": "File", "name": "archived", "description": "elsewhere", "contentSize": "12"}
    for path in (crate, other):
        add(path, entity)
        assert check_crate(path) == []
    step, opened = open_step(source_of(crate))
    assert uri not in [file.id for file in opened.files]
    (file,) = [file for file in step.files if file.id == uri]
    assert (file.role, file.path, file.size_bytes, file.inside) == ("used", uri, 12, False)
    assert assemble([crates.directory], tmp_path / "RUN.crate").problems == []
    entities = run_graph(tmp_path / "RUN.crate")
    assert uri in entities
    assert [identifier for identifier in entities if identifier.endswith(uri)] == [uri]
    for number in (1, 2):
        key = crate.name if number == 1 else other.name
        assert {"@id": uri} in as_list(entities[f"steps/{key}/#distributed_step"]["object"])
    assert as_list(entities["./"]["hasPart"]).count({"@id": uri}) == 1


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def test_data_that_one_step_made_and_another_used_by_one_uri_are_a_declared_link(
    crate: Path, crates: CrateFactory
) -> None:
    other = crates.add(2, offset_s=5)
    entity = {"@id": URIS[0], "@type": "File", "name": "archived", "description": "elsewhere"}
    add(crate, entity, role="result")
    add(other, entity)
    (link,) = open_run(crates.directory).links()
    assert (link.via, link.source_id, link.target_id) == ("declared", URIS[0], URIS[0])


@pytest.mark.parametrize("written", ["./data/hardware.json", "data/../data/hardware.json", ".\\/data\\/hardware.json"])
def test_spellings_of_a_path_are_one(crate: Path, tmp_path: Path, written: str) -> None:
    before = StepCrate.open(crate)
    replace(crate, '"data/hardware.json"', f'"{written}"')
    assert check_crate(crate) == []
    after = StepCrate.open(crate)
    assert after.files == before.files
    assert after.hardware() == before.hardware()
    assert assemble([crate], tmp_path / "RUN.crate").problems == []


def test_a_root_with_an_absolute_id(crate: Path, tmp_path: Path) -> None:
    before = open_step(source_of(crate))[0]
    replace(crate, '"./"', '"https://example.org/crates/1/"')
    assert check_crate(crate) == []
    after = open_step(source_of(crate))[0]
    assert (after.task_id, after.function, after.end_ns) == (before.task_id, before.function, before.end_ns)
    assert assemble([crate], tmp_path / "RUN.crate").problems == []


def test_nothing_is_drawn_into_a_crate_whose_ids_would_change(crate: Path) -> None:
    from prov_worker.crate.add_plot import add_plot

    replace(crate, '"./"', '"https://example.org/crates/1/"')
    before = (crate / METADATA).read_bytes()
    with pytest.raises(CrateError, match="nothing can be added"):
        add_plot(crate, "svg")
    assert (crate / METADATA).read_bytes() == before


def test_a_file_that_is_no_data_entity_is_no_file_of_the_crate(crate: Path, tmp_path: Path) -> None:
    """RO-Crate 1.2 calls a File with ``#…`` contextual: a stream that was not kept."""
    add(crate, {"@id": "#stdin", "@type": "File", "name": "standard input", "description": "not kept"}, part=False)
    assert check_crate(crate) == []
    assert "#stdin" not in [file.id for file in StepCrate.open(crate).files]
    assert assemble([crate], tmp_path / "RUN.crate").problems == []


@pytest.mark.parametrize("identifier", ["extra/", "./extra/", "extra"])
def test_a_folder_stands_for_its_files(crate: Path, tmp_path: Path, identifier: str) -> None:
    (crate / "extra" / "deep").mkdir(parents=True)
    (crate / "extra" / "deep" / "x.txt").write_text("x")
    add(crate, {"@id": identifier, "@type": "Dataset", "name": "more", "description": "a folder"}, role="result")
    assert check_crate(crate) == []
    (folder,) = [file for file in open_step(source_of(crate))[0].files if file.path == "extra"]
    assert (folder.role, folder.inside) == ("generated", True)
    assert assemble([crate], tmp_path / "RUN.crate").problems == []
    run = tmp_path / "RUN.crate"
    assert (run / "steps" / crate.name / "extra" / "deep" / "x.txt").read_text() == "x"
    assert f"steps/{crate.name}/{identifier.removeprefix('./')}" in run_graph(run)
    (crate / "beside.txt").write_text("x")
    assert [(finding.rule, finding.where) for finding in check_crate(crate)] == [("unlisted", "beside.txt")]


def test_a_size_may_be_a_number(crate: Path, tmp_path: Path) -> None:
    size = (crate / "data" / "hardware.json").stat().st_size

    def number(entities: Entities) -> None:
        entities["data/hardware.json"]["contentSize"] = size

    change(crate, number)
    (finding,) = check_crate(crate)
    assert (finding.level, finding.rule) == ("warning", "content-size")
    assert "text of digits" in finding.message
    sizes = {file.id: file.size_bytes for file in StepCrate.open(crate).files}
    assert sizes["data/hardware.json"] == size
    assert assemble([crate], tmp_path / "RUN.crate").problems == []


@pytest.mark.parametrize(
    ("written", "status"),
    [
        ({"@id": "http://schema.org/FailedActionStatus"}, "failed"),
        ([{"@id": "https://schema.org/FailedActionStatus"}], "failed"),
        ("https://schema.org/CompletedActionStatus", "completed"),
        ("CompletedActionStatus", "completed"),
        ("FailedActionStatus", "failed"),
        ("schema:FailedActionStatus", "failed"),
    ],
)
def test_forms_of_a_status(crate: Path, written: Any, status: str) -> None:
    change(crate, lambda entities: entities["#distributed_step"].update(actionStatus=written))
    assert StepCrate.open(crate).status == status


@pytest.mark.parametrize("written", ["NotCompletedActionStatus", "http://schema.org/ActiveActionStatus", None, 3])
def test_another_status_is_none(crate: Path, written: Any) -> None:
    change(crate, lambda entities: entities["#distributed_step"].update(actionStatus=written))
    with pytest.raises(CrateError, match="expected CompletedActionStatus"):
        StepCrate.open(crate)


def zipped(crate: Path, target: Path, prefix: str) -> Path:
    """Pack a crate as bsdtar does: with ``./`` before all names, and for the folder itself."""
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("./", b"")
        for path in sorted(crate.rglob("*")):
            if path.is_file():
                archive.writestr(f"{prefix}{path.relative_to(crate)}", path.read_bytes())
    return target


@pytest.mark.parametrize("prefix", ["./", "./task.crate/", "task.crate/./"])
def test_a_zip_with_dots_in_its_names(crate: Path, tmp_path: Path, prefix: str) -> None:
    packed = zipped(crate, tmp_path / "a.zip", prefix)
    assert check_crate(packed) == []
    assert assemble([packed], tmp_path / "RUN.crate").problems == []


def test_a_run_in_a_zip_with_dots_is_verified(crate: Path, tmp_path: Path) -> None:
    assemble([crate], tmp_path / "RUN.crate")
    verdict = verify(zipped(tmp_path / "RUN.crate", tmp_path / "run.zip", "./"))
    assert verdict.changes == []
    assert verdict.files


def test_two_names_that_are_one_are_refused(crate: Path, tmp_path: Path) -> None:
    packed = zipped(crate, tmp_path / "a.zip", "./")
    with zipfile.ZipFile(packed, "a") as archive:
        archive.writestr(METADATA, b"{}")
    with pytest.raises(CrateError, match="twice in the zip"):
        StepCrate.open(packed)


@pytest.mark.validator
def test_the_validator_has_a_verdict_on_each_crate_whatever_it_prints(
    crates: CrateFactory, capfd: pytest.CaptureFixture[str]
) -> None:
    """Of a File by another scheme than it knows the validator prints a line: no answer may be lost in it."""
    if find_validator() is None:
        pytest.skip("no interpreter has roc-validator; set PROV_WORKER_VALIDATOR")
    paths = []
    for number, uri in enumerate(URIS):
        paths.append(crates.add(number, sampled=True))
        add(paths[-1], {"@id": uri, "@type": "File", "name": "archived", "description": "elsewhere"})
    paths.append(crates.add(len(URIS), sampled=True))
    capfd.readouterr()
    assert cli(["check", "--json", "--validator", str(crates.directory)]) == 1
    verdicts = json.loads(capfd.readouterr().out)
    assert set(verdicts) == {str(path) for path in paths}
    assert verdicts[str(paths[-1])] == []
    for path in paths[:-1]:
        assert "validator" not in {finding["rule"] for finding in verdicts[str(path)]}
        assert "error" not in {finding["level"] for finding in verdicts[str(path)]}
