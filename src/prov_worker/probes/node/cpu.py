"""The node's processors, as ``lscpu`` tells of them; from /proc/cpuinfo where it cannot."""

from __future__ import annotations

import json
import platform
from dataclasses import dataclass
from typing import Any

from prov_worker.probes.base import NoData, ProbeContext, ProbeError
from prov_worker.probes.cgroup import cpu_limit
from prov_worker.probes.read_files import numbered, read_int, read_text
from prov_worker.settings import PROBES

LSCPU_LIMIT_S = 8.0


@dataclass(frozen=True)
class CpuProbe:
    """Model, topology and clock of the processors.

    Data: ``source`` (``lscpu -J`` or ``/proc/cpuinfo``), ``lscpu`` (every field by its label, flat), ``model``,
    ``vendor``, ``architecture``, ``logical`` (CPUs that are on-line), ``physical_cores``, ``sockets``, ``numa_nodes``,
    ``max_mhz``, ``cgroup_cpu_limit`` (quota in CPUs) and ``lscpu_error`` (why the fallback was taken); None where
    unknown.
    """

    name: str = "cpu"
    time_limit_s: float = 10.0

    def take(self, context: ProbeContext) -> dict[str, Any]:
        """See :class:`~prov_worker.probes.base.Probe`."""
        problem = None
        try:
            fields = parse_lscpu(context.command(["lscpu", "-J"], LSCPU_LIMIT_S))
            source = "lscpu -J"
        except (NoData, ProbeError) as error:
            problem = str(error)
            fields = _from_cpuinfo(context)
            source = "/proc/cpuinfo"
        if not fields:
            raise NoData(f"{problem}; no processor in {context.proc / 'cpuinfo'}")
        sockets = _integer(fields.get("Socket(s)"))
        per_socket = _integer(fields.get("Core(s) per socket"))
        on_line = fields.get("On-line CPU(s) list")
        max_mhz = _number(fields.get("CPU max MHz")) or _max_mhz(context)
        return {
            "source": source,
            "lscpu": fields,
            "lscpu_error": problem,
            "model": _text(fields.get("Model name")),
            "vendor": _text(fields.get("Vendor ID")),
            "architecture": _text(fields.get("Architecture")),
            "logical": (count_list(on_line) if on_line else None) or _integer(fields.get("CPU(s)")) or 0,
            "physical_cores": sockets * per_socket if sockets and per_socket else None,
            "sockets": sockets,
            "numa_nodes": _integer(fields.get("NUMA node(s)"))
            or len(numbered(context.sys / "devices/system/node", "node"))
            or None,
            "max_mhz": max_mhz,
            "cgroup_cpu_limit": cpu_limit(context),
        }


def parse_lscpu(text: str) -> dict[str, str]:
    """Fields of ``lscpu -J`` by label, without the colon; nested ones (util-linux 2.39 and later) are brought up.

    A label that comes again, as on processors with two kinds of cores, gets a number: ``Model name (2)``.

    Raises:
        ProbeError: the text is not what ``lscpu -J`` prints.
    """
    try:
        entries = json.loads(text)["lscpu"]
        fields: dict[str, str] = {}
        _flatten(entries, fields)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ProbeError(f"lscpu: output not understood: {type(error).__name__}: {error}"[:200]) from error
    if not fields:
        raise ProbeError("lscpu: output not understood: no field in it")
    return fields


def _flatten(entries: list[dict[str, Any]], fields: dict[str, str]) -> None:
    for entry in entries:
        label = entry["field"].strip().rstrip(":")
        data = entry.get("data")
        children = entry.get("children") or []
        if data is not None or not children:
            unique, count = label, 1
            while unique in fields:
                count += 1
                unique = f"{label} ({count})"
            fields[unique] = "" if data is None else str(data)
        _flatten(children, fields)


def count_list(text: str) -> int | None:
    """Number of CPUs in a list such as ``0-3,8``; None where the text is none."""
    count = 0
    try:
        for part in text.split(","):
            first, dash, last = part.partition("-")
            count += int(last if dash else first) - int(first) + 1
    except ValueError:
        return None
    return count


#: Labels of lscpu and keys of /proc/cpuinfo (x86, then others) that say the same.
_CPUINFO = {
    "Vendor ID": ("vendor_id", "CPU implementer"),
    "Model name": ("model name", "cpu", "Processor"),
    "CPU family": ("cpu family", "CPU architecture"),
    "Model": ("model", "CPU part"),
    "Stepping": ("stepping", "CPU revision"),
    "BogoMIPS": ("bogomips", "BogoMIPS"),
    "Flags": ("flags", "Features"),
}


def _from_cpuinfo(context: ProbeContext) -> dict[str, str]:
    """The fields that /proc/cpuinfo answers, under lscpu's labels; empty where there is no processor in it."""
    cpus: list[dict[str, str]] = []
    for line in (read_text(context.proc / "cpuinfo") or "").splitlines():
        key, colon, value = line.partition(":")
        if not colon:
            continue
        if key.strip() == "processor":
            cpus.append({})
        if cpus:
            cpus[-1][key.strip()] = value.strip()
    if not cpus:
        return {}
    fields = {"Architecture": platform.machine(), "CPU(s)": str(len(cpus))}
    for label, keys in _CPUINFO.items():
        answered = [cpus[0][key] for key in keys if cpus[0].get(key)]
        if answered:
            fields[label] = answered[0]
    if all("physical id" in cpu and "core id" in cpu for cpu in cpus):
        sockets = len({cpu["physical id"] for cpu in cpus})
        cores = len({(cpu["physical id"], cpu["core id"]) for cpu in cpus})
        fields["Socket(s)"] = str(sockets)
        fields["Core(s) per socket"] = str(cores // sockets)
        fields["Thread(s) per core"] = str(len(cpus) // cores)
    return fields


def _max_mhz(context: ProbeContext) -> float | None:
    cpus = numbered(context.sys / "devices/system/cpu", "cpu")
    frequencies = [read_int(cpu / "cpufreq/cpuinfo_max_freq") for cpu in cpus]
    return max((khz / 1000 for khz in frequencies if khz), default=None)


def _text(value: str | None) -> str | None:
    return value if value and value != "-" else None


def _integer(value: str | None) -> int | None:
    return int(value) if value and value.isdigit() else None


def _number(value: str | None) -> float | None:
    try:
        return float(value) if value else None
    except ValueError:
        return None


PROBES.add("cpu", CpuProbe)
