"""Described nodes, and a stand-in for the one library that needs hardware."""

# ruff: noqa: N802, N815 - the stand-in has the names of the library

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from prov_worker.probes import NoData, ProbeContext

FIXTURES = Path(__file__).parent / "fixtures"


@pytest.fixture
def node() -> Callable[..., ProbeContext]:
    """Context of a described node; its programs answer from the files beside its roots, and there are no others."""

    def make(name: str, root: Path | None = None, **changes: Any) -> ProbeContext:
        directory = FIXTURES / name if root is None else root
        outputs = {"lscpu": directory / "lscpu.json", "xpu-smi": directory / "xpu-smi.json"}

        def command(arguments: Sequence[str], limit_s: float) -> str:
            path = outputs.get(arguments[0])
            if path is None or not path.exists():
                raise NoData(f"{arguments[0]}: not found")
            return path.read_text()

        context = ProbeContext(directory / "proc", directory / "sys", directory / "etc", environ={}, command=command)
        return dataclasses.replace(context, **changes)

    return make


@pytest.fixture
def copied_node(tmp_path: Path, node: Callable[..., ProbeContext]) -> Callable[..., ProbeContext]:
    """As ``node``, over a copy that the test may change."""

    def make(name: str, **changes: Any) -> ProbeContext:
        shutil.copytree(FIXTURES / name, tmp_path / name)
        return node(name, tmp_path / name, **changes)

    return make


class FakeNVMLError(Exception):
    def __init__(self, value: int) -> None:
        super().__init__({3: "Not Supported", 6: "Not Found", 15: "GPU is lost"}.get(value, f"NVML error {value}"))
        self.value = value


class FakeNvml:
    """A stand-in for the ``pynvml`` module: no GPU can be had where these tests run.

    Two A100: the first is partitioned into two MIG instances, at places 0 and 3 of 7; it has no utilisation then, as on
    the hardware. ``lost`` makes devices fail from then on; ``init_error`` makes the first call fail.
    """

    NVMLError = FakeNVMLError
    NVML_ERROR_INVALID_ARGUMENT = 2
    NVML_ERROR_NOT_SUPPORTED = 3
    NVML_ERROR_NO_PERMISSION = 4
    NVML_ERROR_DRIVER_NOT_LOADED = 9
    NVML_ERROR_LIBRARY_NOT_FOUND = 12
    NVML_ERROR_FUNCTION_NOT_FOUND = 13
    NVML_TEMPERATURE_GPU = 0
    nvmlMemory_v2 = 0x02000028

    def __init__(self, init_error: int | None = None) -> None:
        self.init_error = init_error
        self.open = 0
        self.lost: set[str] = set()
        self.calls: list[str] = []

    def _check(self, handle: str) -> None:
        if self.open <= 0:
            raise FakeNVMLError(1)
        if handle in self.lost:
            raise FakeNVMLError(15)

    def nvmlInit(self) -> None:
        if self.init_error is not None:
            raise FakeNVMLError(self.init_error)
        self.open += 1

    def nvmlShutdown(self) -> None:
        self.open -= 1

    def nvmlSystemGetDriverVersion(self) -> bytes:
        return b"535.154.05"

    def nvmlDeviceGetCount(self) -> int:
        return 2

    def nvmlDeviceGetHandleByIndex(self, index: int) -> str:
        self._check(f"gpu{index}")
        return f"gpu{index}"

    def nvmlDeviceGetName(self, handle: str) -> str:
        self._check(handle)
        return "NVIDIA A100-SXM4-40GB" + (" MIG 3g.20gb" if "mig" in handle else "")

    def nvmlDeviceGetUUID(self, handle: str) -> bytes:
        return f"{'MIG' if 'mig' in handle else 'GPU'}-{handle}".encode()

    def nvmlDeviceGetMemoryInfo(self, handle: str, version: int | None = None) -> Any:
        self._check(handle)
        total = 20 << 30 if "mig" in handle else 40 << 30
        return SimpleNamespace(total=total, used=1 << 30, free=total - (1 << 30))

    def nvmlDeviceGetPciInfo(self, handle: str) -> Any:
        return SimpleNamespace(busId=b"00000000:C7:00.0" if handle == "gpu1" else b"00000000:07:00.0")

    def nvmlDeviceGetCudaComputeCapability(self, handle: str) -> tuple[int, int]:
        return (8, 0)

    def nvmlDeviceGetEnforcedPowerLimit(self, handle: str) -> int:
        return 400_000

    def nvmlDeviceGetMinorNumber(self, handle: str) -> int:
        return int(handle[-1])

    def nvmlDeviceGetMigMode(self, handle: str) -> list[int]:
        return [1, 1] if handle == "gpu0" else [0, 0]

    def nvmlDeviceGetMaxMigDeviceCount(self, handle: str) -> int:
        return 7

    def nvmlDeviceGetMigDeviceHandleByIndex(self, handle: str, place: int) -> str:
        if place not in (0, 3):
            raise FakeNVMLError(6)
        return f"{handle}mig{place}"

    def nvmlDeviceGetGpuInstanceId(self, handle: str) -> int:
        return int(handle[-1]) + 1

    def nvmlDeviceGetComputeInstanceId(self, handle: str) -> int:
        return 0

    def nvmlDeviceGetUtilizationRates(self, handle: str) -> Any:
        self.calls.append(f"utilization {handle}")
        self._check(handle)
        if handle != "gpu1":
            raise FakeNVMLError(3)
        return SimpleNamespace(gpu=87, memory=12)

    def nvmlDeviceGetPowerUsage(self, handle: str) -> int:
        self._check(handle)
        return 254_321

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: str) -> int:
        self._check(handle)
        return 7_000_500

    def nvmlDeviceGetTemperature(self, handle: str, sensor: int) -> int:
        self._check(handle)
        return 61


@pytest.fixture
def fake_nvml() -> type[FakeNvml]:
    return FakeNvml
