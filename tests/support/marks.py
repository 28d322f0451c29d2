"""Marks that many modules of tests have."""

from __future__ import annotations

import pytest

#: Parsl's address_by_interface leaves its socket to the collector of garbage.
PARSL_SOCKET = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
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


def endpoints(group: str) -> list[pytest.MarkDecorator]:
    """Return the marks of tests that wait for daemons: those of a group run one after the other."""
    return [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.xdist_group(group), PARSL_SOCKET]
