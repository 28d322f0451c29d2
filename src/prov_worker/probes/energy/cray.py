"""The power monitoring counters of HPE Cray nodes, such as those of Perlmutter and Frontier.

HPE Cray EX documentation, "pm_counters": files of ``/sys/cray/pm_counters`` that everybody may read, renewed ten times
a second, each a number, its unit and the moment in microseconds. ``energy`` is of the whole node, ``cpu_energy`` and
``memory_energy`` of parts of it. A blade may have a counter for both CPU and memory only. ``accel<n>_energy`` is left
out: which GPU has which number is not documented, and GPUs have counters of their own.
"""

from __future__ import annotations

from collections.abc import Sequence

from prov_worker.probes.base import NoData, ProbeContext, ProbeError
from prov_worker.probes.energy import ENERGY_SOURCES
from prov_worker.probes.energy.base import CPU, MEMORY, NODE, CountingFile, EnergyCounter, EnergySource, SumOfFiles
from prov_worker.probes.read_files import read_text

_FILES = {"energy": NODE, "cpu_energy": CPU, "memory_energy": MEMORY}


class _PmCounters(EnergySource):
    def open(self, context: ProbeContext) -> Sequence[EnergyCounter]:
        """See :class:`EnergySource`."""
        directory = context.sys / "cray/pm_counters"
        texts = {name: read_text(directory / name) for name in _FILES}
        if not any(texts.values()):
            raise NoData(f"no {directory}")
        counters: list[EnergyCounter] = []
        for name, text in texts.items():
            if text is None:
                continue
            fields = text.split()
            if len(fields) < 2 or not fields[0].isdigit() or fields[1] != "J":
                raise ProbeError(f"{directory / name}: expected a number of joules, got {text[:40]!r}")
            counters.append(SumOfFiles(_FILES[name], "Cray pm_counters", [CountingFile(directory / name)], 1.0))
        return counters


# The node's own meters: of CPU and memory they know what RAPL estimates.
ENERGY_SOURCES.add("cray", _PmCounters(), rank=10)
