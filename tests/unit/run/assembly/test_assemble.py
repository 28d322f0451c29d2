from __future__ import annotations

import json
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prov_worker.crate.reader import StepCrate
from prov_worker.errors import InputError
from prov_worker.run.api import open_run
from prov_worker.run.assembly.assemble import assemble
from prov_worker.run.assembly.model import Options
from prov_worker.run.assembly.verify import verify

METADATA = "ro-crate-metadata.json"


def graph(run: Path) -> dict[str, dict[str, Any]]:
    entities = json.loads((run / METADATA).read_text())["@graph"]
    by_id = {entity["@id"]: entity for entity in entities}
    assert len(by_id) == len(entities)
    return by_id


def content(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def ids(value: Any) -> list[str]:
    return [reference["@id"] for reference in (value if isinstance(value, list) else [value])]


@pytest.fixture
def run(workflow_crates: Any, tmp_path: Path) -> Path:
    assemble([workflow_crates.directory], tmp_path / "RUN.crate")
    return tmp_path / "RUN.crate"


def test_steps_stay_as_they_are_byte_for_byte(workflow_crates: Any, run: Path) -> None:
    assert content(run / "steps") == content(workflow_crates.directory)


def test_summary_counts_tasks_attempts_and_links(workflow_crates: Any, tmp_path: Path) -> None:
    result = assemble([workflow_crates.directory], tmp_path / "RUN.crate")
    assert (result.tasks, result.steps, result.failed, result.problems) == (5, 6, 1, [])
    assert result.links == {"value": 3}
    assert result.files == sum(1 for path in (tmp_path / "RUN.crate").rglob("*") if path.is_file())


def test_every_attempt_is_an_action_and_every_task_is_orchestrated(run: Path) -> None:
    entities = graph(run)
    actions = [entity for entity in entities.values() if entity["@id"].endswith("#distributed_step")]
    assert len(actions) == 6
    controls = [entity for entity in entities.values() if entity["@type"] == "ControlAction"]
    assert sorted(len(ids(control["object"])) for control in controls) == [1, 1, 1, 1, 2]
    retried = next(control for control in controls if len(ids(control["object"])) == 2)
    states = [entities[identifier]["actionStatus"].rpartition("/")[2] for identifier in ids(retried["object"])]
    assert states == ["FailedActionStatus", "CompletedActionStatus"]
    assert retried["actionStatus"].endswith("CompletedActionStatus")
    assert set(ids(entities["#engine-run"]["object"])) == {control["@id"] for control in controls}


def test_the_run_fails_where_a_task_failed_in_the_end(run: Path) -> None:
    entities = graph(run)
    assert entities["#run"]["actionStatus"].endswith("FailedActionStatus")
    assert entities["#run"]["error"] == "1 of 5 tasks failed"


def test_steps_of_the_workflow_are_functions_in_the_order_of_their_start(run: Path) -> None:
    entities = graph(run)
    steps = [entities[identifier] for identifier in ids(entities["workflow.json"]["step"])]
    assert [(step["name"], step["position"]) for step in steps] == [("read", "0"), ("total", "1"), ("merge", "2")]


def test_inferred_links_say_so(run: Path) -> None:
    entities = graph(run)
    based = [entity for entity in entities.values() if "isBasedOn" in entity]
    assert len(based) == 3
    for output in based:
        assert output["description"].startswith("Inferred")
        assert output["sha256"] == entities[output["isBasedOn"]["@id"]]["sha256"]
    lines = [json.loads(line) for line in (run / "links.jsonl").read_text().splitlines()]
    assert [line["inferred"] for line in lines] == [True] * 3


def test_every_reference_leads_somewhere(run: Path) -> None:
    entities = graph(run)
    for entity in entities.values():
        for key, value in entity.items():
            for target in [
                part["@id"] for part in (value if isinstance(value, list) else [value]) if isinstance(part, dict)
            ]:
                assert target in entities or "://" in target, f"{entity['@id']}.{key} → {target}"


def test_the_metadata_of_each_step_is_sealed_by_its_hash(run: Path) -> None:
    import hashlib

    entities = graph(run)
    for crate in (run / "steps").iterdir():
        sealed = entities[f"steps/{crate.name}/{METADATA}"]["sha256"]
        assert sealed == hashlib.sha256((crate / METADATA).read_bytes()).hexdigest()


def test_licences_and_people_of_steps_are_kept(make_crates: Any, tmp_path: Path) -> None:
    from prov_worker.settings import Settings

    cc = "https://spdx.org/licenses/CC-BY-4.0"
    make_crates(tmp_path / "in", settings=Settings(license=cc, author="Ada")).add(1)
    make_crates(tmp_path / "in", settings=Settings(author="Grace")).add(2)
    orcid = "https://orcid.org/0000-0002-1825-0097"
    assemble([tmp_path / "in"], tmp_path / "R.crate", Options(license="https://spdx.org/licenses/MIT", author=orcid))
    entities = graph(tmp_path / "R.crate")
    assert entities["./"]["license"]["@id"].endswith("MIT")
    assert entities["./"]["author"]["@id"] == orcid
    steps = [
        entity for entity in entities.values() if entity["@id"].startswith("steps/") and entity["@type"] == "Dataset"
    ]
    licences = [entities[step["license"]["@id"]] for step in steps]
    assert {licence["name"] for licence in licences} == {"CC-BY-4.0", "No licence stated"}
    agents = {
        entities[entity["agent"]["@id"]]["name"]
        for entity in entities.values()
        if entity["@id"].endswith("#distributed_step")
    }
    assert agents == {"Ada", "Grace"}


def test_sources_may_lack_the_suffix_or_be_zips(workflow_crates: Any, tmp_path: Path) -> None:
    expected = content(workflow_crates.directory)
    crates = sorted(workflow_crates.directory.iterdir())
    crates[0].rename(crates[0].with_suffix(""))
    with zipfile.ZipFile(workflow_crates.directory / f"{crates[1].name}.zip", "w") as archive:
        for path in crates[1].rglob("*"):
            archive.write(path, path.relative_to(crates[1]))
    shutil.rmtree(crates[1])
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        for crate in crates[2:4]:
            for path in crate.rglob("*"):
                archive.write(path, path.relative_to(crate.parent))
            shutil.rmtree(crate)
    result = assemble([workflow_crates.directory, tmp_path / "two.zip"], tmp_path / "R.crate")
    assert result.problems == []
    assert content(tmp_path / "R.crate" / "steps") == expected


def test_a_later_attempt_from_another_directory_takes_the_plain_name(make_crates: Any, tmp_path: Path) -> None:
    make_crates(tmp_path / "a").add(1, attempt=2, offset_s=10)
    make_crates(tmp_path / "b", host="node02").add(1, attempt=1, error="lost")
    make_crates(tmp_path / "c", host="node03").add(1, attempt=3, offset_s=20)
    result = assemble([tmp_path / letter for letter in "abc"], tmp_path / "R.crate")
    assert (result.tasks, result.steps, result.failed, result.problems) == (1, 3, 0, [])
    attempts = {
        crate.name.partition(".")[2]: StepCrate.open(crate).attempt for crate in (tmp_path / "R.crate/steps").iterdir()
    }
    assert attempts == {"crate": 3, "attempt-1.crate": 1, "attempt-2.crate": 2}


def test_the_same_crate_twice_is_one(workflow_crates: Any, tmp_path: Path) -> None:
    shutil.copytree(workflow_crates.directory, tmp_path / "copy")
    result = assemble([workflow_crates.directory, tmp_path / "copy"], tmp_path / "R.crate")
    assert (result.steps, result.duplicates, result.problems) == (6, 6, [])


def test_a_run_crate_can_be_assembled_anew(run: Path, tmp_path: Path) -> None:
    result = assemble([run], tmp_path / "again.crate")
    assert result.steps == 6
    assert content(run / "steps") == content(tmp_path / "again.crate" / "steps")


def test_a_target_that_is_there_is_left_alone(run: Path, workflow_crates: Any) -> None:
    before = content(run)
    with pytest.raises(InputError, match="already exists"):
        assemble([workflow_crates.directory], run)
    assert content(run) == before


@pytest.mark.parametrize("as_zip", [False, True])
def test_of_two_that_make_the_same_target_at_once_the_second_refuses(
    workflow_crates: Any, tmp_path: Path, as_zip: bool
) -> None:
    target = tmp_path / ("RUN.zip" if as_zip else "RUN.crate")
    before: list[bytes] = []

    def make_the_other(done: int, total: int) -> None:
        if done == total:
            assemble([workflow_crates.directory], target, Options(zip=as_zip, name="the other"))
            before.append(read(target))

    def read(path: Path) -> bytes:
        return path.read_bytes() if as_zip else (path / "ro-crate-metadata.json").read_bytes()

    with pytest.raises(InputError, match="already exists"):
        assemble([workflow_crates.directory], target, Options(zip=as_zip, name="this"), make_the_other)
    assert [read(target)] == before
    assert sorted(path.name for path in tmp_path.iterdir()) == [target.name, "crates"]


def test_force_replaces_a_run_crate_and_nothing_else(run: Path, workflow_crates: Any, tmp_path: Path) -> None:
    workflow_crates.add(9, "extra", offset_s=20)
    assert assemble([workflow_crates.directory], run, Options(overwrite=True)).steps == 7
    assert verify(run).changes == []
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match="not a run crate: not replaced"):
        assemble([workflow_crates.directory], tmp_path / "mine", Options(overwrite=True))
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["RUN.crate", "crates", "mine"]


def test_nothing_is_left_where_the_target_cannot_be_written(workflow_crates: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such directory"):
        assemble([workflow_crates.directory], tmp_path / "nowhere" / "R.crate")
    key = tmp_path / "key"
    key.write_text("no key at all")
    with pytest.raises(Exception, match="ssh-keygen"):
        assemble([workflow_crates.directory], tmp_path / "R.crate", Options(sign=key))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["crates", "key"]


def test_a_zip_holds_the_same_and_can_be_read(workflow_crates: Any, tmp_path: Path) -> None:
    result = assemble([workflow_crates.directory], tmp_path / "R.crate.zip", Options(zip=True))
    assert result.path == tmp_path / "R.crate.zip"
    assert verify(tmp_path / "R.crate.zip").changes == []
    assert len(list(open_run(tmp_path / "R.crate.zip").steps())) == 6
    with zipfile.ZipFile(tmp_path / "R.crate.zip") as archive:
        archive.extractall(tmp_path / "out")
    assert verify(tmp_path / "out").changes == []


def test_copies_are_files_of_their_own(workflow_crates: Any, tmp_path: Path) -> None:
    assemble([workflow_crates.directory], tmp_path / "R.crate", Options(copy=True))
    for path in (tmp_path / "R.crate").rglob("*.json"):
        assert os.stat(path).st_nlink == 1
    assert content(tmp_path / "R.crate" / "steps") == content(workflow_crates.directory)


def _give_away(crate: Path) -> None:
    for path in (crate, *crate.rglob("*")):
        os.chown(path, 65534, 65534)


def _open_to_the_group(crate: Path) -> None:
    for path in crate.rglob("*.json"):
        path.chmod(0o664)


@pytest.mark.parametrize("alter", [_give_away, _open_to_the_group])
def test_what_others_may_write_is_copied(crates: Any, tmp_path: Path, alter: Callable[[Path], None]) -> None:
    if alter is _give_away and os.getuid() != 0:
        pytest.skip("only root can give a crate to another user")
    mine, other = crates.add(1), crates.add(2)
    alter(other)
    assert assemble([crates.directory], tmp_path / "R.crate").steps == 2
    steps = tmp_path / "R.crate" / "steps"
    assert {os.stat(path).st_nlink for path in (steps / other.name).rglob("*.json")} == {1}
    for path in other.rglob("*.json"):
        with path.open("a") as stream:  # as its owner may at any time
            stream.write(" ")
    assert verify(tmp_path / "R.crate").changes == []
    for path in (steps / mine.name).rglob("*.json"):  # linked, or cloned by a file system that can
        assert os.stat(path).st_uid == os.getuid()


def test_no_crates_is_bad_input(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no step crates"):
        assemble([tmp_path / "empty"], tmp_path / "R.crate")


def test_order_of_directories_does_not_matter(workflow_crates: Any, make_crates: Any, tmp_path: Path) -> None:
    make_crates(tmp_path / "more", host="node02").add(7, "more", offset_s=30)
    forward, backward = [workflow_crates.directory, tmp_path / "more"], [tmp_path / "more", workflow_crates.directory]
    options = Options(name="same", preview=False)  # it holds the time of the run crate, and so do the metadata
    assemble(forward, tmp_path / "1.crate", options)
    assemble(backward, tmp_path / "2.crate", options)
    first, second = graph(tmp_path / "1.crate"), graph(tmp_path / "2.crate")
    for part in (first, second):
        part["./"]["datePublished"] = ""
    assert first == second
    assert (tmp_path / "1.crate/manifest-sha256.txt").read_text() == (
        tmp_path / "2.crate/manifest-sha256.txt"
    ).read_text()
