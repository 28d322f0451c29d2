"""An endpoint's directory: written once, changed when asked, never over what a person wrote."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
import yaml

pytest.importorskip("globus_compute_endpoint")

from prov_worker.cli.main import run as cli
from prov_worker.sites.install import MARKER
from support.marks import PARSL_SOCKET

pytestmark = PARSL_SOCKET

FILES = {"config.yaml", "user_config_template.yaml.j2", "user_config_schema.json", "user_environment.yaml"}


@pytest.fixture
def user_dir(tmp_path: Path) -> Path:
    return tmp_path / "compute"


def install(user_dir: Path, *arguments: str) -> int:
    return cli(["sites", "install", "local", "mine", "--no-check", "--user-dir", str(user_dir), *arguments])


def test_a_directory_that_is_private_and_complete(user_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert install(user_dir, "--set", "workers=3", "--json") == 0
    endpoint = user_dir / "mine"
    assert user_dir.stat().st_mode & 0o777 == 0o700
    assert {path.name for path in endpoint.iterdir()} == {*FILES, MARKER}
    assert endpoint.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in endpoint.iterdir()} == {0o600}
    marker = json.loads((endpoint / MARKER).read_text())
    assert (marker["site"], marker["host"], marker["options"]["workers"]) == ("local", socket.gethostname(), 3)
    assert json.loads((endpoint / "user_config_schema.json").read_text())["properties"]["workers"]["default"] == 3
    assert set(json.loads(capsys.readouterr().out)["written"]) == {*FILES, MARKER}


def test_a_second_time_nothing_is_written(user_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    install(user_dir)
    before = {path: path.stat().st_mtime_ns for path in (user_dir / "mine").iterdir()}
    capsys.readouterr()
    assert install(user_dir, "--json") == 0
    assert json.loads(capsys.readouterr().out)["written"] == []
    assert {path: path.stat().st_mtime_ns for path in (user_dir / "mine").iterdir()} == before


def test_other_options_change_what_they_concern(user_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    install(user_dir)
    capsys.readouterr()
    assert install(user_dir, "--set", "workers=5", "--dry-run") == 0
    output = capsys.readouterr().out
    assert "-{%- set workers = workers | default(2) | int %}" in output
    assert "+{%- set workers = workers | default(5) | int %}" in output
    assert "default(2)" in (user_dir / "mine" / "user_config_template.yaml.j2").read_text()
    assert install(user_dir, "--set", "workers=5") == 0
    assert "workers | default(5)" in (user_dir / "mine" / "user_config_template.yaml.j2").read_text()


def test_what_a_person_changed_is_refused_then_kept(user_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    install(user_dir)
    file = user_dir / "mine" / "config.yaml"
    file.write_text("display_name: Mine\n")
    assert install(user_dir) == 2
    assert f"{file}: was changed by hand" in capsys.readouterr().err
    assert file.read_text() == "display_name: Mine\n"
    assert install(user_dir, "--overwrite") == 0
    assert [path.read_text() for path in file.parent.glob("config.yaml.bak-*")] == ["display_name: Mine\n"]
    assert file.read_text() != "display_name: Mine\n"


def test_an_endpoint_of_another_host_is_no_ours_to_start(user_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Login nodes that share a home each start a daemon of their own: two of one endpoint."""
    install(user_dir)
    marker = user_dir / "mine" / MARKER
    data = json.loads(marker.read_text())
    marker.write_text(json.dumps({**data, "host": "login02"}))
    assert install(user_dir) == 2
    assert "belongs to login02" in capsys.readouterr().err
    assert install(user_dir, "--overwrite") == 0
    assert json.loads(marker.read_text())["host"] == socket.gethostname()


def test_a_strangers_endpoint_is_left_alone(user_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (user_dir / "mine").mkdir(parents=True)
    (user_dir / "mine" / "config.yaml").write_text("display_name: theirs\n")
    assert install(user_dir) == 2
    assert "not made here" in capsys.readouterr().err
    assert [path.name for path in (user_dir / "mine").iterdir()] == ["config.yaml"]


@pytest.mark.parametrize(
    "arguments, line", [(["--set", "interface=nosuch0"], "nosuch0 is not on this host"), (["--set", "a=1"], "a: local")]
)
def test_bad_input_writes_nothing(
    user_dir: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], line: str
) -> None:
    assert install(user_dir, *arguments) == 2
    assert line in capsys.readouterr().err
    assert not user_dir.exists()


def test_a_name_that_leads_elsewhere(user_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli(["sites", "install", "local", "../up", "--no-check", "--user-dir", str(user_dir)]) == 2
    assert "expected a name" in capsys.readouterr().err


@pytest.mark.parametrize("site", ["aurora", "local", "perlmutter-cpu", "perlmutter-gpu", "polaris"])
def test_the_schema_that_is_written_describes_every_option_and_refuses_others(user_dir: Path, site: str) -> None:
    from jsonschema import Draft202012Validator

    account = [] if site == "local" else ["--set", "account=X", "--set", "interface=lo"]
    account += ["--set", "submit_dir=/flare/X"] if site == "aurora" else []
    assert cli(["sites", "install", site, "mine", "--no-check", "--user-dir", str(user_dir), *account]) == 0
    schema = json.loads((user_dir / "mine" / "user_config_schema.json").read_text())
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    assert validator.is_valid({name: option["default"] for name, option in schema["properties"].items()})
    assert not validator.is_valid({"no_such_option": 1})
    assert not validator.is_valid({"poll_interval": 0})
    assert all(len(option["description"]) > 10 for option in schema["properties"].values())
    assert "required" not in schema, "what the endpoint was installed with needs no word of a client"


def test_another_site_over_an_installed_endpoint_is_refused(user_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    install(user_dir)
    over = ["sites", "install", "polaris", "mine", "--no-check", "--user-dir", str(user_dir), "--set", "account=X"]
    over += ["--set", "interface=lo"]
    assert cli([*over, "--dry-run"]) == cli(over) == 2
    assert f"{user_dir / 'mine' / MARKER}: site: this endpoint was installed for local, not polaris" in (
        capsys.readouterr().err
    )
    assert json.loads((user_dir / "mine" / MARKER).read_text())["site"] == "local"
    assert cli([*over, "--overwrite"]) == 0
    assert json.loads((user_dir / "mine" / MARKER).read_text())["site"] == "polaris"


def test_a_marker_that_alone_changes_is_named(user_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    install(user_dir)
    marker = user_dir / "mine" / MARKER
    marker.write_text(json.dumps({**json.loads(marker.read_text()), "host": "login02"}))
    capsys.readouterr()
    assert install(user_dir, "--overwrite", "--dry-run") == 0
    assert f"{user_dir / 'mine'}: {MARKER} would be written" in capsys.readouterr().out
    assert install(user_dir, "--overwrite") == 0
    assert f"{user_dir / 'mine'}: {MARKER} written" in capsys.readouterr().out


def test_the_command_that_starts_it_looks_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("GLOBUS_COMPUTE_USER_DIR", raising=False)
    assert install(tmp_path / "a b") == 0
    line = capsys.readouterr().out.splitlines()[-1]
    assert line == f"start it with: GLOBUS_COMPUTE_USER_DIR='{tmp_path}/a b' globus-compute-endpoint start mine"
    usual = "start it with: globus-compute-endpoint start mine"
    assert install(tmp_path / ".globus_compute") == 0
    assert capsys.readouterr().out.splitlines()[-1] == usual
    # bash leaves ~ as it is in --user-dir=~/x.
    assert cli(["sites", "install", "local", "mine", "--no-check", "--user-dir=~/a b"]) == 0
    assert "nothing written" in capsys.readouterr().out
    monkeypatch.setenv("GLOBUS_COMPUTE_USER_DIR", str(tmp_path / "a b"))
    assert cli(["sites", "install", "local", "mine", "--no-check"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == usual


def test_a_home_that_no_shell_has_put_in_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Globus Compute would take it for the name of a directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GLOBUS_COMPUTE_USER_DIR", "~/x")
    assert cli(["sites", "install", "local", "mine", "--no-check"]) == 2
    assert "GLOBUS_COMPUTE_USER_DIR: ~/x: no shell has put" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_an_empty_directory_that_is_there_becomes_private(user_dir: Path) -> None:
    (user_dir / "mine").mkdir(parents=True, mode=0o755)
    assert install(user_dir) == 0
    assert (user_dir / "mine").stat().st_mode & 0o777 == 0o700


def test_an_interface_that_is_missing_here_names_where_it_was_said_and_the_way_on(
    user_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert install(user_dir, "--set", "interface=nosuch0") == 2
    error = capsys.readouterr().err
    assert "--set: interface: nosuch0 is not on this host" in error
    assert "--overwrite" in error
    file = tmp_path / "v.yaml"
    file.write_text("interface: nosuch0\n")
    assert install(user_dir, "-f", str(file)) == 2
    assert f"{file}: interface: " in capsys.readouterr().err
    assert install(user_dir, "--set", "interface=nosuch0", "--overwrite") == 0


def test_of_many_interfaces_few_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from prov_worker.sites import interface

    monkeypatch.setattr(socket, "if_nameindex", lambda: [(n, f"eth{n:02}") for n in range(29)] + [(30, "lo")])
    problem = interface.problem("nosuch0")
    assert problem is not None
    assert problem.endswith("eth06, lo and 22 more)")


def test_user_endpoints_are_told_of_another_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their environment is their own: how the daemon was led to a local service does not reach them."""
    pytest.importorskip("globus_compute_sdk")
    monkeypatch.delenv("GLOBUS_SDK_ENVIRONMENT", raising=False)
    assert cli(["sites", "install", "local", "own", "--no-check", "--user-dir", str(tmp_path)]) == 0
    assert "SERVICE_URL" not in (tmp_path / "own" / "user_environment.yaml").read_text()
    monkeypatch.setenv("GLOBUS_SDK_ENVIRONMENT", "local")
    assert cli(["sites", "install", "local", "led", "--no-check", "--user-dir", str(tmp_path)]) == 0
    environment = yaml.safe_load((tmp_path / "led" / "user_environment.yaml").read_text())
    assert environment["PROV_WORKER_SERVICE_URL"] == "http://localhost:5000"
