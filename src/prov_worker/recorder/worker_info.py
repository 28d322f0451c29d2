"""Facts about a worker that hold for its whole life, gathered once when its first task arrives."""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Iterable, Mapping
from typing import Any

from prov_worker import __version__, accelerator_variables, schedulers
from prov_worker.containers import Container, find_container
from prov_worker.interpreter import own_python
from prov_worker.redact import is_secret_name

_MPI = ("PARSL_MPI_NODELIST", "PARSL_NUM_NODES", "PARSL_NUM_RANKS", "PARSL_RANKS_PER_NODE")
_MODULES = (
    ("parsl", "parsl.version", "VERSION"),
    ("globus-compute-endpoint", "globus_compute_endpoint.version", "__version__"),
    ("globus-compute-sdk", "globus_compute_sdk.version", "__version__"),
)


_MAX_GROUPS = 8192


def worker_facts(environ: Mapping[str, str], recorded_names: Iterable[str]) -> dict[str, Any]:
    """Return fields of a ``worker`` line that come from the process and its environment.

    Args:
        environ: the worker's environment.
        recorded_names: names of variables to record; those whose name says "secret" are left out all the same.
    """
    around = find_container(environ)
    return {
        "rank": environ.get("PARSL_WORKER_RANK"),
        "pool": environ.get("PARSL_WORKER_POOL_ID"),
        "block": environ.get("PARSL_WORKER_BLOCK_ID"),
        "acc": _those_set(environ, (*accelerator_variables.VARIABLES, *accelerator_variables.DETAILS)),
        "sched": _those_set(environ, schedulers.variables()),
        "env": _those_set(environ, (n for n in recorded_names if not is_secret_name(n))),
        "container": container_text(around, environ),
        "versions": versions(),
        "proc": process_facts(environ, around),
    }


def process_facts(environ: Mapping[str, str], around: Container | None) -> dict[str, Any]:
    """Return what an agent must know of this worker to say in which job and environment its tasks ran.

    The agent was started by another worker, maybe of another job, and this one may be gone when a crate is written.

    Args:
        environ: the worker's environment.
        around: the container that it runs in.

    Returns:
        ``job`` (the variables of :func:`prov_worker.schedulers.job_facts`, and ``LOADEDMODULES``), ``cgroup`` (text of
        ``/proc/self/cgroup``), ``python`` (of :func:`prov_worker.interpreter.own_python`), ``path`` (directories of
        imports), ``container`` (``kind`` and ``image``, or None) and ``noted_ns`` (when, ns since the epoch).
    """
    return {
        "job": {**schedulers.job_facts(environ), **_those_set(environ, ("LOADEDMODULES",))},
        "cgroup": _own_groups(),
        "python": own_python(),
        "path": [directory for directory in sys.path if os.path.isabs(directory)],
        "container": None if around is None else around.to_mapping(),
        "noted_ns": time.time_ns(),
    }


def _own_groups() -> str:
    try:
        with open("/proc/self/cgroup", "rb") as file:
            return file.read(_MAX_GROUPS).decode("utf-8", "replace")
    except OSError:
        return ""


def mpi_placement(environ: Mapping[str, str]) -> dict[str, str]:
    """Return nodes and ranks that Parsl's MPI executor has given to this task; empty under other executors."""
    return _those_set(environ, _MPI) if _MPI[0] in environ else {}


def container_text(around: Container | None, environ: Mapping[str, str]) -> str | None:
    """Return kind and image of a container: ``docker:name@sha256:...``; None outside of one.

    Templates of sites say the name and the digest, which no runtime tells those inside. Without a name, the kind alone.
    """
    if around is None:
        return None
    image, digest = around.image or environ.get("PROV_WORKER_IMAGE"), environ.get("PROV_WORKER_IMAGE_DIGEST")
    if not image:
        return around.kind
    return f"{around.kind}:{image}@{digest}" if digest and "@" not in image else f"{around.kind}:{image}"


def versions() -> dict[str, str]:
    """Return versions of what runs here; of packages only those that this process has loaded already."""
    by_name = {"python": platform.python_version(), "prov-worker": __version__}
    for name, module, attribute in _MODULES:
        value = getattr(sys.modules.get(module), attribute, None)
        if isinstance(value, str):
            by_name[name] = value
    return by_name


def _those_set(environ: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    return {name: environ[name] for name in names if environ.get(name)}
