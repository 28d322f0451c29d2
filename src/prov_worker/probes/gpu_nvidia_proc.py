"""NVIDIA's GPUs as the kernel driver lists them in /proc, for nodes where NVML cannot be asked."""

from __future__ import annotations

import re
from dataclasses import dataclass

from prov_worker.probes.base import ProbeContext
from prov_worker.probes.read_files import parse_int, read_text


@dataclass(frozen=True)
class ProcNvidiaGpu:
    """A GPU, with what the driver tells without NVML: not its memory, and no MIG instances."""

    model: str
    uuid: str | None
    pci: str
    minor: int | None
    driver: str


def find_nvidia(context: ProbeContext) -> list[ProcNvidiaGpu]:
    """GPUs under ``<proc>/driver/nvidia/gpus``, in the order of the PCI addresses, which is NVML's."""
    root = context.proc / "driver/nvidia"
    version = re.search(r"Kernel Module\s+(?:for \S+\s+)?(\d[\w.]*)", read_text(root / "version") or "")
    gpus = []
    try:
        entries = sorted((root / "gpus").iterdir())
    except OSError:
        return []
    for entry in entries:
        lines = (read_text(entry / "information") or "").splitlines()
        facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
        gpus.append(
            ProcNvidiaGpu(
                model=facts.get("Model") or "NVIDIA GPU",
                uuid=facts.get("GPU UUID"),
                pci=entry.name.lower(),
                minor=parse_int(facts.get("Device Minor")),
                driver=f"nvidia {version[1]}" if version else "nvidia",
            )
        )
    return gpus
