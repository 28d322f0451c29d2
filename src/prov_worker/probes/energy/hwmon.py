"""Counters of processors among the sensors of the kernel (hwmon).

Documentation/hwmon/amd_energy.rst of the Linux kernel: ``energy<n>_input`` in microjoules, of which those with the
label ``Esocket<n>`` are whole processors; it keeps its own 64-bit sums, which do not start again.
"""

from __future__ import annotations

from collections.abc import Sequence

from prov_worker.probes.base import NoData, ProbeContext, ProbeError
from prov_worker.probes.energy import ENERGY_SOURCES
from prov_worker.probes.energy.base import CPU, CountingFile, EnergyCounter, EnergySource, SumOfFiles
from prov_worker.probes.read_files import numbered, read_text


class _Hwmon(EnergySource):
    def open(self, context: ProbeContext) -> Sequence[EnergyCounter]:
        """See :class:`EnergySource`."""
        files: list[CountingFile] = []
        try:
            for device in numbered(context.sys / "class/hwmon", "hwmon"):
                if read_text(device / "name") != "amd_energy":
                    continue
                for label in sorted(device.glob("energy*_label")):
                    if (read_text(label) or "").startswith("Esocket"):
                        files.append(CountingFile(label.with_name(label.name.replace("_label", "_input"))))
        except OSError as error:
            for file in files:
                file.close()
            raise ProbeError(f"{error.filename}: {(error.strerror or str(error)).lower()}") from error
        if not files:
            raise NoData(f"no sensor of a processor's energy in {context.sys}/class/hwmon")
        return [SumOfFiles(CPU, "amd_energy (hwmon)", files, 1e6)]


ENERGY_SOURCES.add("hwmon", _Hwmon(), rank=30)
