"""Provenance as W3C PROV: what becomes of which entity, and that each format reads back as what was written."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import pytest

from prov_worker.errors import InputError
from prov_worker.model import OutputFile
from prov_worker.run.api import open_run
from prov_worker.run.assembly.assemble import assemble
from prov_worker.run.assembly.model import Options
from prov_worker.run.export import EXPORTERS
from prov_worker.run.export import prov as room

model = pytest.importorskip("prov.model", reason="the prov library is not installed")

PROV = "http://www.w3.org/ns/prov#"


@pytest.fixture(scope="module")
def run_crate(crates: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("run") / "RUN.crate"
    assert assemble([crates], target, Options(name="pipeline")).path == target
    return target


def relations(document: Any, kind: str) -> list[tuple[str, str]]:
    """Pairs of local names of what a relation of one kind connects."""
    cls = getattr(model, kind)
    return [tuple(str(value) for _, value in record.formal_attributes[:2]) for record in document.get_records(cls)]


def value_of(record: Any, name: str) -> list[str]:
    return [str(value) for key, value in record.attributes if str(key) == name]


@pytest.mark.parametrize("to", list(room.FORMATS))
@pytest.mark.parametrize("kind", ["step", "directory", "run", "hostile"])
def test_each_format_reads_back_equal(
    crates: Path, hostile: Path, run_crate: Path, tmp_path: Path, kind: str, to: str
) -> None:
    if to == "turtle":
        pytest.importorskip("rdflib", reason="rdflib is not installed")
    source = {"step": sorted(crates.iterdir())[0], "directory": crates, "run": run_crate, "hostile": hostile}[kind]
    target = tmp_path / "out"
    written = room.run_document(open_run(source))
    assert EXPORTERS[to].write(open_run(source), target) == len(list(written.get_records()))
    name, options = room.FORMATS[to]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # rdflib's, about itself
        again = model.ProvDocument.deserialize(content=target.read_text(encoding="utf-8"), format=name, **options)
    assert again == written


def test_a_step_is_an_activity_with_its_function_as_plan(crates: Path) -> None:
    crate = next(path for path in sorted(crates.iterdir()) if ".attempt" not in path.name)
    graph = {entity["@id"]: entity for entity in json.loads((crate / "ro-crate-metadata.json").read_text())["@graph"]}
    action = graph["#distributed_step"]
    document = room.run_document(open_run(crate))
    (activity,) = document.get_records(model.ProvActivity)
    assert activity.get_startTime().isoformat(timespec="milliseconds") == action["startTime"]
    assert activity.get_endTime().isoformat(timespec="milliseconds") == action["endTime"]
    assert value_of(activity, "schema:actionStatus") == [action["actionStatus"]]
    plans = [
        record for record in document.get_records(model.ProvEntity) if "prov:Plan" in value_of(record, "prov:type")
    ]
    assert [value_of(plan, "prov:label") for plan in plans] == [[graph[action["instrument"]["@id"]]["name"]]]
    used = {b.rpartition("/")[2] for _, b in relations(document, "ProvUsage")}
    assert {"#input-number", "#hardware-runtime", "#worker-host"} <= used
    made = {a.rpartition("/")[2] for a, _ in relations(document, "ProvGeneration")}
    assert {"#usage-wall", "#output-return"} <= made or action["actionStatus"].endswith("FailedActionStatus")
    kinds = {kind for record in document.get_records(model.ProvAgent) for kind in value_of(record, "prov:type")}
    assert {"prov:Person", "prov:Organization", "prov:SoftwareAgent"} <= kinds


def test_a_failed_step_says_why(crates: Path) -> None:
    failed = [
        path
        for path in sorted(crates.iterdir())
        if "FailedActionStatus" in (path / "ro-crate-metadata.json").read_text(encoding="utf-8")
    ]
    assert failed
    (activity,) = room.run_document(open_run(failed[0])).get_records(model.ProvActivity)
    assert value_of(activity, "schema:error")


def test_what_lies_in_a_step_has_the_name_that_the_run_gives_it(run_crate: Path) -> None:
    """The same activity from the run's metadata and from the step's own is one activity, not two."""
    document = room.run_document(open_run(run_crate))
    graph = json.loads((run_crate / "ro-crate-metadata.json").read_text(encoding="utf-8"))["@graph"]
    actions = [entity for entity in graph if {"CreateAction", "ControlAction", "OrganizeAction"} & set(kinds(entity))]
    activities = list(document.get_records(model.ProvActivity))
    assert len(activities) == len(actions)
    assert len({str(activity.identifier) for activity in activities}) == len(activities)
    informed = relations(document, "ProvCommunication")
    names = [path.name for path in (run_crate / "steps").iterdir()]
    controls = sum("ControlAction" in kinds(entity) for entity in graph)
    assert len(informed) == len(names) + controls + 1, "steps by their controls, controls and run by the engine's run"
    made = [a for a, _ in relations(document, "ProvGeneration")]
    assert len(made) == len(set(made)), "nothing is generated twice"


def kinds(entity: dict[str, Any]) -> list[str]:
    kind = entity["@type"]
    return [kind] if isinstance(kind, str) else kind


def test_names_stay_where_a_crate_is_moved_and_differ_between_attempts(crates: Path, tmp_path: Path) -> None:
    first = sorted(crates.iterdir())[0]
    shutil.copytree(first, tmp_path / "elsewhere.crate")
    assert room.run_document(open_run(first)) == room.run_document(open_run(tmp_path / "elsewhere.crate"))
    document = room.run_document(open_run(crates))
    assert len(list(document.get_records(model.ProvActivity))) == len(list(crates.iterdir()))


def test_tasks_are_chosen_with_all_their_attempts(crates: Path) -> None:
    repeated = next(path.name.split(".")[0] for path in sorted(crates.iterdir()) if ".attempt-1" in path.name)
    document = room.run_document(open_run(crates), {repeated})
    assert len(list(document.get_records(model.ProvActivity))) == 2
    with pytest.raises(InputError, match="no attempt matches"):
        room.run_document(open_run(crates), {"no-such-task"})


def test_a_picture_is_svg_and_one_too_large_is_refused(crates: Path, tmp_path: Path) -> None:
    pytest.importorskip("pydot", reason="pydot is not installed")
    if shutil.which("dot") is None:
        pytest.skip("graphviz is not installed")
    crate = sorted(crates.iterdir())[0]
    EXPORTERS["prov-svg"].write(open_run(crate), tmp_path / "one.svg")
    assert "<svg" in (tmp_path / "one.svg").read_text(encoding="utf-8")
    document = room.run_document(open_run(crate))
    for number in range(room.PICTURE_LIMIT):
        document.entity(f"crate:x{number}")
    with pytest.raises(InputError, match="too many for a picture"):
        room.picture(document)


def test_a_damaged_crate_is_a_problem_and_the_rest_is_written(crates: Path, tmp_path: Path) -> None:
    for path in sorted(crates.iterdir())[:3]:
        shutil.copytree(path, tmp_path / "some" / path.name)
    broken = sorted((tmp_path / "some").iterdir())[1]
    (broken / "ro-crate-metadata.json").write_text("{")
    run = open_run(tmp_path / "some")
    document = room.run_document(run)
    assert len(list(document.get_records(model.ProvActivity))) == 2
    assert [broken.name in problem.where for problem in run.problems] == [True]


@pytest.mark.parametrize("to", list(room.FORMATS))
def test_an_escape_in_an_id_stays_one(make_crates: Any, tmp_path: Path, to: str) -> None:
    """``run#3.csv`` undone would be another identifier, and no IRI: a number sign begins the fragment, once."""
    if to == "turtle":
        pytest.importorskip("rdflib", reason="rdflib is not installed")
    factory = make_crates(tmp_path / "crates")
    crate = factory.add(1, outputs=[OutputFile("run#3 of 100%.csv", 1, "0" * 64)])
    (identifier,) = [
        entity["@id"]
        for entity in json.loads((crate / "ro-crate-metadata.json").read_text())["@graph"]
        if "3" in entity["@id"] and entity["@id"].startswith("#output-file-")
    ]
    assert "%23" in identifier
    EXPORTERS[to].write(open_run(factory.directory), tmp_path / "out")
    name, options = room.FORMATS[to]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # rdflib's, about itself
        document = model.ProvDocument.deserialize(
            content=(tmp_path / "out").read_text(encoding="utf-8"), format=name, **options
        )
    (file,) = [
        record for record in document.get_records(model.ProvEntity) if record.identifier.uri.endswith(identifier)
    ]
    assert value_of(file, "prov:value") == ["run#3 of 100%.csv"]
    assert [str(value) for key, value in file.attributes if key.uri == "http://schema.org/sha256"] == ["0" * 64]
    uris = [record.identifier.uri for record in document.get_records(model.ProvEntity)]
    assert sum(uri.endswith("/" + identifier) for uri in uris) == 1
    assert all(uri.count("#") <= 1 for uri in uris)
