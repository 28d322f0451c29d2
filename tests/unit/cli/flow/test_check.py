"""``prov-worker flow check``: exit codes, table, JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from unit_flow import EXAMPLES, Json

from prov_worker.cli.main import run


def written(directory: Path, name: str) -> list[str]:
    """Paths of the definition and schema of an example."""
    example = EXAMPLES[name]
    paths = directory / "definition.json", directory / "schema.json"
    for path, value in zip(paths, example, strict=False):
        path.write_text(json.dumps(value, indent=1))
    return [str(path) for path in paths]


def test_a_clean_flow_has_no_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["flow", "check", *written(tmp_path, "looping_move")]) == 0
    assert capsys.readouterr().out.endswith("definition.json: 0 errors, 0 warnings\n")


def test_an_error_is_shown_with_its_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = written(tmp_path, "transfer_publish")
    assert run(["flow", "check", *paths]) == 1
    shown = capsys.readouterr().out
    line = next(n for n, text in enumerate(Path(paths[0]).read_text().splitlines(), 1) if "principal_type" in text)
    assert f"error  {paths[0]}:{line}  $.States.Share.Parameters['principal_type.$']  [data]\n" in shown
    assert "definition.json: 2 errors, 0 warnings" in shown


def test_findings_are_json_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["flow", "check", *written(tmp_path, "transfer_publish"), "--json"]) == 1
    data: Json = json.loads(capsys.readouterr().out)
    assert (data["error"], data["warning"], data["note"]) == (2, 0, 2)
    assert {"check", "level", "file", "line", "path", "message"} == set(data["findings"][0])


def test_a_warning_counts_if_it_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "d.json"
    path.write_text(
        json.dumps({"StartAt": "A", "States": {"A": {"Type": "Choice", "Choices": [{"Variable": "$.x", "IsNull": True,
        "Next": "B"}]}, "B": {"Type": "Pass", "End": True}}})
    )  # fmt: skip
    assert run(["flow", "check", str(path)]) == 0
    assert run(["flow", "check", str(path), "--strict"]) == 1


def test_the_walltime_of_the_endpoint_can_be_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = written(tmp_path, "transfer_compute")
    assert run(["flow", "check", *paths, "--walltime", "00:10:00"]) == 1
    assert "WaitTime is 180 s, the walltime 600 s" in capsys.readouterr().out
    assert run(["flow", "check", *paths, "--walltime", "soon"]) == 2
    assert "expected HH:MM:SS" in capsys.readouterr().err


def test_broken_json_is_one_line_with_its_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "d.json"
    path.write_text('{\n "States": {\n  oops\n')
    assert run(["flow", "check", str(path)]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err == f"prov-worker: {path}:3:3: invalid JSON: Expecting property name enclosed in double quotes\n"
    assert run(["flow", "check", str(tmp_path / "none.json")]) == 2
    assert "none.json: cannot be read: No such file or directory" in capsys.readouterr().err
