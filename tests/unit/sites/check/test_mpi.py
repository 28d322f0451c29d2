"""The launcher of MPI tasks at the workers."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("globus_compute_endpoint")

from prov_worker.finding import Finding
from prov_worker.sites.catalog import site
from prov_worker.sites.check import preflight
from prov_worker.sites.check.mpi import check
from support.marks import PARSL_SOCKET
from support.sites import complete

pytestmark = PARSL_SOCKET
OPEN_MPI, MPICH = "mpiexec (OpenRTE) 4.1.4", "HYDRA build details:\nVersion: 4.0.2"


def finding(tmp_path: Path, mode: str, version: str | None) -> list[Finding]:
    """What is found if worker_init leaves a PATH with this launcher alone."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("sh", "head", "cat"):
        (programs / name).symlink_to(f"/bin/{name}")
    (programs / "python3").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (programs / "python3").chmod(0o755)
    if version is not None:
        (programs / "mpiexec").write_text(f"#!/bin/sh\ncat <<'E'\n{version}\nE\n")
        (programs / "mpiexec").chmod(0o755)
    values: dict[str, Any] = complete("local", mpi=mode, worker_init=f"export PATH={programs}")
    return list(check(preflight.subject_of(site("local"), values, offline=True)))


@pytest.mark.parametrize(
    ("mode", "version", "status", "text"),
    [
        ("mpiexec", MPICH, "pass", "/bin/mpiexec"),
        ("mpiexec", OPEN_MPI, "fail", "is Open MPI's, which refuses the options"),
        ("openmpi", OPEN_MPI, "pass", "/globus/openmpi/mpiexec"),
        ("openmpi", MPICH, "fail", "is not Open MPI's: HYDRA build details: Version: 4.0.2"),
        ("mpiexec", None, "warn", "mpiexec is not on the PATH that worker_init leaves here"),
    ],
)
def test_whose_launcher_it_is(tmp_path: Path, mode: str, version: str | None, status: str, text: str) -> None:
    (launcher,) = finding(tmp_path, mode, version)
    assert (launcher.status, text in launcher.found) == (status, True), launcher


def test_no_launcher_is_looked_for_without_mpi(tmp_path: Path) -> None:
    assert finding(tmp_path, "none", None) == []
