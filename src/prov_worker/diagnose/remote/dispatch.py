"""Calls probes by name, and says who it is that answers."""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from typing import Any


def prov_worker_diagnose(text: str) -> str:
    """Run probes; plain text both ways, which any two releases of Python and dill can exchange.

    Args:
        text: JSON object: ``probes``, names in their order; ``run``, the name that crates get; and what probes need.

    Returns:
        JSON object: what each probe says under its name, and ``worker``. A probe that fails leaves ``error``.
    """
    begin_ns = time.time_ns()
    request = json.loads(text)
    answer: dict[str, Any] = {"begin_ns": begin_ns, "worker": _worker_here()}
    try:
        import prov_worker

        prov_worker.name_run(request["run"])
    except Exception as error:  # not installed there, or another release: a probe says so
        answer["untagged"] = type(error).__name__
    for name in request["probes"]:
        begin = time.perf_counter()
        try:
            answer[name] = globals()["probe_" + name](request)
        except Exception as error:
            answer[name] = {"error": f"{type(error).__name__}: {error}"}
        answer[name]["took_s"] = time.perf_counter() - begin
    return json.dumps(answer)


def _worker_here() -> dict[str, Any]:
    """Name this process, and say how long it has been there; None if /proc does not tell."""
    try:
        with open("/proc/self/stat") as stream:
            ticks = int(stream.read().rpartition(")")[2].split()[19])  # proc(5): field 22, starttime
        with open("/proc/uptime") as stream:
            age_s = float(stream.read().split()[0]) - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        age_s = None
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "executable": sys.executable,
        "age_s": age_s,
        "rank": os.environ.get("PARSL_WORKER_RANK"),
        "count": os.environ.get("PARSL_WORKER_COUNT"),
        "block": os.environ.get("PARSL_WORKER_BLOCK_ID"),
        "pool": os.environ.get("PARSL_WORKER_POOL_ID"),
    }
