"""The shape of a source of GPUs: what lists devices, describes them, and reads them live."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from prov_worker.probes.base import ProbeContext


@dataclass(frozen=True)
class GpuSample:
    """One reading; None if the device or its driver does not tell.

    Attributes:
        utilization_percent: share of time in which the device was busy, over the driver's own window.
        memory_used_bytes: of the device's own memory, by all processes.
        power_watts: of the device; if the driver counts energy, the mean since the reading before.
        temperature_celsius: of the chip.
        energy_joules: that the device has drawn since an arbitrary moment, by a counter of its own.
        more: of what :attr:`GpuMeter.more` names, in its order.
    """

    utilization_percent: float | None = None
    memory_used_bytes: int | None = None
    power_watts: float | None = None
    temperature_celsius: float | None = None
    energy_joules: float | None = None
    more: tuple[float | None, ...] = ()


class GpuMeter(ABC):
    """One device that can be read.

    Attributes:
        index: the device's number, the same as in the GPU probe's data.
        vendor: ``nvidia``, ``intel`` or ``amd``.
        uuid: as in the GPU probe's data, but None for Intel's, whose sysfs does not tell.
        model: as there; devices without one are taken to be alike.
        partition: whether it is a part of another device.
        more: what this device tells beyond the fields of a sample: name and unit of each.
    """

    more: tuple[tuple[str, str], ...] = ()

    def __init__(
        self, index: int, vendor: str, uuid: str | None, *, model: str | None = None, partition: bool = False
    ) -> None:
        self.index = index
        self.vendor = vendor
        self.uuid = uuid
        self.model = model
        self.partition = partition

    @abstractmethod
    def read(self) -> GpuSample:
        """Read once; never raises. A driver that is wedged may keep the call: read in a thread that may be left."""

    @abstractmethod
    def close(self) -> None:
        """Give back what the meter holds; never raises, and may be called again."""


class GpuDevice(ABC):
    """One device of a node.

    Attributes:
        vendor: ``nvidia``, ``intel``, ``amd`` or another maker's name.
        partition: whether it is a part of another device, such as a MIG instance.
    """

    vendor: str
    partition: bool = False

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Return its entry in the probe's data but for its number: see :func:`description`."""

    def meter(self, index: int) -> GpuMeter | None:
        """Return a meter for the device; None if it cannot be read.

        Args:
            index: its number on the node.
        """
        return None


class GpuListing:
    """What a source lists, while it is open.

    Attributes:
        devices: in the order in which their vendor's runtime counts them, as far as that can be read; else in that of
            their PCI addresses.
        notes: a line for whatever should have answered and did not; describing a device may add some.
    """

    def __init__(self, devices: Sequence[GpuDevice] = ()) -> None:
        self.devices = list(devices)
        self.notes: list[str] = []

    def close(self) -> None:
        """Give back what the source holds; never raises. Meters stay open."""


class GpuSource(ABC):
    """What lists devices: a library, or files of the kernel.

    Attributes:
        vendors: whose devices it may list.
        instead: if it only stands in for another source of the same vendors, what the probe's notes call its devices;
            None if it is as good as any.
    """

    vendors: tuple[str, ...]
    instead: str | None = None

    @abstractmethod
    def open(self, context: ProbeContext) -> GpuListing:
        """List the devices.

        Args:
            context: where to look.

        Raises:
            NoData: it lists no device here.
            ProbeError: it should, and does not work.
        """


def description(vendor: str, model: str, **facts: Any) -> dict[str, Any]:
    """Return a device's entry in the probe's data with all keys that readers count on.

    Args:
        vendor: its maker.
        model: its name.
        facts: ``uuid``, ``memory_bytes``, ``driver`` (name and version), ``pci`` (address), ``mig`` (whether it is an
            instance), ``parent`` (UUID of the instance's device), ``tiles``, ``numa_node``, and what else the source
            knows; None if unknown.
    """
    entry: dict[str, Any] = {"vendor": vendor, "model": model, "mig": False}
    for key in ("uuid", "memory_bytes", "driver", "pci", "parent", "tiles", "numa_node"):
        entry[key] = None
    return entry | facts


def known_uuid(text: str | None) -> str | None:
    """Return a device's UUID; None for one that stands for "unknown": question marks, or nothing but zeros."""
    digits = (text or "").partition("-")[2] if (text or "").startswith(("GPU-", "MIG-")) else text or ""
    return text if digits.strip("0-") and "?" not in digits else None


def pci_order(address: str | None) -> tuple[int, ...]:
    """Return what sorts PCI addresses as the kernel numbers them: a domain may have more than four digits."""
    match = re.fullmatch(r"([0-9a-f]+):([0-9a-f]+):([0-9a-f]+)\.([0-7])", (address or "").lower())
    return tuple(int(part, 16) for part in match.groups()) if match else ()
