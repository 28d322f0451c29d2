"""``docker/entrypoint.py``: variables that have a new name."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

import yaml

from support.commands import run_python

ENTRYPOINT = Path(__file__).resolve().parents[2] / "docker" / "entrypoint.py"


def run(command: str, **variables: str) -> list[str]:
    """Lines of standard error of a command that refuses its variables."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PROV_", "GLOBUS_"))}
    done = run_python(str(ENTRYPOINT), command, env={**kept, **variables}, timeout=180)
    assert done.returncode == 2, done.stderr
    return done.stderr.splitlines()


def renamed(old: str, new: str) -> str:
    return f"prov-worker: {old} is now {new}; the old name works in this release only"


def test_old_names_work_with_a_warning(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    lines = run(
        "endpoint",
        GLOBUS_COMPUTE_CLIENT_ID=str(uuid.uuid4()),
        GLOBUS_COMPUTE_CLIENT_SECRET="a secret of a test",
        GLOBUS_COMPUTE_USER_DIR=str(tmp_path / "user"),
        PROV_CRATE_DIR=str(tmp_path / "file" / "crates"),
        PROV_ENDPOINT_NAME="../x",
        PROV_ENDPOINT_WORKERS="0",
    )
    assert lines == [
        renamed("PROV_CRATE_DIR", "PROV_WORKER_CRATE_DIR"),
        renamed("PROV_ENDPOINT_NAME", "PROV_STACK_ENDPOINT_NAME"),
        renamed("PROV_ENDPOINT_WORKERS", "PROV_STACK_WORKERS"),
        "prov-worker container: PROV_STACK_ENDPOINT_NAME: expected letters, digits, '_', '.' and '-', got '../x'",
        "prov-worker container: PROV_STACK_WORKERS: expected a whole number, 1 to 4096, got '0'",
        (
            "prov-worker container: PROV_WORKER_CRATE_DIR (PROV_STACK_CRATES of docker-compose.yml): "
            f"{tmp_path}/file/crates: cannot make the folder for crates: Not a directory"
        ),
    ]


def test_setup_refuses_values_of_the_endpoint_before_any_part_starts() -> None:
    values = {"PROV_STACK_WORKERS": "x", "PROV_WORKER_PLOTS": "jpg", "PROV_STACK_ENDPOINT_NAME": "../x"}
    name, workers, plots = run("setup", **values)
    assert "PROV_STACK_ENDPOINT_NAME: expected letters, digits" in name
    assert "PROV_STACK_WORKERS: expected a whole number, 1 to 4096, got 'x'" in workers
    assert "PROV_WORKER_PLOTS (PROV_STACK_PLOTS of docker-compose.yml): " in plots
    services = yaml.safe_load((ENTRYPOINT.parents[1] / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
    checked, used = (services[part]["environment"] for part in ("setup", "endpoint"))
    own = {
        name for name in used if name.startswith(("PROV_WORKER_", "PROV_STACK_")) and name != "PROV_STACK_IDENTITIES"
    }
    assert {name: checked.get(name) for name in own} == {name: used[name] for name in own}


def test_setup_warns_of_old_names_that_compose_took() -> None:
    names = "PROV_PORT=PROV_STACK_PORT  PROV_WORKERS=PROV_STACK_WORKERS "
    assert run("setup", PROV_STACK_OLD_NAMES=names, PROV_STACK_UID="me") == [
        renamed("PROV_PORT", "PROV_STACK_PORT"),
        renamed("PROV_WORKERS", "PROV_STACK_WORKERS"),
        "prov-worker container: PROV_STACK_UID: expected a whole number, 0 to 4294967294, got 'me'",
    ]
