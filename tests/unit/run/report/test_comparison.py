"""Two runs side by side."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from prov_worker.cli.main import run as cli
from prov_worker.model import ProbeReport, Value
from prov_worker.run.api import open_run
from prov_worker.run.report.comparison import Comparison, Pair, compare
from prov_worker.testing import CrateFactory, node, text_value
from prov_worker.testing.crates import task_id


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Path, Path]:
    """Fits of three tables in each of two runs: the second ran elsewhere, twice as long, and one of its fits failed."""
    first, second = CrateFactory(tmp_path / "a"), CrateFactory(tmp_path / "b", host="node02")
    for number, table in enumerate(("rain", "snow", "wind")):
        arguments = [text_value("table", table)]
        first.add(number, "fit", offset_s=number, wall_s=2.0, arguments=arguments, result=text_value("return", table))
        error = "did not converge" if table == "wind" else None
        result = text_value("return", "SNOW" if table == "snow" else table)
        second.add(10 + number, "fit", offset_s=9 - number, wall_s=4.0, arguments=arguments, result=result, error=error)
    first.add(3, "fit", arguments=[text_value("table", "hail")], error="no hail")
    second.add(13, "fit", attempt=1, arguments=[text_value("table", "hail")], error="no hail")
    second.add(13, "fit", offset_s=5, attempt=2, arguments=[text_value("table", "hail")])
    first.add(4, "plot", arguments=[Value("style", "Style")])
    second.add(14, "merge", arguments=[Value("none", "NoneType")])
    return first.directory, second.directory


def compared(runs: tuple[Path, Path]) -> Comparison:
    return compare(*(open_run(path).steps() for path in runs))


def test_calls_are_matched_by_their_arguments(runs: tuple[Path, Path]) -> None:
    result = compared(runs)
    assert result.matched == 4
    assert result.slower == 2.0
    assert sorted(result.changes, key=lambda pair: pair.first) == [
        Pair("fit", task_id(1), task_id(11), "result"),
        Pair("fit", task_id(2), task_id(12), "failed", "ValueError: did not converge"),
        Pair("fit", task_id(3), task_id(13), "completed", "ValueError: no hail"),
    ]
    assert (result.only_first, result.only_second, result.unmatched) == ({}, {"merge": 1}, 1)


def test_figures_are_of_the_latest_attempts(runs: tuple[Path, Path]) -> None:
    functions = compared(runs).functions
    assert list(functions) == ["fit", "merge", "plot"]
    first, second = functions["fit"]
    assert first is not None
    assert second is not None
    assert (first.tasks, first.failed, first.attempts, first.wall_s, first.wall_sum_s) == (4, 1, 4, 2.0, 7.0)
    assert (second.tasks, second.failed, second.attempts, second.wall_s, second.wall_sum_s) == (4, 1, 5, 4.0, 14.0)
    assert functions["merge"][0] is functions["plot"][1] is None


def test_environments_that_differ_are_named(runs: tuple[Path, Path]) -> None:
    environments = compared(runs).environments
    assert environments["host"] == (["node01"], ["node02"])
    assert "python" not in environments
    assert [name for name in environments if name.startswith("code of ")] == ["code of merge", "code of plot"]


def test_a_run_is_as_itself(runs: tuple[Path, Path]) -> None:
    result = compared((runs[0], runs[0]))
    assert (result.matched, result.slower, result.changes, result.environments) == (4, 1.0, [], {})


def test_calls_that_are_alike_are_matched_once_each(tmp_path: Path) -> None:
    first, second = CrateFactory(tmp_path / "a"), CrateFactory(tmp_path / "b")
    for number in range(3):
        first.add(number, "draw", offset_s=number, wall_s=1.0 + number)
    for number in range(2):
        second.add(number, "draw", offset_s=number, wall_s=1.0 + number)
    result = compared((first.directory, second.directory))
    assert (result.matched, result.slower, result.only_first) == (2, 1.0, {"draw": 1})


def test_the_command(runs: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli(["run", "compare", *map(str, runs)]) == 0
    shown = capsys.readouterr().out
    assert "4 calls in both; B took 2.00 times as long, by the median" in shown
    assert "in B alone: 1 merge" in shown
    assert "fails in B: fit " in shown
    assert "node01" in shown
    assert cli(["run", "compare", *map(str, runs), "--function", "fit", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert list(answer["functions"]) == ["fit"]
    assert answer["functions"]["fit"][1]["attempts"] == 5
    assert {change["change"] for change in answer["changes"]} == {"failed", "completed", "result"}
    assert cli(["run", "compare", str(runs[0]), "/nowhere"]) == 2
    assert capsys.readouterr().err == "prov-worker: /nowhere: no such run or directory\n"


def test_environments_are_told_apart_by_their_packages(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    common = {"dill": "0.3.9", "parsl": "2026.5.4"}
    for name, packages in (("a", {**common, "numpy": "2.1.0"}), ("b", {**common, "numpy": "2.2.0", "torch": "2.15"})):
        snapshot = node()
        software = {"distributions": packages, "software_bill": name * 64}
        snapshot.probes["environment"] = ProbeReport("environment", True, 0.01, software)
        CrateFactory(tmp_path / name, snapshot=snapshot).add(1, "fit")
    places = [str(tmp_path / name) for name in "ab"]
    assert [next(iter(open_run(place).steps())).software_sha256 for place in places] == ["a" * 64, "b" * 64]
    assert cli(["run", "compare", *places, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["packages"] == {"numpy": [["2.1.0"], ["2.2.0"]], "torch": [[], ["2.15"]]}
    assert answer["environments"]["software"] == [["a" * 12], ["b" * 12]]
    assert cli(["run", "compare", *places]) == 0
    assert "torch" in capsys.readouterr().out
