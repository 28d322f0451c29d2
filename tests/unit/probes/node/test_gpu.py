from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from prov_worker.probes import NoData, ProbeContext, ProbeError
from prov_worker.probes.gpus import open_gpus
from prov_worker.probes.gpus.base import known_uuid
from prov_worker.probes.gpus.nvml import open_devices, open_session, pci_address
from prov_worker.probes.node.gpu import GpuProbe

KEYS = {"index", "vendor", "model", "uuid", "memory_bytes", "driver", "pci", "mig", "parent", "tiles"}


def devices(data: dict[str, Any]) -> list[dict[str, Any]]:
    entries = data["devices"]
    assert [device["index"] for device in entries] == list(range(len(entries)))
    assert all(device.keys() >= KEYS for device in entries)
    return list(entries)


def test_aurora(node: Callable[..., ProbeContext]) -> None:
    data = GpuProbe().take(node("aurora"))
    gpus = devices(data)
    assert data["notes"] == []
    pcis = ["0000:18:00.0", "0000:42:00.0", "0000:6c:00.0", "0001:18:00.0", "0001:42:00.0", "0001:6c:00.0"]
    assert [device["pci"] for device in gpus] == pcis
    assert [device["card"] for device in gpus] == ["card4", "card5", "card6", "card1", "card2", "card3"]
    assert [device["numa_node"] for device in gpus] == [0, 0, 0, 1, 1, 1]
    for device in gpus:
        assert device["vendor"] == "intel"
        assert device["model"] == "Intel(R) Data Center GPU Max 1550"
        assert device["tiles"] == 2
        assert device["memory_bytes"] == 128 << 30
        assert device["driver"] == "i915 1.23.10.72.231129.76"
        assert device["uuid"] is not None
    assert len({device["uuid"] for device in gpus}) == 6


def test_aurora_without_xpu_smi(copied_node: Callable[..., ProbeContext]) -> None:
    context = copied_node("aurora")
    (context.proc.parent / "xpu-smi.json").unlink()
    data = GpuProbe().take(context)
    assert {(device["model"], device["uuid"]) for device in devices(data)} == {("Intel Data Center GPU Max 1550", None)}
    assert data["notes"] == []


@pytest.mark.parametrize(
    "garbage", ["", "Error: Level Zero Initialization Error", '{"error": "x"}', '{"device_list": 3}']
)
def test_garbage_from_xpu_smi_is_noted(garbage: str, node: Callable[..., ProbeContext]) -> None:
    data = GpuProbe().take(node("aurora", command=lambda arguments, limit_s: garbage))
    assert len(devices(data)) == 6
    assert len(data["notes"]) == 1
    assert data["notes"][0].startswith("xpu-smi: output not understood")


def test_memory_of_tiles_that_do_not_tell(copied_node: Callable[..., ProbeContext]) -> None:
    context = copied_node("aurora")
    (context.sys / "class/drm/card4/gt/gt1/addr_range").unlink()
    assert devices(GpuProbe().take(context))[0]["memory_bytes"] == 64 << 30


def test_xe_and_processor_graphics(node: Callable[..., ProbeContext]) -> None:
    integrated, card = devices(GpuProbe().take(node("xe")))
    assert (integrated["integrated"], integrated["tiles"], integrated["memory_bytes"]) == (True, None, None)
    assert integrated["model"] == "Intel GPU 8086:A780"
    assert (card["integrated"], card["tiles"], card["memory_bytes"]) == (False, 1, 32 << 30)
    assert (card["driver"], card["pci"], card["numa_node"]) == ("xe", "0000:23:00.0", None)


def test_amd(node: Callable[..., ProbeContext]) -> None:
    data = GpuProbe().take(node("amd"))
    first, second = devices(data)
    assert (first["vendor"], first["model"], first["uuid"]) == (
        "amd",
        "AMD Instinct MI210",
        "GPU-9f8e7d6c5b4a3920",
    )
    assert (second["model"], second["uuid"]) == ("AMD Instinct MI210", "GPU-9f8e7d6c5b4a3921")
    assert (first["memory_bytes"], first["driver"], first["pci"]) == (68_702_699_520, "amdgpu 6.3.6", "0000:c1:00.0")
    assert second["numa_node"] == 1


def test_amd_is_counted_as_rocm_does(copied_node: Callable[..., ProbeContext]) -> None:
    """ROCm's order is that of the kernel's compute nodes; a node that this job may not use is not counted."""
    context = copied_node("amd")
    nodes = context.sys / "class/kfd/kfd/topology/nodes"
    for number, gpu_id, place in ((0, 0, 0), (1, 4711, 0xC600), (10, 4713, 0xC900), (2, 4712, 0xC100)):
        (nodes / str(number)).mkdir(parents=True)
        (nodes / str(number) / "gpu_id").write_text(f"{gpu_id}\n")
        (nodes / str(number) / "properties").write_text(f"simd_count 416\nlocation_id {place}\ndomain 0\n")
    assert [gpu["pci"] for gpu in devices(GpuProbe().take(context))] == ["0000:c6:00.0", "0000:c1:00.0"]
    (nodes / "1/properties").write_text("")
    assert [gpu["pci"] for gpu in devices(GpuProbe().take(context))] == ["0000:c1:00.0", "0000:c6:00.0"]


def test_polaris_by_the_driver_alone(node: Callable[..., ProbeContext]) -> None:
    data = GpuProbe().take(node("polaris"))
    gpus = devices(data)
    assert [device["pci"] for device in gpus] == ["0000:07:00.0", "0000:46:00.0", "0000:85:00.0", "0000:c7:00.0"]
    assert [device["numa_node"] for device in gpus] == [3, 2, 1, 0]
    assert gpus[2]["uuid"] == "GPU-00000002-1111-2222-3333-444444444444"
    assert {(device["model"], device["driver"]) for device in gpus} == {("NVIDIA A100-SXM4-40GB", "nvidia 535.154.05")}
    assert data["notes"] == ["NVIDIA GPUs as listed in /proc: NVML knows the running machine only"]


def test_nvml_with_instances(node: Callable[..., ProbeContext], fake_nvml: Any) -> None:
    nvml = fake_nvml()
    data = GpuProbe().take(node("polaris", libraries={"pynvml": nvml}))
    gpus = devices(data)
    assert [device["uuid"] for device in gpus] == ["GPU-gpu0", "GPU-gpu1", "MIG-gpu0mig0", "MIG-gpu0mig3"]
    assert [device["mig"] for device in gpus] == [False, False, True, True]
    assert [device["parent"] for device in gpus] == [None, None, "GPU-gpu0", "GPU-gpu0"]
    assert [device["memory_bytes"] for device in gpus] == [40 << 30, 40 << 30, 20 << 30, 20 << 30]
    assert (gpus[0]["pci"], gpus[1]["pci"]) == ("0000:07:00.0", "0000:c7:00.0")
    assert (gpus[0]["numa_node"], gpus[1]["numa_node"]) == (3, 0)
    assert (gpus[1]["driver"], gpus[1]["compute_capability"]) == ("nvidia 535.154.05", "8.0")
    assert (gpus[0]["mig_enabled"], gpus[1]["mig_enabled"]) == (True, False)
    assert gpus[3]["gpu_instance"] == 4
    assert data["notes"] == []
    assert nvml.open == 0, "the session is closed again"
    json.dumps(data, allow_nan=False)


def test_lost_gpu_still_belongs_to_the_node(node: Callable[..., ProbeContext], fake_nvml: Any) -> None:
    nvml = fake_nvml()
    nvml.lost = {"gpu0"}
    lost, other = devices(GpuProbe().take(node("polaris", libraries={"pynvml": nvml})))
    assert (lost["uuid"], lost["error"], lost["memory_bytes"]) == (None, "GPU is lost", None)
    assert other["uuid"] == "GPU-gpu1"


def test_broken_driver_with_and_without_another_source(
    node: Callable[..., ProbeContext], fake_nvml: Any, tmp_path: Path
) -> None:
    data = GpuProbe().take(node("polaris", libraries={"pynvml": fake_nvml(init_error=18)}))
    assert len(devices(data)) == 4
    assert data["notes"] == ["NVML: NVML error 18"]
    with pytest.raises(ProbeError, match="NVML error 18"):
        GpuProbe().take(node("none", tmp_path, libraries={"pynvml": fake_nvml(init_error=18)}))


@pytest.mark.parametrize("code", [9, 12])
def test_no_gpu(code: int, node: Callable[..., ProbeContext], fake_nvml: Any, tmp_path: Path) -> None:
    with pytest.raises(NoData, match="no GPU: NVML: NVML error"):
        GpuProbe().take(node("none", tmp_path, libraries={"pynvml": fake_nvml(init_error=code)}))


def test_binding_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with pytest.raises(NoData, match="nvidia-ml-py is not installed"):
        open_session()


def test_wedged_driver_is_left_behind(fake_nvml: Any) -> None:
    release = threading.Event()
    nvml = fake_nvml()
    nvml.nvmlInit = lambda: release.wait(60)
    try:
        with pytest.raises(ProbeError, match=r"timed out after 0\.2 s"):
            open_devices(nvml, limit_s=0.2)
    finally:
        release.set()


def test_gpu_that_the_driver_could_not_initialise(tmp_path: Path, node: Callable[..., ProbeContext]) -> None:
    """NVIDIA's driver writes question marks for a UUID that it could not read."""
    for minor, bus in enumerate(("0000:41:00.0", "0000:81:00.0")):
        directory = tmp_path / "proc/driver/nvidia/gpus" / bus
        directory.mkdir(parents=True)
        (directory / "information").write_text(
            "Model: \t\t NVIDIA L40S\nGPU UUID: \t GPU-????????-????-????-????-????????????\n"
            f"Video BIOS: \t ??.??.??.??.??\nBus Location: \t {bus}\nDevice Minor: \t {minor}\n"
        )
    assert [gpu["uuid"] for gpu in devices(GpuProbe().take(node("x", tmp_path)))] == [None, None]


@pytest.mark.parametrize(
    ("bus_id", "address"),
    [
        ("00000000:07:00.0", "0000:07:00.0"),
        ("0000000F:01:00.0", "000f:01:00.0"),
        ("00010000:E1:00.0", "10000:e1:00.0"),
        ("FFFFFFFF:E1:00.0", "ffffffff:e1:00.0"),
        ("0000:07:00.0", "0000:07:00.0"),
        ("07:00.0", None),
        ("", None),
        (None, None),
    ],
)
def test_pci_address(bus_id: str | None, address: str | None) -> None:
    assert pci_address(bus_id) == address


def test_memory_shared_with_the_host(node: Callable[..., ProbeContext], fake_nvml: Any) -> None:
    """A device with unified memory (GB10) answers with a total of 0."""
    nvml = fake_nvml()
    nvml.nvmlDeviceGetMemoryInfo = lambda handle, version=None: SimpleNamespace(total=0, used=0, free=0)
    context = node("polaris", libraries={"pynvml": nvml})
    assert {gpu["memory_bytes"] for gpu in devices(GpuProbe().take(context))} == {None}
    (first, *_) = open_gpus(context)
    try:
        assert first.read().memory_used_bytes is None
    finally:
        first.close()


@pytest.mark.parametrize(
    ("text", "uuid"),
    [
        ("GPU-1a2b3c4d-0000-0000-0000-000000000000", "GPU-1a2b3c4d-0000-0000-0000-000000000000"),
        ("MIG-gpu0mig3", "MIG-gpu0mig3"),
        ("GPU-????????-????-????-????-????????????", None),
        ("GPU-00000000-0000-0000-0000-000000000000", None),
        ("GPU-0", None),
        ("00000000-0000-0000-0000-000000000000", None),
        ("", None),
        (None, None),
    ],
)
def test_uuid_that_is_none(text: str | None, uuid: str | None) -> None:
    assert known_uuid(text) == uuid


def test_order_of_pci_addresses(tmp_path: Path, node: Callable[..., ProbeContext]) -> None:
    """As text, a domain of five digits would come before one of four."""
    for bus in ("10000:e1:00.0", "2000:01:00.0", "0000:41:00.0"):
        (tmp_path / "proc/driver/nvidia/gpus" / bus).mkdir(parents=True)
    addresses = [gpu["pci"] for gpu in devices(GpuProbe().take(node("x", tmp_path)))]
    assert addresses == ["0000:41:00.0", "2000:01:00.0", "10000:e1:00.0"]
