"""What options of an engine, and the environment of its workers, make of recording: with real workers."""

from __future__ import annotations

import logging
import os
import stat
import sysconfig
from pathlib import Path

import functions
import pytest

from prov_worker.globus.embedded import EmbeddedEndpoint

STOCK = "globus_compute_endpoint.engines.helper"
OURS = "prov_worker.globus.worker"
LIMIT_S = 180


def hide(directory: Path, error: str) -> str:
    """A ``worker_init`` whose interpreters cannot import the package."""
    directory.mkdir()
    (directory / "sitecustomize.py").write_text(
        "import sys\n"
        "class Hide:\n"
        "    @staticmethod\n"
        "    def find_spec(name, path=None, target=None):\n"
        "        if name.split('.')[0] == 'prov_worker':\n"
        f"            raise {error}\n"
        "sys.meta_path.insert(0, Hide)\n"
    )
    return f"export PYTHONPATH={directory}:$PYTHONPATH"


@pytest.mark.faults
@pytest.mark.parametrize(
    "error",
    ["ModuleNotFoundError('No module named prov_worker', name='prov_worker')", "SyntaxError('too new for me')"],
    ids=["missing", "unloadable"],
)
def test_a_worker_without_the_package_runs_tasks_unrecorded(
    tmp_path: Path, crates: Path, error: str, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        caplog.at_level(logging.WARNING, logger="prov_worker"),
        EmbeddedEndpoint(
            workers=2, provenance={"crate_dir": str(crates)}, worker_init=hide(tmp_path / "hide", error)
        ) as endpoint,
    ):
        futures = endpoint.map(functions.add, range(6), range(6))
        assert [future.result(LIMIT_S) for future in futures] == [0, 2, 4, 6, 8, 10]
        modules, _ = endpoint.submit(functions.helper_in_use).result(LIMIT_S)
        assert modules == STOCK
        assert not endpoint.engine._task_id_map
    warnings = [record.getMessage() for record in caplog.records if "Remedy" in record.getMessage()]
    assert len(warnings) == 1
    assert "worker_init" in warnings[0]


def test_not_enabled_is_the_stock_engine(crates: Path) -> None:
    with EmbeddedEndpoint(workers=1, provenance={"enabled": False, "crate_dir": str(crates)}) as endpoint:
        modules, _ = endpoint.submit(functions.helper_in_use).result(LIMIT_S)
    assert modules == STOCK
    assert not crates.exists()


def installed_pth() -> bool:
    return os.path.exists(os.path.join(sysconfig.get_paths()["purelib"], "prov_worker_hook.pth"))


@pytest.mark.skipif(not installed_pth(), reason="the package is not installed in this environment, only on the path")
@pytest.mark.parametrize("engine", ["GlobusComputeEngine", "ProvenanceEngine"])
def test_the_workers_environment_alone_switches_recording_on_once(crates: Path, engine: str) -> None:
    provenance = {"crate_dir": str(crates)} if engine == "ProvenanceEngine" else None
    init = f"export PROV_WORKER=1 PROV_WORKER_CRATE_DIR={crates}"
    with EmbeddedEndpoint(engine=engine, workers=1, provenance=provenance, worker_init=init) as endpoint:
        modules, wrapped = endpoint.submit(functions.helper_in_use).result(LIMIT_S)
    assert wrapped is True
    # Innermost first; under our engine the wrapper that the variable put in place is passed by.
    wrapper = [OURS] if engine == "GlobusComputeEngine" else []
    assert modules.split(",") == [STOCK, OURS, *wrapper]


def test_crates_go_to_a_directory_under_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other ways to name it: tests/unit/globus/test_embedded.py."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    with EmbeddedEndpoint(workers=1, provenance={"crate_dir": "~/crates"}) as endpoint:
        assert endpoint.submit(functions.add, 1, 2).result(LIMIT_S) == 3
    assert (tmp_path / "crates").is_dir()
    assert not (tmp_path / "~").exists()


def test_crates_go_beside_the_endpoints_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLOBUS_COMPUTE_USER_DIR", str(tmp_path))
    monkeypatch.setenv("GLOBUS_COMPUTE_ENDPOINT_NAME", "polaris")
    with EmbeddedEndpoint(workers=1) as endpoint:
        assert endpoint.submit(functions.add, 1, 2).result(LIMIT_S) == 3
    crate_dir = tmp_path / "provenance" / "polaris"
    assert stat.S_IMODE(crate_dir.stat().st_mode) == 0o700
