"""``prov-worker trigger``: what is refused, and what a dry run shows and does not do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from prov_worker.cli.main import run
from prov_worker.trigger.actions.action import ActionError
from prov_worker.trigger.actions.template import Template
from prov_worker.trigger.watcher import Settled

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
        (["--exec", "true", "--settle", "50"], "settle 50 s: is shorter than two looks"),
        (["--exec", "true", "--settle", "x"], "Invalid value for '--settle'"),
        (["--exec", "true", "--parallel", "0"], "Invalid value for '--parallel'"),
        (["--exec", "true", "--settle", "inf"], "settle inf: expected seconds above 0, and no more than a year"),
        (["--exec", "true", "--settle", "nan"], "settle nan: expected seconds above 0"),
        (["--exec", "true", "--settle", "nan", "--once"], "settle nan: expected seconds above 0"),
        (["--exec", "true", "--every", "nan"], "every nan: expected seconds above 0"),
        (["--exec", "true", "--settle", "0"], "settle 0: expected seconds above 0"),
        (["--exec", "true", "--pattern", ""], "pattern '': expected names without directories"),
        (["--exec", "true", "--pattern", "a/b"], "pattern 'a/b': expected names without directories"),
        (["--exec", "true", "--expect", ""], "expect '': expected a file below the folder"),
        (["--exec", "true", "--done-file", ""], "done-file '': expected a name without directories"),
        (["--exec", "true", "--done-file", "a/b"], "done-file 'a/b': expected a name without directories"),
        (["--exec", "true", "--done-file", ".."], "done-file '..': expected a name without directories"),
        (["--exec", "true", "--state", "."], "state .: is a directory; name a file"),
        (["--exec", "true", "--state", "none/state"], "state none/state: there is no directory none"),
        (["--exec", "true", "--state", "notes.txt"], "state notes.txt: not a trigger's state"),
        (["--exec", "true", "--state", "data/state"], "state data/state: would be taken for one of the folders"),
        (["--exec", "true", "--state", "data/run1/state"], "would be taken for one of the folders"),
        (["--exec", "true", "--state", "data/s", "--pattern", "*.lock"], "would be taken for one of the folders"),
        (["--exec", "true", "--crates", "data/crates"], "crates data/crates: would be taken for one of the folders"),
        (["--exec", "true", "--crates", "notes.txt"], "crates notes.txt: not a directory"),
        (["--function", "f", "--endpoint", UUID], "--function f: expected an id (UUID)"),
        (["--function", UUID, "--endpoint", "e"], "--endpoint e: expected an id (UUID)"),
        (["--function", UUID, "--endpoint", UUID, "--set", "a=b"], "--set goes with --input"),
        (["--flow", "my flow", "--input", "in.j2"], "--flow my flow: expected an id (UUID)"),
        (["--flow", UUID, "--input", "in.j2", "--set", "path=x"], "--set path=x: the folder gives path"),
        (["--flow", UUID, "--input", "in.j2", "--set", "path"], "--set path: expected NAME=VALUE"),
        (["--flow", UUID, "--input", "in.j2", "--schema", "none.json"], "none.json: cannot be read"),
        (["--flow", UUID, "--input", "in.j2", "--schema", "notes.txt"], "notes.txt:1:1: invalid JSON"),
    ],
)
@pytest.mark.parametrize("dry", [[], ["--dry-run"]], ids=["real", "dry"])
def test_bad_input_is_one_line_and_nothing_is_written(
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    message: str,
    dry: list[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("notes")
    (tmp_path / "in.j2").write_text("{}")
    before = sorted(tmp_path.rglob("*"))
    assert run(["trigger", str(data), *options, *dry]) == 2
    assert sorted(tmp_path.rglob("*")) == before
    shown = capsys.readouterr()
    assert message in shown.err
    assert (shown.out, shown.err.count("\n")) == ("", 1)
    assert not (tmp_path / "state").exists()


def test_json_goes_with_a_dry_run(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["trigger", str(data), "--exec", "true", "--json"]) == 2
    assert "--json goes with --dry-run" in capsys.readouterr().err


def test_a_state_in_the_directory_that_no_pattern_matches_is_taken(data: Path) -> None:
    command = ["trigger", str(data), "--exec", "true", "--settle", "0.01", "--once", "--pattern", "run*"]
    assert run([*command, "--state", str(data / ".state"), "--crates", str(data / "crates")]) == 0
    assert (data / ".state").is_file()


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ('{"x": {{ range(10**9) | list | length }}}', "its loops take more than 100,000 turns"),
        ('{"x": {{ range(10**30) | list | length }}}', "its loops take more than 100,000 turns"),
        (
            "{% for i in range(9999) %}{% for j in range(9999) %}{% endfor %}{% endfor %}{}",
            "its loops take more than 100,000 turns",
        ),
        ("{% for i in range(9999) %}{{ path * 99 }}{% endfor %}", "it gives more than 8 MiB"),
        ('{"x": "{{ path * 10**9 }}"}', "makes more than 100,000 of them"),
        ('{"x": {{ 10**(10**10) }}}', "makes a number of too many digits"),
        ('{"x": {{ 1 / 0 }}}', "division by zero"),
        ('{"x": "{{ path.__class__.__mro__ }}"}', "is unsafe"),
    ],
)
def test_a_template_without_an_end_ends(tmp_path: Path, template: str, message: str) -> None:
    path = tmp_path / "input.json.j2"
    path.write_text(template)
    folder = Settled(tmp_path / ("run" * 20), 2, 30, 0, 0, "content")
    with pytest.raises(ActionError, match=f"gives no input: .*{message}"):
        Template(path).render(folder, "key")


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
        ('{"x": {{ }', ":1: not a template: "),
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
