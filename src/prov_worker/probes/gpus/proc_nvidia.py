"""NVIDIA's GPUs as the kernel driver lists them in /proc, for nodes on which NVML cannot be asked."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from prov_worker.probes.base import NoData, ProbeContext
from prov_worker.probes.gpus import GPU_SOURCES
from prov_worker.probes.gpus.base import GpuDevice, GpuListing, GpuSource, description, known_uuid, pci_order
from prov_worker.probes.read_files import parse_int, read_numa_node, read_text


@dataclass(frozen=True)
class ProcNvidiaGpu(GpuDevice):
    """A GPU, with what the driver tells without NVML: not its memory, no MIG instances, nothing live."""

    model: str
    uuid: str | None
    pci: str
    minor: int | None
    driver: str
    numa_node: int | None
    vendor: str = "nvidia"

    def describe(self) -> dict[str, Any]:
        """See :class:`GpuDevice`."""
        return description(
            self.vendor,
            self.model,
            uuid=self.uuid,
            driver=self.driver,
            pci=self.pci,
            numa_node=self.numa_node,
            minor=self.minor,
        )


class ProcNvidiaSource(GpuSource):
    """GPUs under ``<proc>/driver/nvidia/gpus``."""

    vendors = ("nvidia",)
    instead = "NVIDIA GPUs as listed in /proc"

    def open(self, context: ProbeContext) -> GpuListing:
        """See :class:`GpuSource`; the order is that of PCI addresses, as NVML's.

        The driver writes question marks for the UUID of a device that it could not initialise.
        """
        root = context.proc / "driver/nvidia"
        version = re.search(r"Kernel Module\s+(?:for \S+\s+)?(\d[\w.]*)", read_text(root / "version") or "")
        try:
            entries = sorted((root / "gpus").iterdir(), key=lambda entry: (pci_order(entry.name), entry.name))
        except OSError:
            entries = []
        if not entries:
            raise NoData(f"no GPU of NVIDIA under {root}")
        gpus = []
        for entry in entries:
            lines = (read_text(entry / "information") or "").splitlines()
            facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
            pci = entry.name.lower()
            gpus.append(
                ProcNvidiaGpu(
                    model=facts.get("Model") or "NVIDIA GPU",
                    uuid=known_uuid(facts.get("GPU UUID")),
                    pci=pci,
                    minor=parse_int(facts.get("Device Minor")),
                    driver=f"nvidia {version[1]}" if version else "nvidia",
                    numa_node=read_numa_node(context.sys, pci),
                )
            )
        return GpuListing(gpus)


GPU_SOURCES.add("proc_nvidia", ProcNvidiaSource(), rank=20)
