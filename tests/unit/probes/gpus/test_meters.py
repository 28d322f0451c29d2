from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prov_worker.probes import ProbeContext
from prov_worker.probes.gpus import GpuSample, open_gpus
from prov_worker.probes.node.gpu import GpuProbe


def test_amd(copied_node: Callable[..., ProbeContext]) -> None:
    context = copied_node("amd")
    meters = open_gpus(context)
    try:
        assert [(meter.index, meter.vendor, meter.uuid) for meter in meters] == [
            (0, "amd", "GPU-9f8e7d6c5b4a3920"),
            (1, "amd", "GPU-9f8e7d6c5b4a3921"),
        ]
        assert meters[0].more == (
            ("memory_busy_percent", "percent"),
            ("temperature_edge_celsius", "celsius"),
            ("temperature_junction_celsius", "celsius"),
            ("temperature_memory_celsius", "celsius"),
            ("clock_graphics_megahertz", "megahertz"),
            ("clock_memory_megahertz", "megahertz"),
        )
        assert meters[0].read() == GpuSample(
            37.0, 11_005_952, 92.0, 43.0, more=(12.0, 43.0, 45.0, 47.0, 1700.0, 1600.0)
        )
        device = context.sys / "class/drm/card1/device"
        (device / "gpu_busy_percent").write_text("100\n")
        (device / "mem_info_vram_used").write_text("60000000000\n")
        (device / "hwmon/hwmon5/power1_average").write_text("301500000\n")
        (device / "hwmon/hwmon5/temp1_input").write_text("")
        (device / "hwmon/hwmon5/freq1_input").write_text("garbage")
        more = (12.0, None, 45.0, 47.0, None, 1600.0)
        assert meters[0].read() == GpuSample(100.0, 60_000_000_000, 301.5, None, more=more)
        assert dict(zip((name for name, _ in meters[1].more), meters[1].read().more, strict=True)) == {
            "temperature_edge_celsius": 43.0,
            "temperature_junction_celsius": 45.0,
            "clock_graphics_megahertz": 800.0,
        }
        levels = context.sys / "class/drm/card2/device/pp_dpm_sclk"
        for text in ("", "0: 500Mhz\n", "0: fastMhz *\n"):
            levels.write_text(text)
            assert meters[1].read().more[-1] is None
    finally:
        for meter in meters:
            meter.close()


def test_intel_power_is_the_difference_of_energy(copied_node: Callable[..., ProbeContext]) -> None:
    context = copied_node("aurora")
    meters = open_gpus(context)
    try:
        assert [meter.index for meter in meters] == [0, 1, 2, 3, 4, 5]
        first = meters[0].read()
        assert first == GpuSample(None, 4 << 30, energy_joules=5000.0), "power needs two readings"
        # card4 is the first by address; its sensors are those of the whole card, not of a tile.
        energy = context.sys / "class/drm/card4/device/hwmon/hwmon33/energy1_input"
        energy.write_text("5000000000000000\n")
        second = meters[0].read().power_watts
        assert second is not None
        assert second > 0
        assert meters[0].read().power_watts == 0.0
        energy.write_text("12\n")
        assert meters[0].read().power_watts is None, "the counter started again"
        energy.write_text("garbage\n")
        assert meters[0].read().power_watts is None
    finally:
        for meter in meters:
            meter.close()


def test_xe_sensors_of_the_package(node: Callable[..., ProbeContext]) -> None:
    meters = open_gpus(node("xe"))
    try:
        assert [meter.index for meter in meters] == [0, 1]
        assert meters[0].read() == GpuSample()
        assert meters[1].read() == GpuSample(temperature_celsius=41.0, energy_joules=0.001)
        assert meters[1].read().power_watts == 0.0
    finally:
        for meter in meters:
            meter.close()


def test_close_gives_files_back(node: Callable[..., ProbeContext]) -> None:
    here = str(Path(__file__).parents[1])

    def open_files() -> list[str]:
        links = []
        for name in os.listdir("/proc/self/fd"):
            try:
                links.append(os.readlink(f"/proc/self/fd/{name}"))
            except FileNotFoundError:  # the descriptor of the listing itself
                continue
        return [link for link in links if link.startswith(here)]

    before = open_files()
    meters = open_gpus(node("amd"))
    assert len(open_files()) > len(before)
    for meter in meters:
        meter.close()
        meter.close()
        assert meter.read() == GpuSample(more=(None,) * len(meter.more))
    # fewer: what an earlier test left to the collector of garbage
    assert len(open_files()) <= len(before)


def test_nvml(node: Callable[..., ProbeContext], fake_nvml: Any) -> None:
    nvml = fake_nvml()
    context = node("polaris", libraries={"pynvml": nvml})
    meters = open_gpus(context)
    assert nvml.open == 1
    probed = GpuProbe().take(context)["devices"]
    assert [(m.index, m.vendor, m.uuid) for m in meters] == [(d["index"], d["vendor"], d["uuid"]) for d in probed]
    samples = [meter.read() for meter in meters]
    assert samples == [
        GpuSample(None, 1 << 30, 254.321, 61.0, 7000.5),
        GpuSample(87.0, 1 << 30, 254.321, 61.0, 7000.5),
        GpuSample(None, 1 << 30, None, None),
        GpuSample(None, 1 << 30, None, None),
    ]
    count = nvml.calls.count("utilization gpu0")
    meters[0].read()
    assert nvml.calls.count("utilization gpu0") == count, "what is not supported is not asked again"
    nvml.lost = {"gpu1"}
    assert meters[1].read() == GpuSample()
    nvml.lost = set()
    assert meters[1].read().utilization_percent == 87.0, "a device that comes back is read again"
    for meter in meters:
        assert nvml.open == 1
        meter.close()
        meter.close()
        assert meter.read() == GpuSample()
    assert nvml.open == 0, "the last meter shuts the library down"


def test_lost_gpu_keeps_the_numbers_of_the_others(node: Callable[..., ProbeContext], fake_nvml: Any) -> None:
    nvml = fake_nvml()
    nvml.lost = {"gpu0"}
    meters = open_gpus(node("polaris", libraries={"pynvml": nvml}))
    assert [meter.index for meter in meters] == [1]
    for meter in meters:
        meter.close()


@pytest.mark.parametrize("code", [9, 12, 18])
def test_nothing_to_read_is_an_empty_list(
    code: int, node: Callable[..., ProbeContext], fake_nvml: Any, tmp_path: Path
) -> None:
    assert open_gpus(node("none", tmp_path, libraries={"pynvml": fake_nvml(init_error=code)})) == []


def test_a_binding_that_misbehaves_costs_the_gpus_only(node: Callable[..., ProbeContext], tmp_path: Path) -> None:
    class Broken:
        class NVMLError(Exception):
            pass

        def nvmlInit(self) -> None:  # noqa: N802 - the library's name
            raise ZeroDivisionError

    assert open_gpus(node("none", tmp_path, libraries={"pynvml": Broken()})) == []
