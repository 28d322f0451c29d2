"""Marks that many modules of tests have."""

from __future__ import annotations

import pytest

#: Parsl's address_by_interface leaves its socket to the collector of garbage.
PARSL_SOCKET = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
#: Tests of one fleet, one after the other.
FLEET = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.xdist_group("fleet"), PARSL_SOCKET]
#: Tests in the image of workers, which one process makes.
WORKER_IMAGE = [
    pytest.mark.docker,
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.xdist_group("worker-image"),
]
#: Tests on the cluster of containers that all of them share: in one process.
SLURM_CLUSTER = [
    pytest.mark.slurm,
    pytest.mark.docker,
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.xdist_group("slurm"),
]


def pbs_site(name: str) -> list[pytest.MarkDecorator]:
    """Return the marks of tests of a site on the stand-in for PBS: those of one site, one after the other."""
    return [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.xdist_group(f"pbs-{name}"), PARSL_SOCKET]
