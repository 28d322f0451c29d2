"""Live readings of the GPUs, for a sampler: files and handles are opened once and read again and again."""

from __future__ import annotations

import logging
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prov_worker.probes.base import NoData, ProbeContext, ProbeError
from prov_worker.probes.gpu import enumerate_gpus
from prov_worker.probes.gpu_drm import DrmCard
from prov_worker.probes.gpu_nvml import NvmlGpu, NvmlSession, open_devices
from prov_worker.probes.read_files import numbered, parse_int, read_text

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class GpuSample:
    """One reading; None where the device or its driver does not tell.

    Attributes:
        utilization_percent: share of time in which the device was busy, over the driver's own window.
        memory_used_bytes: of the device's own memory, by all processes.
        power_watts: of the device; where the driver counts energy, the mean since the reading before.
        temperature_celsius: of the chip.
    """

    utilization_percent: float | None = None
    memory_used_bytes: int | None = None
    power_watts: float | None = None
    temperature_celsius: float | None = None


class GpuMeter(ABC):
    """One device that can be read.

    Attributes:
        index: the device's number, the same as in the GPU probe's data.
        vendor: ``nvidia``, ``intel`` or ``amd``.
        uuid: as in the GPU probe's data, but None for Intel's, whose sysfs does not tell.
    """

    def __init__(self, index: int, vendor: str, uuid: str | None) -> None:
        self.index = index
        self.vendor = vendor
        self.uuid = uuid

    @abstractmethod
    def read(self) -> GpuSample:
        """Read once; never raises. A driver that is wedged may keep the call: read in a thread that may be left."""

    @abstractmethod
    def close(self) -> None:
        """Give back what the meter holds; never raises, and may be called again."""


def open_gpus(context: ProbeContext | None = None, nvml: Any = None) -> list[GpuMeter]:
    """Meters of all devices of the node that can be read, by index; empty where there is none. Never raises.

    Args:
        context: where to look; None takes the running machine.
        nvml: binding to NVML; None imports nvidia-ml-py.
    """
    context = ProbeContext() if context is None else context
    meters: list[GpuMeter] = []
    session: NvmlSession | None = None
    devices: list[NvmlGpu] = []
    try:
        if context.is_this_machine or nvml is not None:
            try:
                session, devices = open_devices(nvml)
            except NoData as absent:
                log.debug("no NVIDIA GPU is sampled: %s", absent)
            except ProbeError as error:
                log.warning("no NVIDIA GPU is sampled: %s", error)
        for gpu in enumerate_gpus(context, devices):
            if isinstance(gpu.source, DrmCard):
                meters.append(SysfsMeter(gpu.index, gpu.source))
            elif isinstance(gpu.source, NvmlGpu) and gpu.source.handle is not None and session is not None:
                meters.append(NvmlMeter(gpu.index, gpu.source, session))
    # The sampler goes on without GPUs rather than not at all, whatever a driver or a binding came up with.
    except Exception:
        log.warning("GPUs are not sampled", exc_info=True)
    if session is not None:
        session.close()
    return meters


class NvmlMeter(GpuMeter):
    """A device of NVIDIA, or a MIG instance: that one tells its memory alone, the rest belongs to its GPU."""

    def __init__(self, index: int, gpu: NvmlGpu, session: NvmlSession) -> None:
        super().__init__(index, "nvidia", gpu.uuid)
        self._handle = gpu.handle
        self._session: NvmlSession | None = session.hold()
        sensor = session.constant("NVML_TEMPERATURE_GPU")
        # What a device will never answer is not asked again: an error costs as much as an answer.
        self._utilization = not gpu.mig and session.supports("nvmlDeviceGetUtilizationRates", self._handle)
        self._power = not gpu.mig and session.supports("nvmlDeviceGetPowerUsage", self._handle)
        self._sensor = (
            sensor if not gpu.mig and session.supports("nvmlDeviceGetTemperature", self._handle, sensor) else None
        )

    def read(self) -> GpuSample:
        """See :class:`GpuMeter`."""
        session, handle = self._session, self._handle
        if session is None:
            return GpuSample()
        rates = session.ask("nvmlDeviceGetUtilizationRates", handle) if self._utilization else None
        memory = session.memory(handle)
        milliwatts = session.ask("nvmlDeviceGetPowerUsage", handle) if self._power else None
        degrees = session.ask("nvmlDeviceGetTemperature", handle, self._sensor) if self._sensor is not None else None
        return GpuSample(
            float(rates.gpu) if rates is not None else None,
            int(memory.used) if memory is not None else None,
            milliwatts / 1000 if milliwatts is not None else None,
            float(degrees) if degrees is not None else None,
        )

    def close(self) -> None:
        """See :class:`GpuMeter`."""
        session, self._session = self._session, None
        if session is not None:
            session.close()


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
        self._before: tuple[float, int] | None = None

    def read(self) -> GpuSample:
        """See :class:`GpuMeter`."""
        busy, used, free, total = (g.read() for g in (self._busy, self._used, self._free, self._total))
        if used is None and free is not None and total is not None and total >= free:
            used = total - free
        microwatts, millidegrees = self._power.read(), self._temperature.read()
        return GpuSample(
            float(busy) if busy is not None else None,
            used,
            microwatts / 1e6 if microwatts is not None else self._mean_power(),
            millidegrees / 1000 if millidegrees is not None else None,
        )

    def _mean_power(self) -> float | None:
        """Watts since the reading before; None the first time, and where the counter started again."""
        microjoules, now = self._energy.read(), time.monotonic()
        before, self._before = self._before, (now, microjoules) if microjoules is not None else None
        if before is None or microjoules is None or microjoules < before[1] or now <= before[0]:
            return None
        return (microjoules - before[1]) / 1e6 / (now - before[0])

    def close(self) -> None:
        """See :class:`GpuMeter`."""
        for gauge in (self._busy, self._used, self._free, self._total, self._power, self._energy, self._temperature):
            gauge.close()


def _sensors(card: DrmCard) -> Sequence[Path]:
    """Directories of the card's sensors; those of single tiles (``i915_gt0``) would count a part for the whole."""
    found = numbered(card.device / "hwmon", "hwmon")
    return [directory for directory in found if "_gt" not in (read_text(directory / "name") or "")]


class _Gauge:
    """A file of sysfs that holds one integer, kept open; an absent one reads as None."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor

    @classmethod
    def first(cls, paths: Iterable[Path]) -> _Gauge:
        """The first file that answers with a number, else the first that is there: it may answer later."""
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
            # sysfs makes the content anew for each read at the start.
            return parse_int(os.pread(self._descriptor, 64, 0).decode("ascii", "replace").strip())
        except OSError:
            return None

    def close(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)
