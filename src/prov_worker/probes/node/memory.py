"""The node's memory, and how much of it a control group lets the tasks have."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prov_worker.probes.base import NoData, ProbeContext, ProbeError
from prov_worker.probes.cgroup import memory_limit
from prov_worker.probes.read_files import numbered, read_text
from prov_worker.settings import PROBES


@dataclass(frozen=True)
class MemoryProbe:
    """Sizes of memory and swap.

    Data: ``virtual_memory`` and ``swap`` (psutil's fields: bytes, and ``percent``), ``total_bytes``,
    ``available_bytes``, ``cgroup_limit_bytes`` (None where there is no limit), ``cgroup`` (``v1``, ``v2`` or None),
    ``numa`` (per node ``node``, ``total_bytes`` and ``cpus``; a node without CPUs is memory of another kind, such as
    HBM) and ``source``.
    """

    name: str = "memory"
    time_limit_s: float = 5.0

    def take(self, context: ProbeContext) -> dict[str, Any]:
        """See :class:`~prov_worker.probes.base.Probe`."""
        version, limit = memory_limit(context)
        # psutil knows one root of /proc per process, and it is the running machine's.
        figures = _from_psutil() if context.proc == Path("/proc") else None
        source = "psutil" if figures else "/proc/meminfo"
        virtual, swap = figures or parse_meminfo(context.proc)
        return {
            "source": source,
            "virtual_memory": virtual,
            "swap": swap,
            "total_bytes": virtual["total"],
            "available_bytes": virtual["available"],
            "cgroup_limit_bytes": limit,
            "cgroup": version,
            "numa": _numa(context),
        }


def _from_psutil() -> tuple[dict[str, Any], dict[str, Any]] | None:
    """What psutil says; None where it is not installed."""
    try:
        import psutil
    except ImportError:
        return None
    return dict(psutil.virtual_memory()._asdict()), dict(psutil.swap_memory()._asdict())


def parse_meminfo(proc: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Memory and swap under psutil's names (psutil 7 on Linux, proc_meminfo(5)); bytes, and ``percent``.

    Raises:
        NoData: there is no ``meminfo``.
        ProbeError: it does not say how much memory there is.
    """
    text = read_text(proc / "meminfo")
    if text is None:
        raise NoData(f"{proc / 'meminfo'} cannot be read")
    values = _table(text)
    if not values.get("MemTotal"):
        raise ProbeError(f"{proc / 'meminfo'}: no MemTotal in it")
    total, free = values["MemTotal"], values.get("MemFree", 0)
    cached = values.get("Cached", 0) + values.get("SReclaimable", 0)
    # Kernels before 3.14 do not estimate what is available.
    available = min(values.get("MemAvailable", free + values.get("Buffers", 0) + cached), total)
    virtual = {
        "total": total,
        "available": available,
        "percent": _percent(total - available, total),
        "used": total - available,
        "free": free,
        "active": values.get("Active", 0),
        "inactive": values.get("Inactive", 0),
        "buffers": values.get("Buffers", 0),
        "cached": cached,
        "shared": values.get("Shmem", 0),
        "slab": values.get("Slab", 0),
    }
    swap_total, swap_free = values.get("SwapTotal", 0), values.get("SwapFree", 0)
    pages = dict(line.split()[:2] for line in (read_text(proc / "vmstat") or "").splitlines() if " " in line)
    page_bytes = os.sysconf("SC_PAGE_SIZE")
    swap = {
        "total": swap_total,
        "used": swap_total - swap_free,
        "free": swap_free,
        "percent": _percent(swap_total - swap_free, swap_total),
        "sin": int(pages.get("pswpin", "0")) * page_bytes,
        "sout": int(pages.get("pswpout", "0")) * page_bytes,
    }
    return virtual, swap


def _table(text: str) -> dict[str, int]:
    """``Name:  123 kB`` lines in bytes; lines of another form are passed over."""
    values = {}
    for line in text.splitlines():
        name, _, rest = line.partition(":")
        fields = rest.split()
        if fields and fields[0].isdigit():
            values[name.strip()] = int(fields[0]) * (1024 if fields[1:] == ["kB"] else 1)
    return values


def _numa(context: ProbeContext) -> list[dict[str, Any]]:
    nodes = []
    for directory in numbered(context.sys / "devices/system/node", "node"):
        number = int(directory.name.removeprefix("node"))
        # Each line is that of /proc/meminfo after "Node <n> ".
        text = (read_text(directory / "meminfo") or "").replace(f"Node {number} ", "")
        total = _table(text).get("MemTotal")
        nodes.append({"node": number, "total_bytes": total, "cpus": read_text(directory / "cpulist")})
    return nodes


def _percent(part: int, whole: int) -> float:
    return round(100 * part / whole, 1) if whole else 0.0


PROBES.add("memory", MemoryProbe)
