"""``prov-worker trigger``: what is refused, and what a dry run shows and does not do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from prov_worker.cli.main import run

UUID = "6c54cade-bde5-45c1-bdea-f4bd71dba2cc"


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for name in ("GLOBUS_COMPUTE_CLIENT_ID", "GLOBUS_COMPUTE_CLIENT_SECRET"):
        monkeypatch.delenv(name, raising=False)
    directory = tmp_path / "data"
    (directory / "run1").mkdir(parents=True)
    (directory / "run1" / "a").write_text("abc")
    (directory / "run2").mkdir()
    return directory


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "expected one of --flow, --function and --exec"),
        (["--exec", "true", "--flow", UUID], "expected one of --flow, --function and --exec"),
        (["--flow", UUID], "--flow needs --input"),
        (["--function", UUID], "--function and --endpoint go together"),
        (["--exec", "true", "--set", "a=b"], "--exec goes without --input and --set"),
        (["--exec", "true", "--schema", "x"], "--schema goes with --flow"),
        (["--exec", "true", "--json"], "--json goes with --dry-run"),
        (["--exec", "true", "--settle", "50"], "settle 50 s: is shorter than two looks"),
        (["--exec", "true", "--settle", "x"], "Invalid value for '--settle'"),
        (["--exec", "true", "--parallel", "0"], "Invalid value for '--parallel'"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    assert run(["trigger", str(data), *options]) == 2
    shown = capsys.readouterr()
    assert message in shown.err
    assert (shown.out, shown.err.count("\n")) == ("", 1)
    assert not (tmp_path / "state").exists()


def test_a_directory_that_is_not_there_is_refused(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["trigger", str(data / "none"), "--exec", "true"]) == 2
    assert capsys.readouterr().err == f"prov-worker: {data / 'none'}: no such directory\n"


def test_a_dry_run_shows_and_does_nothing(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["trigger", str(data), "--dry-run", "--exec", f"touch {tmp_path / 'ran'}"]
    assert run(command) == 0
    shown = capsys.readouterr().out
    assert f"run1: 1 file, 3 B: sh -c 'touch {tmp_path / 'ran'}' sh {data / 'run1'}" in shown
    assert "run2: is held back: has no file yet" in shown
    assert "1 folder to fire once settled, 0 problems" in shown
    assert run([*command, "--json"]) == 0
    data_shown = json.loads(capsys.readouterr().out)
    assert [(row["folder"], row["files"]) for row in data_shown["folders"]] == [("run1", 1)]
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ('{"x": {{ oops }}}', "nothing gives oops; write the value, or --set oops=VALUE"),
        ('{"x": {{ }', ":1: no template: "),
    ],
)
def test_a_template_that_cannot_be_filled_in_is_refused_before_anything_begins(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], template: str, message: str
) -> None:
    path = tmp_path / "input.json.j2"
    path.write_text(template)
    assert run(["trigger", str(data), "--flow", UUID, "--input", str(path)]) == 2
    assert message in capsys.readouterr().err


def test_without_credentials_a_flow_is_refused(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "input.json.j2"
    path.write_text("{}")
    monkeypatch.setenv("GLOBUS_COMPUTE_CLIENT_SECRET", "half")
    assert run(["trigger", str(data), "--flow", UUID, "--input", str(path)]) == 2
    assert "GLOBUS_COMPUTE_CLIENT_ID: not set" in capsys.readouterr().err
