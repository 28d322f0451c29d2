"""Facts about a worker that hold for its whole life, gathered once when its first task arrives."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from prov_worker import __version__, accelerators, schedulers
from prov_worker.containers import find_container
from prov_worker.redact import is_secret_name

_MPI = ("PARSL_MPI_NODELIST", "PARSL_NUM_NODES", "PARSL_NUM_RANKS", "PARSL_RANKS_PER_NODE")
_MODULES = (
    ("parsl", "parsl.version", "VERSION"),
    ("globus-compute-endpoint", "globus_compute_endpoint.version", "__version__"),
    ("globus-compute-sdk", "globus_compute_sdk.version", "__version__"),
)


def worker_facts(environ: Mapping[str, str], recorded_names: Iterable[str]) -> dict[str, Any]:
    """Fields of a ``worker`` line that come from the process and its environment.

    Args:
        environ: the worker's environment.
        recorded_names: names of variables to record; those whose name says "secret" are left out all the same.
    """
    return {
        "rank": environ.get("PARSL_WORKER_RANK"),
        "pool": environ.get("PARSL_WORKER_POOL_ID"),
        "block": environ.get("PARSL_WORKER_BLOCK_ID"),
        "acc": _those_set(environ, accelerators.VARIABLES),
        "sched": _those_set(environ, schedulers.variables()),
        "env": _those_set(environ, (n for n in recorded_names if not is_secret_name(n))),
        "container": container(environ),
        "versions": versions(),
    }


def mpi_placement(environ: Mapping[str, str]) -> dict[str, str]:
    """Nodes and ranks that Parsl's MPI executor has given to this task; empty under other executors."""
    return _those_set(environ, _MPI) if _MPI[0] in environ else {}


def container(environ: Mapping[str, str], root: str = "/", proc: str = "/proc") -> str | None:
    """Kind and image of the container that the worker runs in: ``docker:name@sha256:...``; None outside of one.

    Templates of sites say the name and the digest, which no runtime tells those inside. Without a name, the kind alone.

    Args:
        environ: the worker's environment.
        root: root directory of the worker.
        proc: root of its process file system.
    """
    around = find_container(environ, root, proc)
    if around is None:
        return None
    image, digest = around.image or environ.get("PROV_WORKER_IMAGE"), environ.get("PROV_WORKER_IMAGE_DIGEST")
    if not image:
        return around.kind
    return f"{around.kind}:{image}@{digest}" if digest and "@" not in image else f"{around.kind}:{image}"


def versions() -> dict[str, str]:
    """Versions of what runs here; of packages only those that this process has loaded already."""
    by_name = {"python": platform.python_version(), "prov-worker": __version__}
    for name, module, attribute in _MODULES:
        value = getattr(sys.modules.get(module), attribute, None)
        if isinstance(value, str):
            by_name[name] = value
    return by_name


def _those_set(environ: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    return {name: environ[name] for name in names if environ.get(name)}
