"""The node's GPUs, from whatever lists them: one file per source, which registers it.

A module of this package that calls ``GPU_SOURCES.add`` is all that a source needs: the probe describes its devices, and
the agent samples them.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from prov_worker.probes.base import NoData, ProbeContext, ProbeError
from prov_worker.probes.gpus.base import GpuDevice, GpuListing, GpuMeter, GpuSample, GpuSource
from prov_worker.registry import Registry

__all__ = ["GPU_SOURCES", "GpuMeter", "GpuSample", "Inventory", "list_gpus", "open_gpus"]

log = logging.getLogger(__name__)

#: Sources by name. Of each vendor, the first source that lists any device is believed.
GPU_SOURCES: Registry[GpuSource] = Registry("prov_worker.probes.gpus")
_VENDORS = ("nvidia", "intel", "amd")


@dataclass
class Inventory:
    """The devices of a node, and what has to be said of them.

    Attributes:
        devices: with their numbers on the node, by which data and series refer to them.
        absent: why sources list nothing.
    """

    devices: list[tuple[int, GpuDevice]] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)
    _notes: list[str] = field(default_factory=list)
    _listings: list[GpuListing] = field(default_factory=list)

    @property
    def notes(self) -> list[str]:
        """A line for each source that should have answered and did not; more may come while devices are described."""
        return [*self._notes, *(note for listing in self._listings for note in listing.notes)]

    def close(self) -> None:
        """Give back what the sources hold; meters that were opened stay open."""
        for listing in self._listings:
            listing.close()


def list_gpus(context: ProbeContext) -> Inventory:
    """Ask all sources, and number the node's devices: NVIDIA, Intel, AMD, others; parts of devices come last.

    The devices of a vendor are in the order of their source, which is that of PCI addresses, or ROCm's own. So on a
    node with GPUs of one vendor, and of one model if that is NVIDIA, the numbers are those of
    ``CUDA_VISIBLE_DEVICES`` and its like (:func:`prov_worker.accelerators.visible_numbers`).
    """
    inventory = Inventory()
    devices: list[GpuDevice] = []
    silent: list[tuple[GpuSource, str]] = []
    for source in GPU_SOURCES:
        try:
            listing = source.open(context)
        except NoData as error:
            silent.append((source, str(error)))
            continue
        # One source that misbehaves must not hide the devices of the others.
        except Exception as error:
            text = " ".join(str(error).split())
            inventory._notes.append(text if isinstance(error, ProbeError) else f"{type(error).__name__}: {text}")
            continue
        inventory._listings.append(listing)
        vendors = {device.vendor for device in listing.devices} - {device.vendor for device in devices}
        devices.extend(device for device in listing.devices if device.vendor in vendors)
        if source.instead is not None and vendors:
            inventory._notes += [f"{source.instead}: {why}" for other, why in silent if vendors & set(other.vendors)]
    inventory.absent = [why for _, why in silent]
    devices.sort(key=lambda device: (device.partition, _rank(device.vendor)))
    inventory.devices = list(enumerate(devices))
    return inventory


def _rank(vendor: str) -> int:
    return _VENDORS.index(vendor) if vendor in _VENDORS else len(_VENDORS)


def open_gpus(context: ProbeContext | None = None) -> list[GpuMeter]:
    """Return meters of all devices of the node that can be read, by number; empty if there is none. Never raises.

    Args:
        context: where to look; None takes the running machine.
    """
    meters: list[GpuMeter] = []
    # The sampler goes on without GPUs rather than not at all, whatever a driver or a binding came up with.
    try:
        inventory = list_gpus(ProbeContext() if context is None else context)
        for why in inventory.absent:
            log.debug("GPUs are not sampled: %s", why)
        for note in inventory.notes:
            log.warning("GPUs are not sampled, or not by all that could: %s", note)
        try:
            for index, device in inventory.devices:
                meter = device.meter(index)
                if meter is not None:
                    meters.append(meter)
        finally:
            inventory.close()
    except Exception:
        log.warning("GPUs are not sampled", exc_info=True)
    return meters
