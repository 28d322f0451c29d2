"""Reports: text, JSON, a crate that can be attached to a ticket."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from prov_worker.cli.main import run as cli
from prov_worker.crate.check import find_validator, validate_profiles
from prov_worker.errors import InputError
from prov_worker.testing import CrateFactory
from support.diagnosis import ENDPOINT, environment, judged, placement, sent


def test_text_and_json() -> None:
    report = judged("parallel", [sent(), sent(stage=2, placement=placement([0]))])
    assert report.to_text() == (
        "pass: parallel: tasks at once: 1 of 1: 1 worker on 1 node (1 on nid001)\n"
        f"{ENDPOINT}: 1 passed, 0 warnings, 0 failed, 0 skipped, in 1.50 s: 2 tasks in 2 round trips\n"
    )
    document = json.loads(json.dumps(report.to_json()))
    assert (document["ok"], document["checks"], document["site"]) == (True, ["parallel"], None)
    assert document["findings"][0]["check"] == "parallel"
    assert [task["trip"] for task in document["tasks"]] == [1, 2]
    assert list(document["tasks"][0]["stages_s"]) == ["submit", "queue", "run", "back"]


def test_the_last_line_counts_in_the_singular_too() -> None:
    last = judged("parallel", [sent()]).to_text().splitlines()[-1]
    assert last.endswith(": 1 task in 1 round trip")


@pytest.mark.validator
def test_the_crate_is_valid_by_the_communitys_validator(tmp_path: Path) -> None:
    if find_validator() is None:
        pytest.skip("no interpreter with roc-validator")
    report = judged("environment", [sent(environment=environment())])
    report.write(tmp_path / "report.crate")
    assert validate_profiles([tmp_path / "report.crate"], profile="process-run-crate") == {
        tmp_path / "report.crate": []
    }


def test_a_zip_holds_the_same(tmp_path: Path) -> None:
    report = judged("environment", [sent(environment=environment())])
    report.write(tmp_path / "report.crate")
    report.write(tmp_path / "report.zip")
    names = {"ro-crate-metadata.json", "report.json", "report.txt"}
    assert {path.name for path in (tmp_path / "report.crate").iterdir()} == names
    with zipfile.ZipFile(tmp_path / "report.zip") as archive:
        assert set(archive.namelist()) == names
        for name in names - {"ro-crate-metadata.json"}:
            assert archive.read(name) == (tmp_path / "report.crate" / name).read_bytes()
    assert (tmp_path / "report.crate" / "report.txt").read_text() == report.to_text()


def test_nothing_is_replaced_and_nothing_half_written(tmp_path: Path) -> None:
    report = judged("environment", [sent(environment=environment())])
    (tmp_path / "there.zip").touch()
    with pytest.raises(InputError, match=r"there\.zip"):
        report.write(tmp_path / "there.zip")
    with pytest.raises(InputError, match="is not a directory"):
        report.write(tmp_path / "none" / "report.zip")
    assert [path.name for path in tmp_path.iterdir()] == ["there.zip"]


def test_list_leaves_tasks_of_diagnoses_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    factory = CrateFactory(tmp_path)
    factory.add(1, "simulate")
    factory.add(2, "prov_worker_diagnose", annotations={"run": "prov-worker diagnose"})
    assert cli(["list", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert shown.splitlines()[-1] == "1 crate; 1 of `prov-worker diagnose` left out (--diagnoses)"
    assert "prov_worker_diagnose" not in shown
    for option in (["--diagnoses"], ["--run-name", "prov-worker*"]):
        assert cli(["list", str(tmp_path), "--json", *option]) == 0
        functions = [row["function"] for row in json.loads(capsys.readouterr().out)]
        assert "prov_worker_diagnose" in functions
