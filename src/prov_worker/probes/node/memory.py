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
    ``available_bytes``, ``cgroup_limit_bytes`` (None if there is no limit), ``cgroup`` (``v1``, ``v2`` or None),
    ``numa`` (per node ``node``, ``total_bytes`` and ``cpus``; a node without CPUs is memory of another kind, such as
    HBM), ``source`` (``psutil`` or ``/proc/meminfo``) and ``psutil_error`` (why psutil was not believed); None if
    unknown.
    """

    name: str = "memory"
    time_limit_s: float = 5.0

    def take(self, context: ProbeContext) -> dict[str, Any]:
        """See :class:`~prov_worker.probes.base.Probe`."""
        version, limit = memory_limit(context)
        # psutil knows one root of /proc per process, and it is the running machine's.
        problem: str | None = None
        try:
            virtual, swap = _from_psutil(context)
            source = "psutil"
        # Which error a library raises that cannot read what it expects (a hardened /proc, gVisor, another C library) is
        # not part of its interface; the kernel's own file may well be there.
        except Exception as error:
            problem = str(error) if isinstance(error, NoData) else f"psutil: {type(error).__name__}: {error}"[:200]
            virtual, swap = parse_meminfo(context.proc)
            source = "/proc/meminfo"
        return {
            "source": source,
            "psutil_error": problem,
            "virtual_memory": virtual,
            "swap": swap,
            "total_bytes": virtual["total"],
            "available_bytes": virtual["available"],
            "cgroup_limit_bytes": limit,
            "cgroup": version,
            "numa": _numa(context),
        }


def _from_psutil(context: ProbeContext) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what psutil says.

    Raises:
        NoData: it is not installed, or it cannot be asked about this node.
    """
    if context.proc != Path("/proc"):
        raise NoData("psutil knows the running machine only")
    try:
        import psutil
    except ImportError:
        raise NoData("psutil is not installed") from None
    return dict(psutil.virtual_memory()._asdict()), dict(psutil.swap_memory()._asdict())


def parse_meminfo(proc: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return memory and swap under psutil's names (psutil 7 on Linux, proc_meminfo(5)); bytes, and ``percent``.

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
    total, free = values["MemTotal"], values.get("MemFree")
    cached = values.get("Cached", 0) + values.get("SReclaimable", 0)
    available = values.get("MemAvailable")
    if available is None and free is not None:
        # Kernels before 3.14 do not estimate what is available.
        available = free + values.get("Buffers", 0) + cached
    used = None if available is None else total - min(available, total)
    virtual = {
        "total": total,
        "available": None if used is None else total - used,
        "percent": _percent(used, total),
        "used": used,
        "free": free,
        "active": values.get("Active"),
        "inactive": values.get("Inactive"),
        "buffers": values.get("Buffers"),
        "cached": cached if "Cached" in values else None,
        "shared": values.get("Shmem"),
        "slab": values.get("Slab"),
    }
    swap_total, swap_free = values.get("SwapTotal"), values.get("SwapFree")
    swap_used = None if swap_total is None or swap_free is None else swap_total - swap_free
    swap = {
        "total": swap_total,
        "used": swap_used,
        "free": swap_free,
        "percent": _percent(swap_used, swap_total),
        **_swapped(proc),
    }
    return virtual, swap


def _swapped(proc: Path) -> dict[str, int | None]:
    """Return bytes that were swapped in and out since the start (proc_vmstat(5)); None if the kernel does not tell."""
    pages = dict(line.split()[:2] for line in (read_text(proc / "vmstat") or "").splitlines() if " " in line)
    page_bytes = os.sysconf("SC_PAGE_SIZE")
    counts = {"sin": pages.get("pswpin", ""), "sout": pages.get("pswpout", "")}
    return {name: int(count) * page_bytes if count.isdigit() else None for name, count in counts.items()}


def _table(text: str) -> dict[str, int]:
    """Return ``Name:  123 kB`` lines in bytes; lines of another form are passed over."""
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


def _percent(part: int | None, whole: int | None) -> float | None:
    if part is None or whole is None:
        return None
    return round(100 * part / whole, 1) if whole else 0.0


PROBES.add("memory", MemoryProbe)
