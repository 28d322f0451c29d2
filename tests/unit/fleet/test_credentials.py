"""Credentials: from a file that is closed to others, into the daemon's environment, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from prov_worker.errors import InputError
from prov_worker.fleet import credentials

SECRET = "hunter2-hunter2"


def file(directory: Path, text: str, mode: int = 0o600) -> Path:
    path = directory / "credentials"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_lines_as_a_shell_reads_them(tmp_path: Path) -> None:
    text = (
        "# mine\nexport GLOBUS_COMPUTE_CLIENT_ID=abc GLOBUS_SDK_ENVIRONMENT='local'\n"
        f'GLOBUS_COMPUTE_CLIENT_SECRET="{SECRET}"\n\n'
    )
    assert credentials.read(file(tmp_path, text)) == {
        "GLOBUS_COMPUTE_CLIENT_ID": "abc",
        "GLOBUS_SDK_ENVIRONMENT": "local",
        "GLOBUS_COMPUTE_CLIENT_SECRET": SECRET,
    }


@pytest.mark.parametrize(
    "text, mode, message",
    [
        (f"GLOBUS_COMPUTE_CLIENT_SECRET={SECRET}\n", 0o640, "is open to others; credentials want mode 0600"),
        (f"GLOBUS_COMPUTE_CLIENT_SECRET='{SECRET}\n", 0o600, "line 1: a quote is not closed"),
        (f"A=b\n2ND={SECRET}\n", 0o600, "line 2: expected NAME=VALUE"),
        (f"{SECRET}\n", 0o600, "line 1: expected NAME=VALUE"),
        (f"A=b\nPATH={SECRET}\n", 0o600, "line 2: PATH: the fleet sets it"),
        ("# later\n", 0o600, "holds no credentials; expected GLOBUS_COMPUTE_CLIENT_ID=…"),
    ],
)
def test_what_is_wrong_is_said_without_the_secret(tmp_path: Path, text: str, mode: int, message: str) -> None:
    with pytest.raises(InputError) as error:
        credentials.read(file(tmp_path, text, mode))
    assert message in str(error.value)
    assert SECRET not in str(error.value)


def test_the_environment_of_a_daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLOBUS_COMPUTE_ENDPOINT_DIR", "/of/another")
    monkeypatch.setenv("GLOBUS_COMPUTE_CLIENT_ID", "of the environment")
    monkeypatch.setenv("PATH", "/bin:/programs")
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/of/the/watch")
    text = f"GLOBUS_COMPUTE_CLIENT_ID=mine\nGLOBUS_COMPUTE_CLIENT_SECRET={SECRET}\nhttps_proxy='http://proxy:1'\n"
    path = file(tmp_path, text)
    environ = credentials.environment(path, tmp_path / "gc", Path("/programs"))
    assert environ["PATH"] == "/programs:/bin"
    assert environ["GLOBUS_COMPUTE_USER_DIR"] == str(tmp_path / "gc")
    assert (environ["GLOBUS_COMPUTE_CLIENT_ID"], environ["GLOBUS_COMPUTE_CLIENT_SECRET"]) == ("mine", SECRET)
    assert environ["https_proxy"] == "http://proxy:1"
    assert not {"GLOBUS_COMPUTE_ENDPOINT_DIR", "NOTIFY_SOCKET"} & set(environ)


@pytest.mark.parametrize("given, missing", [("ID", "SECRET"), ("SECRET", "ID")])
def test_half_a_pair_is_refused_by_the_name_that_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, missing: str
) -> None:
    for name in ("ID", "SECRET"):
        monkeypatch.delenv(f"GLOBUS_COMPUTE_CLIENT_{name}", raising=False)
    path = file(tmp_path, f"GLOBUS_COMPUTE_CLIENT_{given}={SECRET}\n")
    message = f"{path}: GLOBUS_COMPUTE_CLIENT_{missing} is not set, and GLOBUS_COMPUTE_CLIENT_{given} is"
    assert credentials.refusal(path) == message
    # The other half may be in the environment.
    monkeypatch.setenv(f"GLOBUS_COMPUTE_CLIENT_{missing}", "x")
    assert credentials.refusal(path) is None
    # Without a file it may be a person's login with an id of its own.
    monkeypatch.delenv(f"GLOBUS_COMPUTE_CLIENT_{missing}")
    monkeypatch.setenv(f"GLOBUS_COMPUTE_CLIENT_{given}", "x")
    assert credentials.refusal(None) is None
