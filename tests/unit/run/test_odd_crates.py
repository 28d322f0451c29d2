"""One odd crate never stops a run: each verb that reads many names it, takes the others, and ends with 1."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prov_worker.cli.main import run as cli
from prov_worker.crate import bounds
from prov_worker.crate import vocabulary as v
from prov_worker.crate.check import check_crate
from prov_worker.crate.reader import StepCrate
from prov_worker.errors import CrateError
from prov_worker.run.api import open_run
from prov_worker.run.export import EXPORTERS
from prov_worker.testing import CrateFactory, task_id

Graph = list[dict[str, Any]]


def change(crate: Path, alter: Callable[[Graph], None]) -> None:
    path = crate / v.METADATA_FILE
    document = json.loads(path.read_text())
    alter(document["@graph"])
    path.write_text(json.dumps(document))


def entity(graph: Graph, identifier: str) -> dict[str, Any]:
    return next(item for item in graph if item["@id"] == identifier)


def action(graph: Graph) -> dict[str, Any]:
    return entity(graph, entity(graph, "./")["mainEntity"]["@id"])


def put(crate: Path, relative: str, data: bytes) -> None:
    """Replace a file that a crate lists, with size and hash as they are then."""
    (crate / relative).write_bytes(data)
    stated = {"contentSize": str(len(data)), "sha256": hashlib.sha256(data).hexdigest()}
    change(crate, lambda graph: entity(graph, relative).update(stated))


def usage(value: Any) -> Callable[[Path], None]:
    return lambda crate: change(crate, lambda graph: entity(graph, "#usage-cpu").update(value=value))


def affinity(crate: Path) -> None:
    change(crate, lambda graph: entity(graph, "#worker-cpu-affinity").update(value="0-" + "9" * 5000))


def nested_datasets(crate: Path) -> None:
    def alter(graph: Graph) -> None:
        names = [f"folder-{number}/" for number in range(2000)]
        for name, inner in zip(names, [*names[1:], names[0]], strict=True):
            graph.append({"@id": name, "@type": "Dataset", "hasPart": [{"@id": inner}]})
        entity(graph, "./")["hasPart"].append({"@id": names[0]})

    change(crate, alter)


def deep_value(crate: Path) -> None:
    value: Any = "bottom"
    for _ in range(bounds.MAX_LEVELS + 1):
        value = [value]
    change(crate, lambda graph: entity(graph, "./").update(keywords=value))


def million_entities(crate: Path) -> None:
    path = crate / v.METADATA_FILE
    text = path.read_text()
    at = text.rindex("]")
    path.write_text(text[:at] + "".join(f',{{"@id":"#{number}"}}' for number in range(1_000_000)) + text[at:])


def many_entities(crate: Path) -> None:
    change(crate, lambda graph: graph.extend({"@id": f"#x{number}"} for number in range(bounds.MAX_ENTITIES)))


def many_arguments(crate: Path) -> None:
    reference = {"@id": "#usage-cpu"}
    change(crate, lambda graph: action(graph).update(object=[reference] * (bounds.MAX_REFERENCES + 1)))


def series(values: list[float], count: int = 1) -> Callable[[Path], None]:
    columns = {f"c{n}": {"unit": "percent", "subject": "task", "mean": values} for n in range(count)}
    task = {"interval_s": 0.05, "offset_s": [0.05 * number for number in range(len(values))], "columns": columns}
    data = {"start": "2026-01-01T00:00:00+00:00", "start_ns": 0, "series": {"task": task}}
    return lambda crate: put(crate, v.SERIES_FILE, json.dumps(data).encode())


def large_metadata(crate: Path) -> None:
    path = crate / v.METADATA_FILE
    path.write_bytes(path.read_bytes() + b" " * bounds.MAX_METADATA_BYTES)


def hole(crate: Path) -> None:
    size = 200 << 30
    os.truncate(crate / v.HARDWARE_FILE, size)
    change(crate, lambda graph: entity(graph, v.HARDWARE_FILE).update(contentSize=str(size)))


def hole_of_another_size(crate: Path) -> None:
    os.truncate(crate / v.HARDWARE_FILE, 200 << 30)


def late_start(crate: Path) -> None:
    def alter(graph: Graph) -> None:
        for identifier in ("#start-ns", "#end-ns"):
            entity(graph, identifier)["value"] = str((1 << 63) - 1)

    change(crate, alter)


def large_size(crate: Path) -> None:
    change(crate, lambda graph: entity(graph, v.HARDWARE_FILE).update(contentSize="9" * 19))


#: Those that every verb must leave out, by name, because their metadata are beyond the bounds.
BEYOND = {
    "negative usage": usage(-1e308),
    "huge usage": usage(10**400),
    "deep value": deep_value,
    "a million entities": million_entities,
    "many entities": many_entities,
    "many arguments": many_arguments,
    "large metadata": large_metadata,
}
#: Those that a verb may take, or take in part.
ODD = {
    "affinity": affinity,
    "nested datasets": nested_datasets,
    "huge samples": series([1e308, 1e308]),
    "many samples": series([1.5] * 100_001, 10),
    "hole": hole,
    "hole of another size": hole_of_another_size,
    "late start": late_start,
    "large size": large_size,
}
HONEST = 3


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Path]]:
    """A directory of honest crates and odd ones; what is odd, and where."""
    crates = CrateFactory(tmp_path_factory.mktemp("odd") / "crates")
    for number in range(HONEST):
        crates.add(number, sampled=True)
    paths = {}
    for number, (name, damage) in enumerate((BEYOND | ODD).items(), 10):
        paths[name] = crates.add(number, sampled=True)
        damage(paths[name])
    return crates.directory, paths


def verbs() -> dict[str, list[str]]:
    exports = {name: ["run", "export", "CRATES", "--format", name, "-o", "OUT"] for name in EXPORTERS.names()}
    return {
        "list": ["list", "CRATES", "--json"],
        "check": ["check", "CRATES", "--no-validator", "--json"],
        "plot": ["plot", "CRATES", "--format", "svg", "-o", "DIR"],
        "assemble": ["run", "assemble", "CRATES", "-o", "OUT"],
        "report": ["run", "report", "CRATES", "-o", "OUT"],
        "index": ["run", "index", "CRATES", "-o", "OUT"],
        **exports,
    }


@pytest.mark.parametrize("verb", sorted(verbs()))
def test_each_verb_names_them_and_takes_the_others(
    odd: tuple[Path, dict[str, Path]], verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory, paths = odd
    needs = {"index": "pyarrow", "parquet": "pyarrow", "openlineage": "openlineage", "report": "jinja2"}
    if verb in needs and importlib.util.find_spec(needs[verb]) is None:
        pytest.skip(f"no {needs[verb]}")
    if verb == "prov-svg":
        pytest.skip("a picture of so many tasks is refused")
    (tmp_path / "dir").mkdir()
    places = {"CRATES": str(directory), "OUT": str(tmp_path / "out"), "DIR": str(tmp_path / "dir")}
    status = cli([places.get(word, word) for word in verbs()[verb]])
    out, errors = capsys.readouterr()
    assert status == (2 if verb == "plot" else 1), errors  # plot: 2 if one cannot be read
    assert "Traceback" not in errors
    totals = {"negative usage", "huge usage"}  # which PROV does not add up
    names = BEYOND.keys() - (totals if verb in ("prov-json", "prov-n", "turtle") else ())
    missing = [name for name in names if paths[name].name not in out + errors]
    assert not missing, errors
    honest = {task_id(number) for number in range(HONEST)}
    if verb == "list":
        assert honest <= {row["task_id"] for row in json.loads(out)}
    elif verb == "check":
        assert all(json.loads(out)[str(directory / f"{task}.crate")] == [] for task in honest)
    elif verb == "plot":
        assert honest <= {path.stem for path in (tmp_path / "dir").iterdir()}
    elif verb == "assemble":
        steps = {path.name for path in (tmp_path / "out" / v.STEPS_DIR).iterdir()}
        assert {f"{task}.crate" for task in honest} <= steps
        assert f"{paths['hole'].name}" not in steps
    elif (tmp_path / "out").is_file():
        content = (tmp_path / "out").read_bytes()
        assert verb in ("parquet", "report") or all(task.encode() in content for task in honest)
    else:
        assert list((tmp_path / "out").iterdir())


def test_data_frames_leave_them_out(odd: tuple[Path, dict[str, Path]]) -> None:
    pytest.importorskip("pandas")
    run = open_run(odd[0])
    for table in (run.tasks(), run.arguments(), run.files()):
        assert {task_id(number) for number in range(HONEST)} >= set(table["task_id"]) - {
            StepCrate.open(odd[1][name]).task_id for name in ODD
        }
        assert {str(odd[1][name]) for name in BEYOND} <= {problem.where for problem in run.problems}


@pytest.mark.parametrize("name", BEYOND | ODD)
def test_one_of_them_is_shown_or_is_one_line(
    odd: tuple[Path, dict[str, Path]], name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status = cli(["show", str(odd[1][name])])
    out, errors = capsys.readouterr()
    assert (status, bool(out), len(errors.splitlines())) in ((0, True, 0), (2, False, 1))


@pytest.mark.parametrize("name", BEYOND)
def test_what_is_beyond_is_one_error_of_its_crate(odd: tuple[Path, dict[str, Path]], name: str) -> None:
    with pytest.raises(CrateError) as caught:
        StepCrate.open(odd[1][name])
    assert str(caught.value).startswith(str(odd[1][name]))
    assert len(str(caught.value)) < 500


def test_a_hole_is_not_read(odd: tuple[Path, dict[str, Path]]) -> None:
    for name, rules in {"hole": {"too-large"}, "hole of another size": {"too-large", "content-size"}}.items():
        assert rules <= {finding.rule for finding in check_crate(odd[1][name])}
