"""The product's own checks: each fault that the community's validator does not notice is found by name."""

from __future__ import annotations

import json

import pytest

from prov_worker.crate.check import Violation, check_crate


@pytest.fixture
def crate(writer, make_record, make_series, tmp_path):
    return writer.publish(make_record(), make_series(gpu=True, node=True), None, tmp_path)


def test_sound_crate_has_no_finding(crate):
    assert check_crate(crate) == []


def _text_reference(identifier, key):
    def fault(entities):
        value = entities[identifier][key]
        entities[identifier][key] = (
            value["@id"] if isinstance(value, dict) else [reference["@id"] for reference in value]
        )

    return fault


def _swap_times(entities):
    action = entities["#distributed_step"]
    action["startTime"], action["endTime"] = action["endTime"], action["startTime"]


def _rename(old, new):
    def fault(entities):
        for entity in entities.values():
            for value in entity.values():
                members = value if isinstance(value, list) else [value]
                for member in members:
                    if isinstance(member, dict) and member.get("@id") == old:
                        member["@id"] = new
        entities[old]["@id"] = new

    return fault


FAULTS = {
    "resourceUsage as text": (
        _text_reference("#distributed_step", "resourceUsage"),
        "not-a-reference",
        "#distributed_step.resourceUsage",
    ),
    "observationAbout as text": (
        _text_reference("#observation-cpu-usage", "observationAbout"),
        "not-a-reference",
        "#observation-cpu-usage.observationAbout",
    ),
    "hasPart as text": (_text_reference("./", "hasPart"), "not-a-reference", "./.hasPart"),
    "reference with more than an id": (
        lambda e: e["#distributed_step"].update(step={"@id": "#step", "name": "x"}),
        "not-a-reference",
        "#distributed_step.step",
    ),
    "dangling reference": (lambda e: e.pop("#step"), "dangling", "#distributed_step.step"),
    "wrong sha256": (
        lambda e: e["data/hardware.json"].update(sha256="0" * 64),
        "sha256",
        "data/hardware.json.sha256",
    ),
    "wrong contentSize": (
        lambda e: e["data/hardware.json"].update(contentSize="1"),
        "content-size",
        "data/hardware.json.contentSize",
    ),
    "contentSize as a number": (
        lambda e: e["data/hardware.json"].update(contentSize=int(e["data/hardware.json"]["contentSize"])),
        "content-size",
        "data/hardware.json.contentSize",
    ),
    "end before start": (_swap_times, "time-order", "#distributed_step.endTime"),
    "step without position": (lambda e: e["#step"].pop("position"), "step", "#step.position"),
    "step with an empty position": (lambda e: e["#step"].update(position=""), "step", "#step.position"),
    "no step": (lambda e: e["#distributed_step"].pop("step"), "step", "#distributed_step.step"),
    "null": (lambda e: e["#step"].update(description=None), "null", "#step.description"),
    "null in a list": (lambda e: e["./"].update(hasPart=[None]), "null", "./.hasPart"),
    "nobody refers to it": (
        lambda e: e.update({"#lost": {"@id": "#lost", "@type": "Thing"}}),
        "unreferenced",
        "#lost",
    ),
    "space in an id": (_rename("#attempt", "#the attempt"), "unencoded-id", "#the attempt"),
    "file outside of the crate": (_rename("data/hardware.json", "../hardware.json"), "outside", "../hardware.json"),
    "no end": (lambda e: e["#distributed_step"].pop("endTime"), "not-a-step", "#distributed_step.endTime"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_seeded_fault_is_found(crate, edit, name):
    fault, rule, where = FAULTS[name]
    edit(crate, fault)
    assert (rule, where) in {(finding.rule, finding.where) for finding in check_crate(crate)}


def test_duplicate_id(crate):
    metadata = crate / "ro-crate-metadata.json"
    document = json.loads(metadata.read_text())
    document["@graph"].append(document["@graph"][-1])
    metadata.write_text(json.dumps(document))
    assert [finding.rule for finding in check_crate(crate)] == ["duplicate-id"]


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
def test_constants_that_are_no_json(crate, constant):
    metadata = crate / "ro-crate-metadata.json"
    text = metadata.read_text()
    metadata.write_text(text.replace('"value":1.003746', f'"value":{constant}'))
    assert metadata.read_text() != text
    assert check_crate(crate) == [
        Violation("error", "not-json", "ro-crate-metadata.json", f"{constant} is not a JSON value")
    ]


def test_constant_in_a_data_file(crate):
    data = crate / "data" / "cpu_usage.json"
    data.write_text('[{"timestamp": "", "cpu_percent": NaN}]')
    assert ("not-json", "cpu_usage.json") in {(finding.rule, finding.where) for finding in check_crate(crate)}


def test_missing_and_unlisted_files(crate):
    (crate / "data" / "hardware.json").unlink()
    (crate / "data" / "extra.json").write_text("{}")
    findings = {(finding.level, finding.rule, finding.where) for finding in check_crate(crate)}
    assert findings == {("error", "missing-file", "data/hardware.json"), ("warning", "unlisted", "data/extra.json")}


def test_one_changed_byte(crate):
    source = crate / "function" / "source.py"
    data = bytearray(source.read_bytes())
    data[0] ^= 1
    source.write_bytes(data)
    assert [finding.rule for finding in check_crate(crate)] == ["sha256"]


def test_what_is_no_crate(tmp_path):
    assert [finding.rule for finding in check_crate(tmp_path / "nowhere")] == ["unreadable"]
    (tmp_path / "ro-crate-metadata.json").write_text("{torn")
    (finding,) = check_crate(tmp_path)
    assert "invalid JSON" in finding.message


@pytest.mark.parametrize(
    ("report", "messages"),
    [
        ({"data": {"job_id": "7.pbs"}}, []),
        ({"data": {"job_id": "6.pbs"}}, ["describes job 6.pbs, the task ran in job 7.pbs"]),
        ({"data": {}, "absent": "not in a job"}, ["describes no job, the task ran in job 7.pbs"]),
        ({"data": {}, "error": "timed out"}, []),
        (None, []),
    ],
)
def test_report_of_another_job(crate, edit, report, messages):
    def put(entities):
        entities["#env-PBS_JOBID"] = {"@id": "#env-PBS_JOBID", "@type": "PropertyValue", "value": "7.pbs"}

    edit(crate, put)
    path = crate / "data/hardware.json"
    hardware = json.loads(path.read_text())
    hardware["probes"].pop("scheduler", None)
    if report is not None:
        hardware["probes"]["scheduler"] = report
    path.write_text(json.dumps(hardware))
    assert [finding.message for finding in check_crate(crate) if finding.rule == "other-job"] == messages
