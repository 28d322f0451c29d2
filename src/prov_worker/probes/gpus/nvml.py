"""NVIDIA's management library: one session at a time holds it open, and lists what it knows.

NVML API Reference, through ``nvidia-ml-py`` (ctypes, no compiled part); loaded when a session is opened, never at
import. NVML shows every GPU that the process may use, whatever ``CUDA_VISIBLE_DEVICES`` says, in the order of the PCI
addresses.
"""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from prov_worker.probes.base import ProbeContext
from prov_worker.probes.errors import NoData, ProbeError
from prov_worker.probes.gpus import GPU_SOURCES
from prov_worker.probes.gpus.base import GpuDevice, GpuListing, GpuMeter, GpuSample, GpuSource, description, known_uuid
from prov_worker.probes.read_files import read_numa_node
from prov_worker.probes.timeouts import Pending

OPEN_LIMIT_S = 10.0
_BUS_ID = re.compile(r"([0-9A-Fa-f]{1,8}):([0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.[0-7])")


@dataclass(frozen=True)
class NvmlGpu:
    """A GPU, or one instance of a GPU that is partitioned (MIG).

    Attributes:
        handle: NVML's handle; None if the GPU did not answer.
        model: name of the product.
        uuid: ``GPU-…``, or ``MIG-…`` for an instance.
        memory_bytes: its own memory; None if it shares the host's.
        pci: address such as ``0000:07:00.0``; an instance has that of its GPU.
        mig: whether it is an instance.
        parent: UUID of the instance's GPU.
        details: further facts, by key.
    """

    handle: Any
    model: str
    uuid: str | None = None
    memory_bytes: int | None = None
    pci: str | None = None
    mig: bool = False
    parent: str | None = None
    details: dict[str, Any] = field(default_factory=dict)


class NvmlSession:
    """An initialised library, shared by counted holders: the last one to leave shuts it down."""

    def __init__(self, module: Any) -> None:
        self._nvml = module
        self._holders = 1
        self._lock = threading.Lock()

    def hold(self) -> NvmlSession:
        """Count one more holder."""
        with self._lock:
            self._holders += 1
        return self

    def close(self) -> None:
        """Count one holder less; never raises."""
        with self._lock:
            self._holders -= 1
            last = self._holders == 0
        if last:
            with contextlib.suppress(self._nvml.NVMLError):
                self._nvml.nvmlShutdown()

    def ask(self, function: str, *arguments: Any) -> Any:
        """Return result of an NVML function; None if the device, the driver or the binding does not know the answer."""
        try:
            return getattr(self._nvml, function)(*arguments)
        except (self._nvml.NVMLError, AttributeError):
            return None

    def supports(self, function: str, *arguments: Any) -> bool:
        """Return whether it makes sense to ask again: false if the device, driver or binding will never answer."""
        nvml = self._nvml
        try:
            getattr(nvml, function)(*arguments)
        except AttributeError:
            return False
        except nvml.NVMLError as error:
            never = (nvml.NVML_ERROR_NOT_SUPPORTED, nvml.NVML_ERROR_FUNCTION_NOT_FOUND, nvml.NVML_ERROR_NO_PERMISSION)
            return error.value not in (*never, nvml.NVML_ERROR_INVALID_ARGUMENT)
        return True

    def constant(self, name: str) -> Any:
        """Return a constant of the binding; None if it has none of that name."""
        return getattr(self._nvml, name, None)

    def memory(self, handle: Any) -> Any:
        """Return memory of a device (``total``, ``used``, ``free``, bytes), None if it has none of its own.

        Devices that share the host's memory answer that they do not support the question, or with a total of 0.

        Version 2 counts what the driver reserves apart from what is used, as ``nvidia-smi`` does; it needs driver 510.
        """
        version = self.constant("nvmlMemory_v2")
        newer = self.ask("nvmlDeviceGetMemoryInfo", handle, version) if version is not None else None
        memory = self.ask("nvmlDeviceGetMemoryInfo", handle) if newer is None else newer
        return memory if memory is not None and memory.total else None

    def driver(self) -> str | None:
        """Return version of the kernel driver."""
        return text(self.ask("nvmlSystemGetDriverVersion"))

    def devices(self) -> list[NvmlGpu]:
        """Return all GPUs in NVML's order, then all MIG instances, those of one GPU together."""
        gpus = [self._gpu(index) for index in range(self.ask("nvmlDeviceGetCount") or 0)]
        return gpus + [instance for gpu in gpus for instance in self._instances(gpu)]

    def _gpu(self, index: int) -> NvmlGpu:
        try:
            handle = self._nvml.nvmlDeviceGetHandleByIndex(index)
        except self._nvml.NVMLError as error:
            # One that fell off the bus, or that a device cgroup denies, still belongs to the node.
            return NvmlGpu(None, "NVIDIA GPU", details={"nvml_index": index, "error": str(error)})
        memory = self.memory(handle)
        pci = self.ask("nvmlDeviceGetPciInfo", handle)
        capability = self.ask("nvmlDeviceGetCudaComputeCapability", handle)
        power_limit = self.ask("nvmlDeviceGetEnforcedPowerLimit", handle)
        mig_mode = self.ask("nvmlDeviceGetMigMode", handle)
        return NvmlGpu(
            handle,
            text(self.ask("nvmlDeviceGetName", handle)) or "NVIDIA GPU",
            known_uuid(text(self.ask("nvmlDeviceGetUUID", handle))),
            memory.total if memory is not None else None,
            pci_address(text(pci.busId)) if pci is not None else None,
            details={
                "nvml_index": index,
                "minor": self.ask("nvmlDeviceGetMinorNumber", handle),
                "compute_capability": ".".join(map(str, capability)) if capability is not None else None,
                "power_limit_watts": power_limit / 1000 if power_limit is not None else None,
                "mig_enabled": bool(mig_mode[0]) if mig_mode is not None else False,
            },
        )

    def _instances(self, gpu: NvmlGpu) -> list[NvmlGpu]:
        if gpu.handle is None or not gpu.details["mig_enabled"]:
            return []
        instances = []
        for place in range(self.ask("nvmlDeviceGetMaxMigDeviceCount", gpu.handle) or 0):
            # Most places are empty: an error that is an answer.
            handle = self.ask("nvmlDeviceGetMigDeviceHandleByIndex", gpu.handle, place)
            if handle is None:
                continue
            memory = self.memory(handle)
            instances.append(
                NvmlGpu(
                    handle,
                    text(self.ask("nvmlDeviceGetName", handle)) or f"{gpu.model} MIG",
                    known_uuid(text(self.ask("nvmlDeviceGetUUID", handle))),
                    memory.total if memory is not None else None,
                    gpu.pci,
                    mig=True,
                    parent=gpu.uuid,
                    details={
                        "nvml_index": gpu.details["nvml_index"],
                        "gpu_instance": self.ask("nvmlDeviceGetGpuInstanceId", handle),
                        "compute_instance": self.ask("nvmlDeviceGetComputeInstanceId", handle),
                    },
                )
            )
        return instances


def open_session(module: Any = None) -> NvmlSession:
    """Load and initialise the library.

    Args:
        module: binding to use; None imports ``pynvml`` of nvidia-ml-py.

    Raises:
        NoData: no binding, no library or no driver.
        ProbeError: there is a driver, and it does not work.
    """
    if module is None:
        try:
            import pynvml
        except ImportError:
            raise NoData("nvidia-ml-py is not installed") from None
        module = pynvml
    try:
        module.nvmlInit()
    except module.NVMLError as error:
        absent = (module.NVML_ERROR_LIBRARY_NOT_FOUND, module.NVML_ERROR_DRIVER_NOT_LOADED)
        if error.value in absent:
            raise NoData(f"NVML: {error}") from error
        raise ProbeError(f"NVML: {error}") from error
    return NvmlSession(module)


def open_devices(module: Any = None, limit_s: float = OPEN_LIMIT_S) -> tuple[NvmlSession, list[NvmlGpu]]:
    """Return a session and its devices, within a time limit: a wedged driver can keep the first call for ever.

    Raises:
        NoData, ProbeError: as :func:`open_session`; ProbeError also when the time is over.
    """

    def work() -> tuple[NvmlSession, list[NvmlGpu]]:
        session = open_session(module)
        return session, session.devices()

    return Pending(work, "nvml-open").result(limit_s)


def text(value: Any) -> str | None:
    """Return a string of NVML, which older bindings give as bytes."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def pci_address(bus_id: str | None) -> str | None:
    """Return NVML's ``00000000:07:00.0`` as the kernel writes it: ``0000:07:00.0``.

    A domain has 32 bits (nvmlPciInfo_t). The kernel writes at least four digits of it (``%04x:%02x:%02x.%d``,
    pci_setup_device() in drivers/pci/probe.c), and more if it needs them, as Intel's VMD does: ``10000:e1:00.0``. None
    for anything else.
    """
    match = _BUS_ID.fullmatch(bus_id or "")
    return f"{int(match[1], 16):04x}:{match[2].lower()}" if match else None


class NvmlMeter(GpuMeter):
    """A device of NVIDIA, or a MIG instance: that one tells its memory alone, the rest belongs to its GPU."""

    def __init__(self, index: int, gpu: NvmlGpu, session: NvmlSession) -> None:
        super().__init__(index, "nvidia", gpu.uuid, model=gpu.model, partition=gpu.mig)
        self._handle = gpu.handle
        self._session: NvmlSession | None = session.hold()
        sensor = session.constant("NVML_TEMPERATURE_GPU")
        # What a device will never answer is not asked again: an error costs as much as an answer.
        self._utilization = not gpu.mig and session.supports("nvmlDeviceGetUtilizationRates", self._handle)
        self._power = not gpu.mig and session.supports("nvmlDeviceGetPowerUsage", self._handle)
        self._energy = not gpu.mig and session.supports("nvmlDeviceGetTotalEnergyConsumption", self._handle)
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
        millijoules = session.ask("nvmlDeviceGetTotalEnergyConsumption", handle) if self._energy else None
        return GpuSample(
            float(rates.gpu) if rates is not None else None,
            int(memory.used) if memory is not None else None,
            milliwatts / 1000 if milliwatts is not None else None,
            float(degrees) if degrees is not None else None,
            millijoules / 1000 if millijoules is not None else None,
        )

    def close(self) -> None:
        """See :class:`GpuMeter`."""
        session, self._session = self._session, None
        if session is not None:
            session.close()


class _Device(GpuDevice):
    vendor = "nvidia"

    def __init__(self, gpu: NvmlGpu, session: NvmlSession, context: ProbeContext, driver: str) -> None:
        self._gpu = gpu
        self._session = session
        self._context = context
        self._driver = driver
        self.partition = gpu.mig

    def describe(self) -> dict[str, Any]:
        gpu = self._gpu
        return description(
            self.vendor,
            gpu.model,
            uuid=gpu.uuid,
            memory_bytes=gpu.memory_bytes,
            driver=self._driver,
            pci=gpu.pci,
            mig=gpu.mig,
            parent=gpu.parent,
            numa_node=read_numa_node(self._context.sys, gpu.pci),
            **gpu.details,
        )

    def meter(self, index: int) -> GpuMeter | None:
        return None if self._gpu.handle is None else NvmlMeter(index, self._gpu, self._session)


class _Listing(GpuListing):
    def __init__(self, session: NvmlSession, gpus: Sequence[NvmlGpu], context: ProbeContext) -> None:
        version = session.driver()
        driver = f"nvidia {version}" if version else "nvidia"
        super().__init__([_Device(gpu, session, context, driver) for gpu in gpus])
        self._session = session

    def close(self) -> None:
        self._session.close()


class NvmlSource(GpuSource):
    """GPUs of NVIDIA and their MIG instances."""

    vendors = ("nvidia",)

    def open(self, context: ProbeContext) -> GpuListing:
        """See :class:`GpuSource`."""
        module = context.libraries.get("pynvml")
        # A binding that was handed in is asked in any case.
        if module is None and not context.is_this_machine:
            raise NoData("NVML knows the running machine only")
        session, gpus = open_devices(module)
        if not gpus:
            session.close()
            raise NoData("NVML lists no GPU")
        return _Listing(session, gpus, context)


GPU_SOURCES.add("nvml", NvmlSource(), rank=10)
