"""RAPL, the counters of Intel's and AMD's processors, as the kernel's powercap framework shows them.

Documentation/power/powercap/powercap.rst of the Linux kernel: a zone has ``name``, ``energy_uj`` (microjoules) and
``max_energy_range_uj``, after which it starts again. Zones ``package-<n>`` are processors with their cores and
caches, ``dram`` inside one its memory, ``psys`` the platform. Since Linux 5.10 ``energy_uj`` is readable for root
alone (CVE-2020-8694), unless the site allows it by a rule of udev.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from prov_worker.probes.base import NoData, ProbeContext, ProbeError
from prov_worker.probes.energy import ENERGY_SOURCES
from prov_worker.probes.energy.base import CPU, MEMORY, NODE, CountingFile, EnergyCounter, EnergySource, SumOfFiles
from prov_worker.probes.read_files import read_int, read_text

_PER_JOULE = 1e6


class _Powercap(EnergySource):
    def open(self, context: ProbeContext) -> Sequence[EnergyCounter]:
        """See :class:`EnergySource`."""
        zones: dict[str, list[Path]] = {CPU: [], MEMORY: [], NODE: []}
        # intel-rapl-mmio counts the same packages once more.
        for zone in sorted((context.sys / "class/powercap").glob("intel-rapl:*")):
            subject = _subject(read_text(zone / "name") or "")
            if subject is not None:
                zones[subject].append(zone)
        if not any(zones.values()):
            raise NoData(f"no RAPL zone in {context.sys}/class/powercap")
        counters: list[EnergyCounter] = []
        try:
            for subject, members in zones.items():
                if members:
                    counters.append(SumOfFiles(subject, "RAPL (powercap)", _files(members), _PER_JOULE))
        except OSError as error:
            for counter in counters:
                counter.close()
            why = error.strerror or str(error)
            raise ProbeError(
                f"{error.filename}: {why.lower()}: since 2020 kernels let root alone read RAPL, unless a rule of udev "
                "allows it"
            ) from error
        return counters


def _subject(name: str) -> str | None:
    if name.startswith("package"):
        return CPU
    return {"dram": MEMORY, "psys": NODE}.get(name)


def _files(zones: Sequence[Path]) -> list[CountingFile]:
    files: list[CountingFile] = []
    try:
        for zone in zones:
            files.append(CountingFile(zone / "energy_uj", read_int(zone / "max_energy_range_uj")))
    except OSError:
        for file in files:
            file.close()
        raise
    return files


ENERGY_SOURCES.add("powercap", _Powercap(), rank=20)
