"""Readings of graphics cards of Intel and AMD: the files of their drivers and of their sensors (hwmon) in sysfs.

Kernel documentation: ``ABI/testing/sysfs-driver-intel-i915-hwmon``, ``…-intel-xe-hwmon``, ``gpu/amdgpu/driver-misc``
and ``…/thermal``.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from prov_worker.probes.gpus.base import GpuMeter, GpuSample
from prov_worker.probes.read_files import numbered, parse_int, read_text

if TYPE_CHECKING:
    from prov_worker.probes.gpus.drm import DrmCard

#: Quantities by the labels of AMD's sensors.
_TEMPERATURES = {
    "edge": "temperature_edge_celsius",
    "junction": "temperature_junction_celsius",
    "mem": "temperature_memory_celsius",
}
_CLOCKS = {"sclk": "clock_graphics_megahertz", "mclk": "clock_memory_megahertz"}
_LEVEL = re.compile(r"\d+: *(\d{1,6})mhz *\*", re.IGNORECASE)


class SysfsMeter(GpuMeter):
    """A card of Intel or AMD, by the files of its driver and of its sensors (hwmon)."""

    def __init__(self, index: int, card: DrmCard) -> None:
        super().__init__(index, card.vendor, card.uuid)
        device, sensors = card.device, _sensors(card)
        self._busy = _Gauge.first([device / "gpu_busy_percent"])
        self._used = _Gauge.first([device / "mem_info_vram_used"])
        self._free = _Gauge.first([card.card / "lmem_avail_bytes", device / "lmem_avail_bytes"])
        # The total that belongs to the free bytes: the sum of the tiles could be another figure.
        self._total = _Gauge.first([card.card / "lmem_total_bytes", device / "lmem_total_bytes"])
        self._power = _Gauge.first([s / name for name in ("power1_average", "power1_input") for s in sensors])
        self._energy = _Gauge.first([s / name for name in ("energy1_input", "energy2_input") for s in sensors])
        self._temperature = _Gauge.first([s / f"temp{n}_input" for n in (1, 2) for s in sensors])
        further = list(_further(card, sensors)) if card.vendor == "amd" else []
        self.more = tuple((name, unit) for name, unit, _, _ in further)
        self._more = [(gauge, scale) for _, _, gauge, scale in further]
        self._before: tuple[float, int] | None = None

    def read(self) -> GpuSample:
        """See :class:`GpuMeter`."""
        busy, used, free, total = (g.read() for g in (self._busy, self._used, self._free, self._total))
        if used is None and free is not None and total is not None and total >= free:
            used = total - free
        microwatts, millidegrees, microjoules = self._power.read(), self._temperature.read(), self._energy.read()
        return GpuSample(
            float(busy) if busy is not None else None,
            used,
            microwatts / 1e6 if microwatts is not None else self._mean_power(microjoules),
            millidegrees / 1000 if millidegrees is not None else None,
            microjoules / 1e6 if microjoules is not None else None,
            tuple(None if value is None else value * scale for value, scale in self._read_more()),
        )

    def _read_more(self) -> Iterator[tuple[int | None, float]]:
        return ((gauge.read(), scale) for gauge, scale in self._more)

    def _mean_power(self, microjoules: int | None) -> float | None:
        """Return watts since the reading before; None the first time, and if the counter started again."""
        now = time.monotonic()
        before, self._before = self._before, (now, microjoules) if microjoules is not None else None
        if before is None or microjoules is None or microjoules < before[1] or now <= before[0]:
            return None
        return (microjoules - before[1]) / 1e6 / (now - before[0])

    def close(self) -> None:
        """See :class:`GpuMeter`."""
        gauges = (self._busy, self._used, self._free, self._total, self._power, self._energy, self._temperature)
        for gauge in (*gauges, *(gauge for gauge, _ in self._more)):
            gauge.close()


def _sensors(card: DrmCard) -> Sequence[Path]:
    """Return directories of the card's sensors, not of single tiles (``i915_gt0``), which are a part."""
    directories = numbered(card.device / "hwmon", "hwmon")
    return [directory for directory in directories if "_gt" not in (read_text(directory / "name") or "")]


def _further(card: DrmCard, sensors: Sequence[Path]) -> Iterator[tuple[str, str, _Gauge, float]]:
    """Yield what AMD's driver tells besides: name, unit, gauge, and what its number is to be multiplied with.

    Kernel documentation, ``gpu/amdgpu/thermal``: ``mem_busy_percent``; hwmon's ``tempN_label`` (edge, junction, mem)
    and ``freqN_label`` (sclk, mclk; hertz); ``pp_dpm_sclk`` and ``pp_dpm_mclk``, whose line with an asterisk is now.
    """
    busy = _Gauge.first([card.device / "mem_busy_percent"])
    if busy.is_there:
        yield "memory_busy_percent", "percent", busy, 1.0
    names = set()
    for sensor in sensors:
        for number in range(1, 9):
            label = read_text(sensor / f"temp{number}_label")
            name = _TEMPERATURES.get(label or "")
            if name is not None and name not in names:
                gauge = _Gauge.first([sensor / f"temp{number}_input"])
                if gauge.is_there:
                    names.add(name)
                    yield name, "celsius", gauge, 1e-3
    for label, name in _CLOCKS.items():
        places = (s / f"freq{n}" for s in sensors for n in (1, 2, 3) if read_text(s / f"freq{n}_label") == label)
        gauge = _Gauge.first([place.with_name(f"{place.name}_input") for place in places])
        if gauge.is_there:
            yield name, "megahertz", gauge, 1e-6
            continue
        gauge = _LevelGauge.first([card.device / f"pp_dpm_{label}"])
        if gauge.is_there:
            yield name, "megahertz", gauge, 1.0


class _Gauge:
    """A file of sysfs that holds one integer, kept open; an absent one reads as None."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor

    @property
    def is_there(self) -> bool:
        """Whether there is such a file."""
        return self._descriptor is not None

    @classmethod
    def first(cls, paths: Iterable[Path]) -> _Gauge:
        """Return the first file that answers with a number, else the first that is there: it may answer later."""
        there: _Gauge | None = None
        for path in paths:
            try:
                gauge = cls(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
            except OSError:
                continue
            if gauge.read() is not None:
                if there is not None:
                    there.close()
                return gauge
            if there is None:
                there = gauge
            else:
                gauge.close()
        return there if there is not None else cls(None)

    def read(self) -> int | None:
        if self._descriptor is None:
            return None
        try:
            # sysfs makes the content again for each read at the start.
            return self._parse(os.pread(self._descriptor, 4096, 0).decode("ascii", "replace"))
        except OSError:
            return None

    @staticmethod
    def _parse(text: str) -> int | None:
        return parse_int(text.strip())

    def close(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


class _LevelGauge(_Gauge):
    """A file of clock levels in megahertz, such as ``1: 1700Mhz *``: an asterisk is behind the present one."""

    @staticmethod
    def _parse(text: str) -> int | None:
        match = _LEVEL.search(text)
        return None if match is None else int(match[1])
