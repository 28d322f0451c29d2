"""The machine that figures are of, and how quiet it was."""

from __future__ import annotations

import os
import platform
import sys
import time
from importlib import metadata
from typing import Any

from benchmarks.harness import quantile

PACKAGES = ("prov-worker", "globus-compute-endpoint", "globus-compute-sdk", "parsl", "psutil", "matplotlib")


def describe(quick: bool) -> dict[str, Any]:
    """Hardware, system, versions, load, and the noise of a fixed piece of work."""
    model, count, memory = _cpu_model(), os.cpu_count() or 0, _memory_bytes()
    noise = noise_percent()
    return {
        "summary": f"{count} × {model}, {memory / 2**30:.0f} GiB, Linux {platform.release()}, "
        f"Python {platform.python_version()}; noise {noise:.1f} %, load {load()[0]:.1f}",
        "cpu": model,
        "logical_cpus": count,
        "usable_cpus": len(os.sched_getaffinity(0)),
        "memory_bytes": memory,
        "system": platform.platform(),
        "python": sys.version,
        "packages": {name: _version(name) for name in PACKAGES},
        "autogroup": _read("/proc/sys/kernel/sched_autogroup_enabled"),
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "quick": quick,
        "load_before": load(),
        "noise_percent": round(noise, 2),
        "noise_is": "spread (p90 over p10, less one) of a fixed piece of work of 5 ms, 100 times",
    }


def load() -> list[float]:
    """Load averages of one, five and fifteen minutes."""
    return [round(value, 2) for value in os.getloadavg()]


def noise_percent(times: int = 100) -> float:
    """How much a fixed piece of work differs from time to time on this machine, percent."""
    took = []
    for _ in range(times):
        begin = time.perf_counter()
        sum(i & 3 for i in range(100_000))
        took.append(time.perf_counter() - begin)
    return 100 * (quantile(took, 0.9) / quantile(took, 0.1) - 1)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _cpu_model() -> str:
    for line in _read("/proc/cpuinfo").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _memory_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _read(path: str) -> str:
    try:
        with open(path) as file:
            return file.read().strip()
    except OSError:
        return ""
