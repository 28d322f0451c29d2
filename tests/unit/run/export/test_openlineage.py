"""Events by openlineage-python, read back without it and held against the crates."""

from __future__ import annotations

import json
import uuid
from collections import Counter, defaultdict
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("openlineage.client")

from prov_worker.crate import vocabulary
from prov_worker.errors import InputError
from prov_worker.model import OutputFile
from prov_worker.run.api import open_run
from prov_worker.run.export import EXPORTERS
from prov_worker.run.export.openlineage import run_id, write_openlineage
from prov_worker.testing import CrateFactory, task_id

SCHEMAS = Path(__file__).parents[4] / "docs" / "schemas"


def events(path: Path) -> list[dict[str, Any]]:
    def refuse(name: str) -> Any:
        raise ValueError(f"{name} is not JSON")

    return [json.loads(line, parse_constant=refuse) for line in path.read_text(encoding="utf-8").splitlines()]


def by_run(lines: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    runs: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for event in lines:
        runs[event["run"]["runId"]].append(event)
    return runs


@pytest.fixture(scope="module")
def written(crates: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    target = tmp_path_factory.mktemp("openlineage") / "run.jsonl"
    count = write_openlineage(open_run(crates), target)
    lines = events(target)
    assert len(lines) == count
    return lines


def test_each_attempt_starts_once_and_ends_once(crates: Path, written: list[dict[str, Any]]) -> None:
    steps = {run_id(step): step for step in open_run(crates).steps()}
    runs = by_run(written)
    assert len(steps) == len(list(open_run(crates).steps())), "each attempt has a run id of its own"
    assert set(steps) < set(runs)
    assert len(runs) == len(steps) + 1
    for identifier, step in steps.items():
        start, end = runs[identifier]
        assert (start["eventType"], end["eventType"]) == ("START", "FAIL" if step.failed else "COMPLETE")
        times = [datetime.fromisoformat(event["eventTime"].replace("Z", "+00:00")) for event in (start, end)]
        assert times[1].timestamp() - times[0].timestamp() == pytest.approx(step.wall_s or 0, abs=2e-6)
        assert times[1].timestamp() == pytest.approx(step.end_ns / 1e9, abs=2e-6)
        assert end["job"]["name"].endswith(step.function)
        assert end["run"]["facets"]["provWorker_execution"]["taskId"] == step.task_id
        assert end["run"]["facets"]["provWorker_execution"]["totals"]["wall"] == step.wall_s
        if step.failed:
            assert end["run"]["facets"]["errorMessage"]["message"] == step.error


def test_the_run_as_a_whole_is_the_parent(written: list[dict[str, Any]]) -> None:
    parents = {event["run"]["facets"]["parent"]["run"]["runId"] for event in written[:-2]}
    start, end = written[-2:]
    assert parents == {start["run"]["runId"]} == {end["run"]["runId"]}
    assert (start["eventType"], end["eventType"]) == ("START", "COMPLETE"), "each failed attempt had a later one"
    assert start["eventTime"] == min(event["eventTime"] for event in written)
    assert end["eventTime"] == max(event["eventTime"] for event in written)


def test_a_run_with_a_failed_task_failed(tmp_path: Path) -> None:
    crates = CrateFactory(tmp_path / "crates")
    crates.add(1)
    crates.add(2, error="no luck")
    write_openlineage(open_run(tmp_path / "crates"), tmp_path / "run.jsonl")
    end = events(tmp_path / "run.jsonl")[-1]
    assert end["eventType"] == "FAIL"
    assert end["run"]["facets"]["errorMessage"]["message"] == "1 of 2 tasks failed"


def test_every_event_has_what_the_specification_requires(written: list[dict[str, Any]]) -> None:
    """OpenLineage 2-0-2: RunEvent, Run, Job, Dataset and BaseFacet."""
    for event in written:
        assert event["producer"].startswith("https://")
        assert event["schemaURL"].startswith("https://openlineage.io/spec/2-0-2/OpenLineage.json")
        assert datetime.fromisoformat(event["eventTime"].replace("Z", "+00:00")).tzinfo is not None
        uuid.UUID(event["run"]["runId"])
        assert event["job"]["namespace"]
        assert event["job"]["name"]
        datasets = event.get("inputs", []) + event.get("outputs", [])
        assert all(dataset["namespace"] and dataset["name"] for dataset in datasets)
        holders = [event["run"], event["job"], *datasets]
        for facet in (facet for holder in holders for facet in holder.get("facets", {}).values()):
            assert facet["_producer"] == event["producer"]
            assert facet["_schemaURL"].startswith("https://")


def test_our_facet_is_as_its_schema_says(written: list[dict[str, Any]]) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads((SCHEMAS / "openlineage-execution-1-0-0.json").read_text(encoding="utf-8"))
    validator = jsonschema.Draft202012Validator(schema)
    facets = [event["run"]["facets"].get("provWorker_execution") for event in written]
    facets = [facet for facet in facets if facet is not None]
    assert len(facets) == (len(written) - 2) // 2
    for facet in facets:
        assert facet["_schemaURL"] == schema["$id"]
        validator.validate(facet)
    with pytest.raises(jsonschema.ValidationError):
        validator.validate({**facets[0], "attempt": "first"})


def test_data_flows_by_path_and_has_a_version(tmp_path: Path) -> None:
    crates = CrateFactory(tmp_path / "crates")
    digest = "ab" * 32
    shared = OutputFile("/scratch/run/table.csv", 1234, digest)
    crates.add(1, "make", generated=[shared], outputs=[OutputFile("local.dat", 5, "cd" * 32)])
    crates.add(2, "use", offset_s=5, used=[shared])
    write_openlineage(open_run(tmp_path / "crates"), tmp_path / "run.jsonl")
    runs = by_run(events(tmp_path / "run.jsonl"))
    make, use = runs[task_id(1)], runs[task_id(2)]
    outputs = {(output["namespace"], output["name"]): output for output in make[1]["outputs"]}
    assert set(outputs) == {("file", "/scratch/run/table.csv"), (f"prov-worker:{task_id(1)}", "local.dat")}
    table = outputs["file", "/scratch/run/table.csv"]
    assert table["facets"]["version"]["datasetVersion"] == f"sha256:{digest}"
    assert table["outputFacets"]["outputStatistics"]["size"] == 1234
    assert [(dataset["namespace"], dataset["name"]) for dataset in use[0]["inputs"]] == [("file", table["name"])]
    assert use[1]["inputs"] == use[0]["inputs"]


def test_a_second_attempt_is_a_run_of_its_own(tmp_path: Path) -> None:
    crates = CrateFactory(tmp_path / "crates")
    crates.add(1, attempt=1, error="no")
    crates.add(1, attempt=2, offset_s=5)
    write_openlineage(open_run(tmp_path / "crates"), tmp_path / "run.jsonl")
    lines = events(tmp_path / "run.jsonl")
    runs = by_run(lines[:-2])
    assert [[event["eventType"] for event in runs[task_id(1)]]] == [["START", "FAIL"]]
    assert len(runs) == 2
    assert lines[-1]["eventType"] == "COMPLETE", "the latest attempt counts"


def test_two_runs_of_one_name_are_two_runs(tmp_path: Path) -> None:
    parents = []
    for number, place in enumerate(("a", "b"), start=1):
        CrateFactory(tmp_path / place / "crates").add(number)
        write_openlineage(open_run(tmp_path / place / "crates"), tmp_path / f"{place}.jsonl")
        parents.append(events(tmp_path / f"{place}.jsonl")[-1]["run"]["runId"])
    assert len(set(parents)) == 2


def test_hostile_names_stay_values(hostile: Path, tmp_path: Path) -> None:
    count = write_openlineage(open_run(hostile), tmp_path / "run.jsonl")
    assert Counter(event["eventType"] for event in events(tmp_path / "run.jsonl"))["START"] == count // 2


def test_a_full_disk_is_one_line(crates: Path) -> None:
    with pytest.raises(InputError, match="cannot be written: .*[Nn]o space left"):
        write_openlineage(open_run(crates), Path("/dev/full"))


def test_it_is_offered() -> None:
    assert EXPORTERS["openlineage"].suffix == "openlineage.jsonl"
    assert vocabulary.PACKAGE_URL.startswith("https://")
