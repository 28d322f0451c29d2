"""Marks that many modules of tests have."""

from __future__ import annotations

import pytest


def needs_whole_functions() -> None:
    """Skip a test that has functions sent whole if dill cannot.

    Release 0.3.9, which Globus Compute pins, does not know the pickler of Python 3.14.
    """
    import dill

    namespace: dict[str, object] = {"__name__": "somewhere", "limit": 3}
    exec("def function():\n    return limit\n", namespace)
    try:
        for recurse in (False, True):
            dill.dumps(namespace["function"], recurse=recurse)
    except TypeError:
        pytest.skip(f"dill {dill.__version__} sends no function with what it reaches here")


#: Parsl's address_by_interface leaves its socket to the collector of garbage.
PARSL_SOCKET = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
#: Parsl learns of a killed manager from its job and from its interchange, maybe at once: the thread that takes results
#: then ends by setting a second exception (HighThroughputExecutor._result_queue_worker).
LOST_MANAGER = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
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
