"""Graphics cards of Intel and AMD as the kernel shows them under ``/sys/class/drm``.

ROCm counts AMD's GPUs in the order of the nodes of ``/sys/class/kfd/kfd/topology`` that it may read
(ROCR-Runtime, ``libhsakmt/src/topology.c``), whose ``location_id`` is the PCI address without its domain. Local memory
of Intel's cards is not in the mainline i915: ``lmem_total_bytes`` and ``gt/gt<n>/addr_range`` come from the driver that
Intel ships for data centres, as on Aurora.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prov_worker.probes.base import NoData, ProbeContext, ProbeError
from prov_worker.probes.gpus import GPU_SOURCES
from prov_worker.probes.gpus.base import (
    GpuDevice,
    GpuListing,
    GpuMeter,
    GpuSource,
    description,
    known_uuid,
    pci_order,
)
from prov_worker.probes.gpus.sysfs_meter import SysfsMeter
from prov_worker.probes.read_files import numbered, parse_int, read_int, read_text

XPU_SMI_LIMIT_S = 10.0

_DRIVERS = {0x8086: ("intel", ("i915", "xe")), 0x1002: ("amd", ("amdgpu",))}
# The processor's own graphics always have this address.
_INTEL_INTEGRATED = "0000:00:02.0"
#: Products whose names the kernel does not know (pci.ids, compute-runtime's device list).
_MODELS = {
    "8086:0BD5": "Intel Data Center GPU Max 1550",
    "8086:0BD6": "Intel Data Center GPU Max 1550",
    "8086:0BD9": "Intel Data Center GPU Max 1100",
    "8086:0BDA": "Intel Data Center GPU Max 1100",
    "8086:56C0": "Intel Data Center GPU Flex 170",
    "8086:56C1": "Intel Data Center GPU Flex 140",
    "1002:738C": "AMD Instinct MI100",
    "1002:7408": "AMD Instinct MI250X",
    "1002:740C": "AMD Instinct MI250X/MI250",
    "1002:740F": "AMD Instinct MI210",
    "1002:74A0": "AMD Instinct MI300A",
    "1002:74A1": "AMD Instinct MI300X",
}


@dataclass(frozen=True)
class DrmCard:
    """One card with a driver that can compute.

    Attributes:
        card: its directory, such as ``/sys/class/drm/card1``.
        vendor: ``intel`` or ``amd``.
        driver: ``i915``, ``xe`` or ``amdgpu``.
        pci: address such as ``0000:18:00.0``.
        pci_id: vendor and device, such as ``8086:0BD5``.
    """

    card: Path
    vendor: str
    driver: str
    pci: str | None
    pci_id: str

    @property
    def device(self) -> Path:
        """Directory of the PCI device."""
        return self.card / "device"

    @property
    def integrated(self) -> bool:
        """Whether it is part of the processor and has no memory of its own."""
        return self.vendor == "intel" and self.pci == _INTEL_INTEGRATED

    @property
    def uuid(self) -> str | None:
        """AMD's, as ROCm writes it (``GPU-…``, good for ``ROCR_VISIBLE_DEVICES``); Intel's is not in sysfs."""
        unique = read_text(self.device / "unique_id") if self.vendor == "amd" else None
        # 0 on cards whose firmware does not tell.
        return known_uuid(f"GPU-{unique.removeprefix('0x').lower()}") if unique else None

    @property
    def tiles(self) -> int | None:
        """Number of Intel's tiles (stacks), None for other cards."""
        if self.vendor != "intel" or self.integrated:
            return None
        # The directories of i915 are graphics tiles on cards of their own; on a processor one would be the media part.
        tiles = numbered(self.device, "tile") if self.driver == "xe" else numbered(self.card / "gt", "gt")
        return len(tiles) or None

    @property
    def memory_bytes(self) -> int | None:
        """Size of the card's own memory, all tiles together; None if the driver does not tell."""
        if self.vendor == "amd":
            return read_int(self.device / "mem_info_vram_total")
        if self.driver == "xe":
            sizes = [
                read_int(tile / "physical_vram_size_bytes") or read_int(tile / "memory/physical_vram_size_bytes")
                for tile in numbered(self.device, "tile")
            ]
        else:
            # Some versions of lmem_total_bytes count the first tile alone.
            sizes = [read_int(tile / "addr_range") for tile in numbered(self.card / "gt", "gt")]
        positive = [size for size in sizes if size]
        if positive and len(positive) == len(sizes):
            return sum(positive)
        return read_int(self.card / "lmem_total_bytes") or read_int(self.device / "lmem_total_bytes")

    def describe(self, context: ProbeContext, xpu_smi: dict[str, dict[str, Any]]) -> dict[str, Any]:
        """Return the card's entry in the probe's data, but for its index.

        Args:
            context: for the version of the driver.
            xpu_smi: what :func:`xpu_smi_devices` found.
        """
        facts = xpu_smi.get(self.pci or "", {})
        version = read_text(context.sys / "module" / self.driver / "version")
        numa_node = read_int(self.device / "numa_node")
        return description(
            self.vendor,
            facts.get("device_name") or self._model(),
            uuid=known_uuid(facts.get("uuid")) or self.uuid,
            memory_bytes=self.memory_bytes,
            driver=f"{self.driver} {version}" if version else self.driver,
            pci=self.pci,
            tiles=self.tiles,
            pci_id=self.pci_id,
            card=self.card.name,
            integrated=self.integrated,
            numa_node=numa_node if numa_node is not None and numa_node >= 0 else None,
        )

    def _model(self) -> str:
        # AMD's server cards carry their name in a chip on the board.
        written = read_text(self.device / "product_name")
        maker = "Intel" if self.vendor == "intel" else "AMD"
        return written or _MODELS.get(self.pci_id) or f"{maker} GPU {self.pci_id}"


def find_cards(context: ProbeContext) -> list[DrmCard]:
    """Return cards of Intel and AMD, Intel's first in the order of the PCI addresses, AMD's in that of ROCm.

    Adapters of other makers (ASPEED and Matrox chips that only show a server's console) and cards without a driver
    that computes are left out.
    """
    cards = []
    for card in numbered(context.sys / "class/drm", "card"):
        lines = (read_text(card / "device/uevent") or "").splitlines()
        event = dict(line.split("=", 1) for line in lines if "=" in line)
        number = read_int(card / "device/vendor")
        driver = event.get("DRIVER", "")
        vendor, drivers = _DRIVERS.get(number or 0, ("", ()))
        if driver in drivers:
            device = read_int(card / "device/device") or 0
            pci_id = event.get("PCI_ID") or f"{number:04X}:{device:04X}"
            cards.append(DrmCard(card, vendor, driver, event.get("PCI_SLOT_NAME"), pci_id.upper()))
    counted = _rocm_order(context.sys)
    return sorted(
        cards,
        key=lambda card: (
            card.vendor != "intel",
            counted.get(card.pci or "", len(counted)),
            pci_order(card.pci),
            card.card.name,
        ),
    )


def _rocm_order(sys: Path) -> dict[str, int]:
    """Return the place of each of AMD's GPUs among those that ROCm counts, by PCI address; empty without its driver."""
    addresses = []
    for node in numbered(sys / "class/kfd/kfd/topology/nodes", ""):
        if not read_int(node / "gpu_id"):  # 0: of a processor
            continue
        lines = (line.split() for line in (read_text(node / "properties") or "").splitlines())
        facts = {line[0]: parse_int(line[1]) for line in lines if len(line) == 2}
        place = facts.get("location_id")
        if place:
            domain, bus, device, function = facts.get("domain") or 0, place >> 8 & 0xFF, place >> 3 & 0x1F, place & 7
            addresses.append(f"{domain:04x}:{bus:02x}:{device:02x}.{function}")
    return {address: number for number, address in enumerate(dict.fromkeys(addresses))}


def xpu_smi_devices(context: ProbeContext) -> dict[str, dict[str, Any]]:
    """Return Intel's GPUs by PCI address, as ``xpu-smi discovery -j`` lists them; empty without the program.

    Raises:
        ProbeError: the program is there and does not work.
    """
    try:
        output = context.command(["xpu-smi", "discovery", "-j"], XPU_SMI_LIMIT_S)
    except NoData:
        return {}
    try:
        devices = json.loads(output)["device_list"]
        return {device["pci_bdf_address"].lower(): device for device in devices}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ProbeError(f"xpu-smi: output not understood: {type(error).__name__}: {error}"[:200]) from error


class _Listing(GpuListing):
    def __init__(self, context: ProbeContext, cards: Sequence[DrmCard]) -> None:
        super().__init__([_Device(card, self) for card in cards])
        self._context = context
        self._xpu_smi: dict[str, dict[str, Any]] | None = None

    def describe(self, card: DrmCard) -> dict[str, Any]:
        if self._xpu_smi is None:
            self._xpu_smi = {}
            if any(device.vendor == "intel" for device in self.devices):
                try:
                    self._xpu_smi = xpu_smi_devices(self._context)
                except ProbeError as error:
                    self.notes.append(str(error))
        return card.describe(self._context, self._xpu_smi)


class _Device(GpuDevice):
    def __init__(self, card: DrmCard, listing: _Listing) -> None:
        self._card = card
        self._listing = listing
        self.vendor = card.vendor

    def describe(self) -> dict[str, Any]:
        return self._listing.describe(self._card)

    def meter(self, index: int) -> GpuMeter:
        return SysfsMeter(index, self._card)


class DrmSource(GpuSource):
    """Cards of Intel and AMD, by the files of their drivers."""

    vendors = ("intel", "amd")

    def open(self, context: ProbeContext) -> GpuListing:
        """See :class:`GpuSource`."""
        cards = find_cards(context)
        if not cards:
            raise NoData(f"no card of Intel or AMD under {context.sys / 'class/drm'}")
        return _Listing(context, cards)


GPU_SOURCES.add("drm", DrmSource(), rank=30)
