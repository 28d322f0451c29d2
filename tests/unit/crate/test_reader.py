"""Opening crates: ours, the reference's, and broken ones."""

from __future__ import annotations

import json
import shutil
from datetime import datetime, timezone

import pytest
from rocrate.rocrate import ROCrate

from prov_worker.crate.reader import StepCrate
from prov_worker.crate.sources import find_crates
from prov_worker.errors import CrateError
from prov_worker.model import Failure, Function, HardwareSnapshot, TaskSeries, Value


def test_reads_back_what_was_written(writer, make_record, make_series, snapshot, tmp_path):
    record, series = make_record(), make_series(gpu=True, node=True, band=True)
    crate = StepCrate.open(writer.publish(record, series, None, tmp_path))
    assert crate.task_id == record.task_id
    assert (crate.attempt, crate.status, crate.error) == (1, "completed", None)
    assert crate.start == datetime(2026, 11, 20, 23, 26, 55, 565000, tzinfo=timezone.utc)
    assert crate.end == datetime(2026, 11, 20, 23, 26, 56, 568000, tzinfo=timezone.utc)
    assert crate.wall_time_s == record.wall_time_s
    assert (crate.function_name, crate.host, crate.endpoint_id) == ("rev_txt", "node-001", record.endpoint_id)
    assert crate.usage["wall"] == (record.wall_time_s, "second")
    assert crate.usage["peak-rss"] == (67_039_232, "byte")
    assert crate.usage["cpu-max"] == (103.0, "percent")
    assert crate.series() == series
    assert HardwareSnapshot.from_dict(crate.hardware()) == snapshot
    assert {file.id for file in crate.files} == {
        "function/source.py",
        "data/hardware.json",
        "data/cpu_usage.json",
        "data/resource_usage.json",
    }
    for file in crate.files:
        assert (crate.path / file.relative).stat().st_size == file.size_bytes


def test_no_sentence_is_read(writer, make_record, make_series, tmp_path, edit):
    """What programs need of a crate is there without any text that is for people."""
    notes = ["No plot was drawn: too many waited.", "Of 3 files. Note: one could not be read; 5 of 9 expected samples"]
    function = Function("f", None, doc="Doc (function id unknown; identified by its name)", sha256="ab" * 32)
    arguments = [Value("n", "int", value=3), Value("kept", "str", value="the value was not recorded"), Value("x", "X")]
    record = make_record(notes=notes, function=function, arguments=arguments, result=None, outputs=[])
    path = writer.publish(record, make_series(20, node=True), None, tmp_path)

    def facts():
        crate = StepCrate.open(path)
        values = [crate.value_recorded(crate.entities[name]) for name in ("#input-n", "#input-kept", "#input-x")]
        taken = (crate.samples, crate.samples_expected)
        return crate.notes, taken, values, crate.value_recorded(crate.entities["#output-return"])

    expected = notes, (20, 20), [True, True, False], False
    assert facts() == expected
    crate = StepCrate.open(path)
    assert (crate.function_doc, crate.function_identified_by) == (function.doc, "sha256")

    def strip(entities):
        for identifier, entity in entities.items():
            entity.pop("description", None)
            if identifier.startswith(("#samples", "#note", "#function")):
                entity["name"] = ""

    edit(path, strip)
    assert facts() == expected


def test_a_quick_task_without_notes(writer, make_record, tmp_path):
    crate = StepCrate.open(writer.publish(make_record(), TaskSeries(), None, tmp_path))
    assert (crate.notes, crate.samples, crate.samples_expected) == ([], None, None)
    assert crate.function_identified_by == "id"


def test_failed_task(writer, make_record, tmp_path):
    record = make_record(status="failed", failure=Failure("exception", "boom", "ValueError"), attempt=4)
    crate = StepCrate.open(writer.publish(record, None, None, tmp_path))
    assert (crate.attempt, crate.status, crate.error) == (4, "failed", "ValueError: boom")
    assert crate.series() == TaskSeries()


def test_community_library_reads_the_crate(writer, make_record, make_series, tmp_path):
    path = writer.publish(make_record(), make_series(gpu=True), None, tmp_path)
    crate = ROCrate(path)
    assert crate.mainEntity.id == "#distributed_step"
    assert crate.mainEntity["actionStatus"] == "http://schema.org/CompletedActionStatus"
    ours = StepCrate.open(path)
    assert {entity.id for entity in crate.get_entities()} == set(ours.entities)
    assert crate.get("#observation-cpu-usage")["observationAbout"].id == "#hardware-cpu"
    properties = {entity["name"]: entity["value"] for entity in crate.mainEntity["additionalProperty"]}
    assert (properties["samples taken"], properties["samples expected"]) == (20, 20)
    assert crate.get("#input-data")["valueRecorded"] is False


def test_step_is_found_through_the_root_and_never_by_its_id(writer, make_record, tmp_path):
    path = writer.publish(make_record(), None, None, tmp_path)
    metadata = path / "ro-crate-metadata.json"
    metadata.write_text(metadata.read_text().replace("#distributed_step", "distributed_step"))
    assert StepCrate.open(path).action["@id"] == "distributed_step"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda e: e["./"].pop("mainEntity"), "./.mainEntity: missing, so this is not a step crate"),
        (lambda e: e.pop("#distributed_step"), "./.mainEntity: no entity #distributed_step"),
        (lambda e: e["#distributed_step"].update({"@type": "HowTo"}), "is no CreateAction"),
        (lambda e: e["#distributed_step"].pop("endTime"), "#distributed_step.endTime: missing"),
        (lambda e: e["#distributed_step"].update(endTime="soon"), "#distributed_step.endTime: expected a time"),
        (lambda e: e["#distributed_step"].update(startTime="2026-01-01T00:00:00"), "startTime: expected a time with"),
        (lambda e: e["#distributed_step"].update(actionStatus="fine"), "actionStatus: expected CompletedActionStatus"),
        (lambda e: e["#attempt"].update(value="many"), "#attempt.value: expected an integer"),
        (lambda e: e.pop("#usage-wall"), "#distributed_step.resourceUsage: no entity #usage-wall"),
        (lambda e: e["#usage-wall"].pop("value"), "#usage-wall.value: expected a number"),
        (lambda e: e.pop("#task-id"), "#distributed_step.identifier: expected a reference to the task id"),
        (lambda e: e["data/hardware.json"].update({"@id": "../hardware.json"}), "a file of a crate lies inside it"),
    ],
)
def test_damage_is_named_with_file_and_key(writer, make_record, tmp_path, edit, change, message):
    path = writer.publish(make_record(), None, None, tmp_path)
    edit(path, change)
    with pytest.raises(CrateError) as raised:
        StepCrate.open(path)
    assert str(raised.value).startswith(str(path / "ro-crate-metadata.json"))
    assert message in str(raised.value)


@pytest.mark.parametrize(
    "content",
    [b"", b"{torn", b"[1]", b"{}", b'{"@graph": [1]}', b'{"@graph": [{"@id": 1}]}', b"\xff\xfe", b"[" * 100_000],
)
def test_metadata_that_is_none(tmp_path, content):
    (tmp_path / "ro-crate-metadata.json").write_bytes(content)
    with pytest.raises(CrateError, match=r"ro-crate-metadata\.json: "):
        StepCrate.open(tmp_path)


def test_no_directory_and_no_metadata(tmp_path):
    with pytest.raises(CrateError, match="no such crate"):
        StepCrate.open(tmp_path / "nowhere")
    with pytest.raises(CrateError, match=r"metadata\.json is missing"):
        StepCrate.open(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{torn", "invalid JSON"),
        ("[]", "list indices"),
        ("{}", "series: missing"),
        ('{"series": {"task": {"offset_s": ["x"]}}}', "expected a list of numbers"),
        (
            '{"series": {"task": {"interval_s": 1, "offset_s": [1], "columns": {"a": {"unit": "x", "mean": [1, 2]}}}}}',
            "2 values for 1 time",
        ),
        ('{"series": {"moon": {}}}', "unknown series"),
    ],
)
def test_damaged_series_is_named(writer, make_record, make_series, tmp_path, content, message):
    path = writer.publish(make_record(), make_series(), None, tmp_path)
    (path / "data" / "resource_usage.json").write_text(content)
    with pytest.raises(CrateError) as raised:
        StepCrate.open(path).series()
    assert str(raised.value).startswith(str(path / "data" / "resource_usage.json"))
    assert message in str(raised.value)


def test_missing_hardware_is_named(writer, make_record, tmp_path):
    path = writer.publish(make_record(), None, None, tmp_path)
    (path / "data" / "hardware.json").unlink()
    with pytest.raises(CrateError, match=r"data/hardware\.json: no such file"):
        StepCrate.open(path).hardware()


def test_find_crates(writer, make_record, tmp_path):
    crate = writer.publish(make_record(), None, None, tmp_path)
    collected = tmp_path / "0f0f0f0f-b038-4174-84e1-29cdcc42f72c"
    shutil.copytree(crate, collected)
    shutil.copytree(crate, tmp_path / ".tmp-hidden.crate")
    (tmp_path / "logs").mkdir()
    (tmp_path / "note.crate").write_text("a file")
    broken = tmp_path / "broken.crate"
    broken.mkdir()
    assert list(find_crates(tmp_path)) == [collected, crate, broken]
    with pytest.raises(CrateError, match="cannot be listed"):
        list(find_crates(tmp_path / "nowhere"))


def test_crate_of_another_writer_of_the_contract(tmp_path, writer, make_record, edit):
    """A crate without our own additions, as the contract allows."""
    path = writer.publish(make_record(), None, None, tmp_path)

    def plain(entities):
        entities["#distributed_step"]["actionStatus"] = {"@id": "http://schema.org/CompletedActionStatus"}
        entities["#distributed_step"]["startTime"] = "2026-11-20T23:26:55Z"
        for key in ("additionalProperty", "resourceUsage", "environment", "provider"):
            del entities["#distributed_step"][key]
        for identifier in ("#attempt", "#worker-host"):
            del entities[identifier]

    edit(path, plain)
    crate = StepCrate.open(path)
    assert (crate.attempt, crate.host, crate.endpoint_id, crate.usage) == (1, None, None, {})
    assert crate.wall_time_s == pytest.approx(1.568)
    assert json.dumps(crate.description)
