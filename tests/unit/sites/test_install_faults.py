"""An installation that cannot be finished, or finds what nobody would have written, leaves what was there."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from prov_worker.cli.main import run
from support.commands import run_program


def install(user_dir: Path, *more: str) -> int:
    return run(["sites", "install", "local", "ep", "--no-check", "--user-dir", str(user_dir), *more])


def test_a_disk_that_is_full_in_the_middle_changes_nothing(tmp_path: Path) -> None:
    install(tmp_path)
    before = {path.name: path.read_bytes() for path in (tmp_path / "ep").iterdir()}
    command = f"trap '' XFSZ; ulimit -f 2; {sys.executable} -m prov_worker sites install local ep --user-dir {tmp_path}"
    done = run_program("bash", "-c", f"{command} --set workers=7")
    assert done.returncode == 2
    assert "cannot be written: File too large" in done.stderr
    assert "None" not in done.stderr
    assert {path.name: path.read_bytes() for path in (tmp_path / "ep").iterdir()} == before
    assert install(tmp_path, "--set", "workers=7") == 0


def test_a_disk_that_is_full_leaves_no_empty_directory(tmp_path: Path) -> None:
    command = f"trap '' XFSZ; ulimit -f 2; {sys.executable} -m prov_worker sites install local ep --user-dir {tmp_path}"
    done = run_program("bash", "-c", command)
    assert (done.returncode, list(tmp_path.iterdir())) == (2, []), done.stderr


@pytest.mark.parametrize("text", ["junk\n", "[]"])
def test_a_damaged_marker_is_refused_with_the_way_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    install(tmp_path)
    marker = tmp_path / "ep" / "prov_worker.json"
    good = marker.read_text()
    marker.write_text(text)
    assert install(tmp_path) == 2
    assert "--overwrite keeps a copy and replaces it" in capsys.readouterr().err
    assert install(tmp_path, "--overwrite") == 0
    assert marker.read_text() == good
    (kept,) = marker.parent.glob("prov_worker.json.bak-*")
    assert kept.read_text() == text


def test_a_change_by_hand_in_another_encoding_is_refused_and_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    install(tmp_path)
    template = tmp_path / "ep" / "user_config_template.yaml.j2"
    mine = template.read_bytes() + b"# \xe4\n"
    template.write_bytes(mine)
    assert install(tmp_path) == 2
    assert "was changed by hand" in capsys.readouterr().err
    assert install(tmp_path, "--overwrite") == 0
    (kept,) = template.parent.glob("user_config_template.yaml.j2.bak-*")
    assert kept.read_bytes() == mine


@pytest.mark.parametrize("line", ["account: 2024-01-01", "workers: !!set {1}", "poll_interval: .nan"])
def test_values_that_json_has_no_word_for_are_refused_by_key(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str
) -> None:
    (tmp_path / "values.yaml").write_text(f"{line}\n")
    assert run(["sites", "render", "polaris", "-f", str(tmp_path / "values.yaml")]) == 2
    error = capsys.readouterr().err
    assert f"{line.partition(':')[0]}: " in error
    assert error.count("\n") == 1


def test_the_daemon_learns_the_directory_where_home_is_not_the_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert install(tmp_path / ".globus_compute") == 0
    environment = (tmp_path / ".globus_compute" / "ep" / "user_environment.yaml").read_text()
    assert f'GLOBUS_COMPUTE_USER_DIR: "{tmp_path}/.globus_compute"' in environment


@pytest.mark.parametrize("group", [[], ["sites"], ["run"], ["fleet"], ["service"]])
def test_a_group_without_a_verb_shows_its_help(capsys: pytest.CaptureFixture[str], group: list[str]) -> None:
    assert run(group) == 2
    output = capsys.readouterr()
    assert len((output.err + output.out).splitlines()) > 5
