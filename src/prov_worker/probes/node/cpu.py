"""The node's processors, as ``lscpu`` tells of them; from /proc/cpuinfo if it cannot."""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from prov_worker.probes.base import NoData, ProbeContext, ProbeError
from prov_worker.probes.cgroup import cpu_limit
from prov_worker.probes.read_files import numbered, read_int, read_text
from prov_worker.settings import PROBES

LSCPU_LIMIT_S = 8.0


@dataclass(frozen=True)
class CpuProbe:
    """Model, topology and clock of the processors.

    Data: ``source`` (``lscpu -J`` or ``/proc/cpuinfo``), ``lscpu`` (every field by its label, flat), ``model`` (of
    several kinds of cores: all, joined by ``+``), ``kinds`` (of several kinds of cores: ``model``, ``cores`` and
    ``max_mhz`` of each; else empty), ``vendor``, ``architecture``, ``logical`` (CPUs that are on-line),
    ``physical_cores`` (of all kinds, on-line), ``sockets``, ``numa_nodes``, ``max_mhz`` (of the fastest core),
    ``cgroup_cpu_limit`` (quota in CPUs) and ``lscpu_error`` (why the fallback was taken); None if unknown.

    lscpu(1) rounds: its cores, sockets, books and drawers need not multiply to what is on-line. Such a topology is not
    believed; the kernel's own (``topology/core_cpus_list``, admin-guide/cputopology.rst) is, if it is there.
    """

    name: str = "cpu"
    time_limit_s: float = 10.0

    def take(self, context: ProbeContext) -> dict[str, Any]:
        """See :class:`~prov_worker.probes.base.Probe`."""
        problem = None
        try:
            pairs = _lscpu_pairs(context.command(["lscpu", "-J"], LSCPU_LIMIT_S))
            source = "lscpu -J"
        except (NoData, ProbeError) as error:
            problem = str(error)
            pairs = from_cpuinfo(read_text(context.proc / "cpuinfo") or "")
            source = "/proc/cpuinfo"
        if not pairs:
            raise NoData(f"{problem}; no processor in {context.proc / 'cpuinfo'}")
        fields = _numbered_labels(pairs)
        kinds = _kinds(pairs)
        on_line = fields.get("On-line CPU(s) list")
        logical = (count_list(on_line) if on_line else None) or _integer(fields.get("CPU(s)")) or None
        cores, sockets = _topology(kinds, logical)
        kernel_cores, kernel_sockets = _kernel_topology(context)
        clocks = [kind.max_mhz for kind in kinds] + [_max_mhz(context)]
        models = list(dict.fromkeys(kind.model for kind in kinds if kind.model))
        return {
            "source": source,
            "lscpu": fields,
            "lscpu_error": problem,
            "model": " + ".join(models) or None,
            "kinds": [kind.to_dict() for kind in kinds] if len(kinds) > 1 else [],
            "vendor": _text(fields.get("Vendor ID")),
            "architecture": _text(fields.get("Architecture")),
            "logical": logical,
            "physical_cores": kernel_cores or cores,
            "sockets": sockets or kernel_sockets,
            "numa_nodes": _integer(fields.get("NUMA node(s)"))
            or len(numbered(context.sys / "devices/system/node", "node"))
            or None,
            "max_mhz": max((clock for clock in clocks if clock), default=None),
            "cgroup_cpu_limit": cpu_limit(context),
        }


def parse_lscpu(text: str) -> dict[str, str]:
    """Return fields of ``lscpu -J`` by label, without the colon; nested ones (util-linux 2.39) are brought up.

    A label that comes again, as on processors with two kinds of cores, gets a number: ``Model name (2)``.

    Raises:
        ProbeError: the text is not what ``lscpu -J`` prints.
    """
    return _numbered_labels(_lscpu_pairs(text))


def _lscpu_pairs(text: str) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    try:
        _flatten(json.loads(text)["lscpu"], pairs)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ProbeError(f"lscpu: output not understood: {type(error).__name__}: {error}"[:200]) from error
    if not pairs:
        raise ProbeError("lscpu: output not understood: no field in it")
    return pairs


def _flatten(entries: list[dict[str, Any]], pairs: list[tuple[str, str]]) -> None:
    for entry in entries:
        label = entry["field"].strip().rstrip(":")
        data = entry.get("data")
        children = entry.get("children") or []
        if data is not None or not children:
            pairs.append((label, "" if data is None else str(data)))
        _flatten(children, pairs)


def _numbered_labels(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for label, value in pairs:
        unique, count = label, 1
        while unique in fields:
            count += 1
            unique = f"{label} ({count})"
        fields[unique] = value
    return fields


@dataclass(frozen=True)
class _Kind:
    """Cores of one model: ``cores`` on the node, of ``threads`` each, in ``sockets``; None if unknown."""

    model: str | None
    cores: int | None
    threads: int | None
    sockets: int | None
    max_mhz: float | None

    def to_dict(self) -> dict[str, Any]:
        return {"model": self.model, "cores": self.cores, "max_mhz": self.max_mhz}


def _kinds(pairs: Sequence[tuple[str, str]]) -> list[_Kind]:
    """Return kinds of cores, in lscpu's order: first the model's name, then that kind's topology and clock."""
    starts = [position for position, (label, _) in enumerate(pairs) if label == "Model name"]
    if len(starts) < 2:
        return [_kind(dict(reversed(pairs)))]
    ends = [*starts[1:], len(pairs)]
    return [_kind(dict(reversed(pairs[start:end]))) for start, end in zip(starts, ends, strict=True)]


def _kind(fields: dict[str, str]) -> _Kind:
    """Return one kind; util-linux's labels for sockets, for clusters of ARM, and for books and drawers of IBM Z."""
    if "Core(s) per cluster" in fields:
        each, units, sockets = _integer(fields["Core(s) per cluster"]), _integer(fields.get("Cluster(s)")), None
    else:
        each = _integer(fields.get("Core(s) per socket"))
        units = sockets = _sockets(fields)
    return _Kind(
        model=_text(fields.get("Model name")),
        cores=each * units if each and units else None,
        threads=_integer(fields.get("Thread(s) per core")),
        sockets=sockets,
        max_mhz=_number(fields.get("CPU max MHz")),
    )


def _sockets(fields: dict[str, str]) -> int | None:
    if "Socket(s) per book" not in fields:
        return _integer(fields.get("Socket(s)", fields.get("CPU socket(s)")))
    levels = ["Socket(s) per book"]
    if "Book(s) per drawer" in fields:
        # Spelled "Drawers(s)" before util-linux 2.36.
        levels += ["Book(s) per drawer", "Drawer(s)" if "Drawer(s)" in fields else "Drawers(s)"]
    else:
        levels.append("Book(s)")
    counts = [_integer(fields.get(level)) for level in levels]
    return prod(count for count in counts if count) if all(counts) else None


def _topology(kinds: Sequence[_Kind], logical: int | None) -> tuple[int | None, int | None]:
    """Return cores and sockets of all kinds; None if the kinds do not fit the CPUs that are on-line."""
    if any(kind.cores is None for kind in kinds):
        return None, kinds[0].sockets if len(kinds) == 1 else None
    cores = sum(kind.cores or 0 for kind in kinds)
    threads = sum((kind.cores or 0) * (kind.threads or 1) for kind in kinds)
    if logical is not None and not (cores <= logical and (logical <= threads or any(k.threads is None for k in kinds))):
        return None, None
    # Whether kinds share a socket, lscpu does not tell.
    return cores, kinds[0].sockets if len(kinds) == 1 else None


def _kernel_topology(context: ProbeContext) -> tuple[int | None, int | None]:
    """Return cores and sockets as sysfs has them, of the CPUs that are on-line; None if it tells not of all."""
    cores: set[str | None] = set()
    packages: set[int | None] = set()
    for cpu in numbered(context.sys / "devices/system/cpu", "cpu"):
        if read_text(cpu / "online") == "0":
            continue
        topology = cpu / "topology"
        # Named thread_siblings_list before Linux 5.3.
        cores.add(read_text(topology / "core_cpus_list") or read_text(topology / "thread_siblings_list") or None)
        package = read_int(topology / "physical_package_id")
        packages.add(package if package is not None and package >= 0 else None)
    return (
        len(cores) if cores and None not in cores else None,
        len(packages) if packages and None not in packages else None,
    )


def count_list(text: str) -> int | None:
    """Return number of CPUs in a list such as ``0-3,8``; None if the text is none."""
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
    "Machine type": ("machine",),
    "Model": ("model", "CPU part"),
    "Stepping": ("stepping", "CPU revision"),
    "BogoMIPS": ("bogomips", "BogoMIPS", "bogomips per cpu"),
    "Flags": ("flags", "Features", "features"),
}
#: IBM Z, arch/s390/kernel/processor.c: ``processor 0: version = 00,  identification = …,  machine = 3931``.
_S390_CPU = re.compile(r"processor (\d+)")
#: SPARC, arch/sparc/kernel/smp_64.c: ``CPU0:\t\tonline``.
_SPARC_CPU = re.compile(r"CPU(\d+)")
#: What makes a core one of its own.
_CORE = ("drawer id", "book id", "physical id", "core id")


def from_cpuinfo(text: str) -> list[tuple[str, str]]:
    """Return the fields that ``/proc/cpuinfo`` answers, under lscpu's labels; empty if there is no processor in it.

    Each architecture of Linux writes it in its own form (``show_cpuinfo`` of ``arch/*/kernel``): a block for each
    processor after ``processor : 0``; on IBM Z a line for each, and blocks after ``cpu number : 0``; on SPARC the same
    facts for all, and lines ``CPU0: online``.
    """
    cpus: dict[str, dict[str, str]] = {}
    common: dict[str, str] = {}
    current = common
    for line in text.splitlines():
        key, colon, value = (part.strip() for part in line.partition(":"))
        z_cpu, sparc_cpu = _S390_CPU.fullmatch(key), _SPARC_CPU.fullmatch(key)
        if not colon:
            continue
        if key in ("processor", "cpu number") and value.isdecimal():
            current = cpus.setdefault(value, {})
        elif z_cpu:
            facts = (fact.partition("=") for fact in value.split(","))
            cpus.setdefault(z_cpu[1], {}).update((name.strip(), fact.strip()) for name, _, fact in facts)
        elif sparc_cpu and value == "online":
            cpus.setdefault(sparc_cpu[1], {})
        else:
            current[key] = value
    if not cpus:
        return []
    pairs = [("Architecture", platform.machine()), ("CPU(s)", str(len(cpus)))]
    for label, keys in _CPUINFO.items():
        # Of several kinds of cores each is named, as lscpu does.
        answers = [next((cpu[key] for key in keys if cpu.get(key)), None) for cpu in cpus.values()]
        if not any(answers):
            answers = [next((common[key] for key in keys if common.get(key)), None)]
        kinds = dict.fromkeys(answer for answer in answers if answer)
        pairs += [(label, answer) for answer in list(kinds)[: None if label == "Model name" else 1]]
    if all("physical id" in cpu and "core id" in cpu for cpu in cpus.values()):
        sockets = len({tuple(cpu.get(key) for key in _CORE[:-1]) for cpu in cpus.values()})
        cores = len({tuple(cpu.get(key) for key in _CORE) for cpu in cpus.values()})
        if cores % sockets == 0:
            pairs += [("Socket(s)", str(sockets)), ("Core(s) per socket", str(cores // sockets))]
        if len(cpus) % cores == 0:
            pairs.append(("Thread(s) per core", str(len(cpus) // cores)))
    return pairs


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
