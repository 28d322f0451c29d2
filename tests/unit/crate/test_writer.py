"""What is in a step crate, and that there is never half of one."""

from __future__ import annotations

import json
import math
import os
import shutil
import stat
import uuid
from dataclasses import fields
from pathlib import Path

import pytest

from prov_worker.crate.check import check_crate
from prov_worker.crate.reader import StepCrate
from prov_worker.crate.software import plain_version
from prov_worker.crate.sources import find_crates, source_of
from prov_worker.crate.summary_reader import open_step
from prov_worker.crate.writer import CrateWriter, Plot
from prov_worker.errors import InputError
from prov_worker.model import Column, Failure, Function, Series, TaskSeries, Usage, Value, Worker
from prov_worker.settings import Settings
from prov_worker.testing import CrateFactory

GOLDEN = Path(__file__).parent / "golden" / "ro-crate-metadata.json"
PNG = b"\x89PNG\r\n\x1a\n not a picture, but bytes"


def test_crate_of_a_task_is_the_golden_one_entity_by_entity(writer, make_record, make_series, tmp_path, graph_of):
    crate = writer.publish(make_record(), make_series(), Plot("cpu_usage.png", PNG), tmp_path)
    golden = {entity["@id"]: entity for entity in json.loads(GOLDEN.read_text(encoding="utf-8"))["@graph"]}
    entities = graph_of(crate)
    assert list(entities) == list(golden)
    for identifier, entity in entities.items():
        assert entity == golden[identifier], identifier


def test_same_record_gives_the_same_bytes(snapshot, make_record, make_series, tmp_path):
    crates = []
    for name in ("a", "b"):
        writer = CrateWriter(snapshot, Settings(), account="jcarberry")
        crates.append(writer.publish(make_record(), make_series(gpu=True, node=True), None, tmp_path / name))
    first, second = ({p.relative_to(c): p.read_bytes() for p in c.rglob("*") if p.is_file()} for c in crates)
    assert first == second
    assert len(first) == 5


def test_nothing_that_was_recorded_is_dropped(writer, make_record, make_series, tmp_path, graph_of):
    record = make_record(
        worker=Worker("node-001", 4242, 4243, "3", "c0ffee", "7", [0, 1], {"A": "a"}, {"S": "s"}, {"E": "e"}, "img:1"),
        usage=Usage(
            **{
                field.name: True if field.type == "bool" else number + (0.5 if field.name.endswith("_s") else 0)
                for number, field in enumerate(fields(Usage), start=1000)
            }
        ),
        status="failed",
        failure=Failure("signal", "killed by SIGKILL", "builtins.X", None, "SIGKILL", -9),
        notes=["the plot was left out: too many waited"],
    )
    crate = writer.publish(record, make_series(node=True, gpu=True), None, tmp_path)
    entities = graph_of(crate)
    values = {entity.get("value") for entity in entities.values() if entity["@type"] == "PropertyValue"}
    for part in (record.usage, record.worker, record.failure, record.function):
        for field in fields(part):
            value = getattr(part, field.name)
            if isinstance(value, bool) or value is None or field.name in ("kind", "cpu_affinity", "versions"):
                continue
            if isinstance(value, dict):
                assert set(value.values()) <= values, field.name
            elif field.name in ("message", "source", "doc", "name", "id", "sha256", "sha256_of"):
                continue
            else:
                assert value in values, field.name
    assert entities["#failure-kind"]["value"] == "signal"
    assert entities["#worker-cpu-affinity"]["value"] == "0-1"
    assert entities["#distributed_step"]["error"] == "X: killed by SIGKILL"
    assert entities["#note-1"]["value"] == "the plot was left out: too many waited"
    for output in record.outputs:
        described = next(entity for entity in entities.values() if entity.get("value") == output.path)
        assert described["contentSize"] == str(output.size_bytes)
        assert described.get("sha256") == output.sha256
    assert (
        entities["#input-data"]["description"]
        == "type numpy.ndarray, 800 bytes, length 100; the value was not recorded"
    )
    assert entities["#input-data"]["numberOfItems"] == 100
    assert entities["#attempt"]["value"] == 1
    function = entities["https://compute.api.globus.org/v2/functions/0b1bd6fe-5c3f-4a52-9d2b-1f0a6f6a8c01"]
    assert function["version"] == "sha256:" + record.function.sha256
    assert function["description"] == record.function.doc
    assert (crate / "function" / "source.py").read_text() == record.function.source


def test_cpu_samples_are_the_prototypes_list(writer, make_record, make_series, tmp_path):
    crate = writer.publish(make_record(), make_series(2), None, tmp_path)
    assert json.loads((crate / "data" / "cpu_usage.json").read_text()) == [
        {"timestamp": "2026-11-20T23:26:55.615+00:00", "cpu_percent": 60.0},
        {"timestamp": "2026-11-20T23:26:55.665+00:00", "cpu_percent": 62.0},
    ]


def test_gpu_has_observations_and_a_gpu_that_no_probe_saw_is_said_to_be_one(
    writer, make_record, make_series, tmp_path, graph_of
):
    entities = graph_of(writer.publish(make_record(), make_series(gpu=True), None, tmp_path))
    about = entities["#observation-gpu-gpu0_power_watts"]
    assert (about["minValue"], about["maxValue"]) == (120.5, 250.0)
    assert about["unitCode"] == "https://qudt.org/vocab/unit/W"
    assert about["observationAbout"] == {"@id": "#hardware-gpu-0"}
    assert len(entities["#hardware-gpu-0"]["performance"]) == 4
    assert "not described by a probe" in entities["#hardware-gpu-7"]["description"]
    assert {"@id": "#hardware-gpu-7"} in entities["#hardware-runtime"]["components"]
    assert entities["#usage-gpu-0-max"]["value"] == 95.0


def test_absent_mount_is_a_component_that_says_so(writer, make_record, tmp_path, graph_of):
    entities = graph_of(writer.publish(make_record(), None, None, tmp_path))
    assert entities["#hardware-storage-1"]["description"] == "/mnt/storage is absent on this node: no such path"
    assert entities["#hardware-storage-1-present"]["value"] is False
    assert "#hardware-storage-present" not in entities


def test_task_without_a_sample_says_why(writer, make_record, tmp_path, graph_of):
    short = make_record(end_ns=make_record().start_ns + 1000)
    entities = graph_of(writer.publish(short, TaskSeries(), Plot("cpu_usage.png", PNG), tmp_path))
    assert "shorter than the sampling interval (0.05 s)" in entities["#distributed_step"]["description"]
    assert not {"data/cpu_usage.json", "data/resource_usage.json", "images/cpu_usage.png"} & set(entities)


def test_failed_task_keeps_its_traceback_or_the_little_that_is_known(writer, make_record, tmp_path, graph_of):
    trace = "Traceback (most recent call last):\n  …\nValueError: boom\n"
    failure = Failure("exception", "boom\nwith a second line", "builtins.ValueError", trace)
    crate = writer.publish(make_record(status="failed", result=None, failure=failure), None, None, tmp_path)
    action = graph_of(crate)["#distributed_step"]
    assert action["error"] == "ValueError: boom with a second line"
    assert action["actionStatus"] == "http://schema.org/FailedActionStatus"
    assert {"@id": "logs/traceback.txt"} in action["result"]
    assert (crate / "logs" / "traceback.txt").read_text(encoding="utf-8") == trace

    killed = Failure("signal", "the worker was killed", signal="SIGKILL")
    other = make_record(task_id=str(uuid.UUID(int=4)), status="failed", result=None, failure=killed, outputs=[])
    crate = writer.publish(other, None, None, tmp_path)
    assert graph_of(crate)["#distributed_step"]["result"] == {"@id": "logs/error.txt"}
    assert (crate / "logs" / "error.txt").read_text() == "the worker was killed\nkind: signal\nsignal: SIGKILL\n"


def test_failed_task_without_a_reason(writer, make_record, tmp_path, graph_of):
    crate = writer.publish(make_record(status="failed", result=None), None, None, tmp_path)
    assert graph_of(crate)["#distributed_step"]["error"] == "The task failed; no reason is known."
    assert check_crate(crate) == []


def test_uuid_and_text_give_one_crate(writer, make_record, tmp_path):
    record = make_record()
    as_text = writer.publish(record, None, None, tmp_path / "text")
    record.task_id = uuid.UUID(record.task_id)
    as_uuid = writer.publish(record, None, None, tmp_path / "uuid")
    assert as_text.name == as_uuid.name == "7a171870-b038-4174-84e1-29cdcc42f72c.crate"
    assert (as_text / "ro-crate-metadata.json").read_bytes() == (as_uuid / "ro-crate-metadata.json").read_bytes()


@pytest.mark.parametrize(
    "hostile",
    [
        'two\nlines, "quotes", \\back\\slashes and </script>',
        "lone \ud800 surrogate, nul \x00, bell \x07, C1 \x9b",
        "x" * (1 << 20),
        "Юникод 日本語 🧪 e\u0301",
        "../../etc/passwd",
        "",
        " ",
        "#",
        "a b%20c?d#e",
    ],
)
def test_hostile_text_everywhere(writer, make_record, tmp_path, hostile):
    record = make_record(
        task_id=hostile or "empty",
        status="failed",
        function=Function(hostile, hostile, doc=hostile, source=hostile, sha256=None),
        worker=Worker(
            hostile, 1, rank=hostile, environment={hostile: hostile}, versions={"python": hostile, hostile: "1"}
        ),
        endpoint_id=None,
        endpoint_name=hostile,
        arguments=[Value(hostile, hostile, value=hostile), Value(hostile, hostile)],
        result=Value("return", hostile, value=hostile),
        failure=Failure("exception", hostile, hostile, hostile),
        notes=[hostile],
    )
    crate = writer.publish(record, None, None, tmp_path)
    assert crate.parent == tmp_path
    assert check_crate(crate) == []
    assert list(find_crates(tmp_path)) == [crate]
    step = StepCrate.open(crate)
    assert step.error is None or "\n" not in step.error
    assert len((crate / "ro-crate-metadata.json").read_bytes()) < 300_000
    if hostile and "\ud800" not in hostile:
        assert (crate / "function" / "source.py").read_text(encoding="utf-8") == hostile


def test_values_that_json_has_not_are_written_as_text(writer, make_record, tmp_path, graph_of):
    record = make_record(arguments=[Value("a", "float", value=math.nan), Value("b", "float", value=-math.inf)])
    series = TaskSeries(
        task=Series(0.05, [0.05, 0.1, 0.15], {"cpu_percent": Column("percent", [math.nan, 50.0, None])}, 3, 3, 0.05)
    )
    crate = writer.publish(record, series, None, tmp_path)
    entities = graph_of(crate)
    assert entities["#input-a"]["value"] == "nan"
    assert entities["#input-b"]["value"] == "-inf"
    assert entities["#observation-cpu-usage"]["minValue"] == 50.0
    assert StepCrate.open(crate).series().task.columns["cpu_percent"].mean == [None, 50.0, None]
    assert check_crate(crate) == []


def test_private_under_the_umask_of_production(writer, make_record, make_series, tmp_path):
    before = os.umask(0o077)
    try:
        crate = writer.publish(make_record(), make_series(), None, tmp_path / "new" / "crates")
    finally:
        os.umask(before)
    for path in [crate.parent, crate, *crate.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_interrupted_write_leaves_nothing_visible(writer, make_record, make_series, tmp_path, monkeypatch):
    from prov_worker.crate import writer as module

    real = module._write
    for stop in range(5):
        calls = iter(range(100))

        def write(path: str, data: bytes, stop: int = stop, calls=calls) -> None:
            if next(calls) == stop:
                raise OSError(28, "No space left on device")
            real(path, data)

        # A full disk cannot be provoked in a directory of the tests.
        monkeypatch.setattr(module, "_write", write)
        with pytest.raises(OSError, match="No space left"):
            writer.publish(make_record(), make_series(), None, tmp_path)
        assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(module, "_write", real)
    assert check_crate(writer.publish(make_record(), make_series(), None, tmp_path)) == []


def test_leftover_of_a_killed_writer_is_no_crate(writer, make_record, tmp_path):
    leftover = tmp_path / ".tmp-x-node-1"
    leftover.mkdir()
    (leftover / "ro-crate-metadata.json").write_text("{}")
    crate = writer.publish(make_record(), None, None, tmp_path)
    assert list(find_crates(tmp_path)) == [crate]


def test_image_of_the_node_where_the_worker_names_none(snapshot, make_record, tmp_path, graph_of):
    snapshot.probes["environment"].data["container"] = {"kind": "apptainer", "image": "/images/work.sif"}
    crate = CrateWriter(snapshot, Settings()).publish(make_record(), None, None, tmp_path)
    assert graph_of(crate)["#container-image"]["name"] == "/images/work.sif"


def test_node_samples_alone_are_no_samples_of_the_task(writer, make_record, make_series, tmp_path, graph_of):
    series = make_series(node=True)
    series.task = None
    record = make_record()
    record.end_ns = record.start_ns + 1000
    entities = graph_of(writer.publish(record, series, None, tmp_path))
    assert "shorter than the sampling interval" in entities["#distributed_step"]["description"]
    assert "data/resource_usage.json" in entities
    assert "data/cpu_usage.json" not in entities


def test_plot_needs_the_name_of_an_image(writer, make_record, make_series, tmp_path):
    with pytest.raises(InputError, match=r"cpu_usage\.txt"):
        writer.publish(make_record(), make_series(), Plot("cpu_usage.txt", PNG), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_node_without_any_probe(make_record, make_series, tmp_path, snapshot):
    snapshot.probes = {}
    crate = CrateWriter(snapshot, Settings()).publish(make_record(), make_series(), None, tmp_path)
    assert check_crate(crate) == []


@pytest.mark.parametrize(
    ("version", "spelled"),
    [
        ("2026.05.04", "2026.5.4"),
        ("2026.10.26", "2026.10.26"),
        ("2024.01.00", "2024.1.0"),
        ("4.19.0", "4.19.0"),
        ("0.1.0", "0.1.0"),
        ("00.1", "0.1"),
        ("1.0.0rc01", "1.0.0rc01"),
    ],
)
def test_a_version_is_spelled_as_package_indexes_do(version, spelled):
    assert plain_version(version) == spelled


def test_parsl_has_one_spelling_in_crate_and_tables(writer, make_record, tmp_path):
    record = make_record()
    record.worker.versions["parsl"] = "2026.05.04"
    crate = writer.publish(record, None, None, tmp_path)
    text = (crate / "ro-crate-metadata.json").read_text()
    assert "2026.05.04" not in text
    assert "https://pypi.org/project/parsl/2026.5.4/" in text
    assert open_step(source_of(crate))[0].versions["parsl"] == "2026.5.4"


def test_the_hardware_report_says_everything_once_and_is_read_whole(writer, snapshot, make_record, tmp_path):
    crate = writer.publish(make_record(), None, None, tmp_path)
    text = (crate / "data/hardware.json").read_text(encoding="utf-8")
    assert text.count("Model name") == text.count('"mount_point":"/local/scratch"') == 1
    report = StepCrate.open(crate).hardware()
    for name, taken in snapshot.probes.items():
        assert report["probes"][name]["data"] == taken.data, name


# -- files that crates share ------------------------------------------------------------------------------------------


def hardware_of(crate: Path) -> os.stat_result:
    return (crate / "data/hardware.json").stat()


def test_crates_of_a_node_share_its_hardware_report(tmp_path: Path) -> None:
    factory = CrateFactory(tmp_path, share=True)
    first, second = factory.add(1), factory.add(2)
    assert hardware_of(first).st_ino == hardware_of(second).st_ino
    shutil.rmtree(first)
    third = factory.add(3)
    assert check_crate(third) == check_crate(second) == []
    assert hardware_of(second).st_nlink == 1
    assert hardware_of(factory.add(4)).st_ino == hardware_of(third).st_ino


@pytest.mark.parametrize("content", [b"{}", None])
def test_a_report_that_somebody_changed_is_in_no_further_crate(tmp_path: Path, content: bytes | None) -> None:
    factory = CrateFactory(tmp_path, share=True)
    report = factory.add(1) / "data/hardware.json"
    report.write_bytes(report.read_bytes().replace(b"EPYC", b"XXXX") if content is None else content)
    os.utime(report, (0, 0))
    assert check_crate(factory.add(2)) == []


def test_a_link_in_the_place_of_the_report_is_in_no_further_crate(tmp_path: Path) -> None:
    factory = CrateFactory(tmp_path / "crates", share=True)
    report = factory.add(1) / "data/hardware.json"
    report.rename(tmp_path / "report")
    report.symlink_to(tmp_path / "report")
    assert check_crate(factory.add(2)) == []
