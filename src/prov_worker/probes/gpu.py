"""The node's GPUs: NVIDIA by NVML, Intel and AMD by sysfs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from prov_worker.probes.base import NoData, ProbeContext, ProbeError
from prov_worker.probes.gpu_drm import DrmCard, find_cards, xpu_smi_devices
from prov_worker.probes.gpu_nvidia_proc import ProcNvidiaGpu, find_nvidia
from prov_worker.probes.gpu_nvml import NvmlGpu, NvmlSession, open_devices
from prov_worker.probes.read_files import read_int


@dataclass(frozen=True)
class Gpu:
    """A device with its number on the node, by which data and series refer to it."""

    index: int
    source: NvmlGpu | ProcNvidiaGpu | DrmCard


def enumerate_gpus(context: ProbeContext, nvml: Sequence[NvmlGpu]) -> list[Gpu]:
    """Number the node's devices: NVIDIA, Intel, AMD, each in the order of PCI addresses; MIG instances come last.

    So on a node with the GPUs of one maker the numbers are those of ``CUDA_VISIBLE_DEVICES`` and its like.

    Args:
        context: where to look.
        nvml: what NVML lists; where that is nothing, the list in /proc is taken.
    """
    nvidia: list[NvmlGpu | ProcNvidiaGpu] = [gpu for gpu in nvml if not gpu.mig]
    if not nvidia:
        nvidia.extend(find_nvidia(context))
    instances = [gpu for gpu in nvml if gpu.mig]
    return [Gpu(index, source) for index, source in enumerate([*nvidia, *find_cards(context), *instances])]


@dataclass(frozen=True)
class GpuProbe:
    """Models, memory and drivers of the GPUs.

    Data: ``devices``, a list of ``index``, ``vendor`` (``nvidia``, ``intel``, ``amd``), ``model``, ``uuid``,
    ``memory_bytes``, ``driver`` (name and version), ``pci``, ``mig`` (whether it is a MIG instance), ``parent`` (UUID
    of the instance's GPU), ``tiles`` (Intel), ``numa_node`` and what else the source knows, None where unknown; and
    ``notes``, one line for each source that should have answered and did not.

    Attributes:
        nvml: binding to NVML; None imports nvidia-ml-py.
    """

    name: str = "gpu"
    time_limit_s: float = 30.0
    nvml: Any = None

    def take(self, context: ProbeContext) -> dict[str, Any]:
        """See :class:`~prov_worker.probes.base.Probe`."""
        notes: list[str] = []
        absent = "NVML knows the running machine only"
        session: NvmlSession | None = None
        devices: list[NvmlGpu] = []
        # A binding that was handed in is asked in any case.
        if context.is_this_machine or self.nvml is not None:
            try:
                session, devices = open_devices(self.nvml)
            except NoData as error:
                absent = str(error)
            except ProbeError as error:
                absent = str(error)
                notes.append(absent)
        try:
            driver = session.driver() if session is not None else None
        finally:
            if session is not None:
                session.close()
        gpus = enumerate_gpus(context, devices)
        if not gpus:
            if notes:
                raise ProbeError("; ".join(notes))
            raise NoData(f"no GPU: {absent}; no card of Intel or AMD under {context.sys / 'class/drm'}")
        if any(isinstance(gpu.source, ProcNvidiaGpu) for gpu in gpus) and absent not in notes:
            notes.append(f"NVIDIA GPUs as listed in /proc: {absent}")
        told: dict[str, dict[str, Any]] = {}
        if any(isinstance(gpu.source, DrmCard) and gpu.source.vendor == "intel" for gpu in gpus):
            try:
                told = xpu_smi_devices(context)
            except ProbeError as error:
                notes.append(str(error))
        return {
            "devices": [{"index": gpu.index, **_describe(gpu.source, context, driver, told)} for gpu in gpus],
            "notes": notes,
        }


def _describe(
    source: NvmlGpu | ProcNvidiaGpu | DrmCard,
    context: ProbeContext,
    nvidia_driver: str | None,
    xpu_smi: dict[str, dict[str, Any]],
) -> dict[str, Any]:
    if isinstance(source, DrmCard):
        return source.describe(context, xpu_smi)
    entry: dict[str, Any] = {
        "vendor": "nvidia",
        "model": source.model,
        "uuid": source.uuid,
        "memory_bytes": None,
        "driver": f"nvidia {nvidia_driver}" if nvidia_driver else "nvidia",
        "pci": source.pci,
        "mig": False,
        "parent": None,
        "tiles": None,
        "numa_node": _numa_node(context, source.pci),
    }
    if isinstance(source, ProcNvidiaGpu):
        return entry | {"driver": source.driver, "minor": source.minor}
    return entry | {
        "memory_bytes": source.memory_bytes,
        "mig": source.mig,
        "parent": source.parent,
        **source.details,
    }


def _numa_node(context: ProbeContext, pci: str | None) -> int | None:
    node = read_int(context.sys / "bus/pci/devices" / pci / "numa_node") if pci else None
    return node if node is not None and node >= 0 else None
