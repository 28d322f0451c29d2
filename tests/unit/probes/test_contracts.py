"""Every probe on the machine that runs the tests: its shape, or a reason why it is not here."""

from __future__ import annotations

from typing import Any

import pytest

from prov_worker.probes import ProbeContext, take_all
from prov_worker.probes.gpus import GpuSample, open_gpus

NUMBER = (int, float)


def shape(data: dict[str, Any], expected: dict[str, Any]) -> None:
    """Each key is there and has the type; None stands beside a type where a value may be unknown."""
    for key, types in expected.items():
        assert key in data, key
        allowed = (
            tuple(type(None) if kind is None else kind for kind in types) if isinstance(types, tuple) else (types,)
        )
        assert isinstance(data[key], allowed), f"{key}: {data[key]!r}"
        assert bool in allowed or not isinstance(data[key], bool), key


def test_cpu() -> None:
    report = take_all(["cpu"]).probes["cpu"]
    assert report.success, report.error
    shape(
        report.data,
        {
            "source": str,
            "lscpu": dict,
            "model": (str, None),
            "vendor": (str, None),
            "architecture": str,
            "logical": int,
            "physical_cores": (int, None),
            "sockets": (int, None),
            "numa_nodes": (int, None),
            "max_mhz": (float, None),
        },
    )
    assert report.data["logical"] >= 1
    assert all(isinstance(value, str) for value in report.data["lscpu"].values())


def test_memory() -> None:
    report = take_all(["memory"]).probes["memory"]
    assert report.success, report.error
    shape(
        report.data,
        {
            "virtual_memory": dict,
            "swap": dict,
            "total_bytes": int,
            "available_bytes": int,
            "cgroup_limit_bytes": (int, None),
            "cgroup": (str, None),
        },
    )
    assert report.data["cgroup"] in ("v1", "v2", None)
    assert 0 < report.data["available_bytes"] <= report.data["total_bytes"]
    assert {"total", "available", "percent", "used", "free"} <= report.data["virtual_memory"].keys()
    assert {"total", "used", "free", "percent", "sin", "sout"} == report.data["swap"].keys()


def test_storage(tmp_path: Any) -> None:
    report = take_all(["storage"], ProbeContext(mount_points=("/", str(tmp_path)))).probes["storage"]
    assert report.success, report.error
    root, temporary = report.data["mounts"]
    for mount in (root, temporary):
        assert mount["present"]
        shape(
            mount,
            {
                "mount_point": str,
                "reason": None.__class__,
                "mounted_at": str,
                "device": str,
                "type": str,
                "options": str,
                "total_bytes": int,
                "used_bytes": int,
                "free_bytes": int,
                "inodes_total": int,
                "inodes_free": int,
                "read_only": bool,
            },
        )
    assert root["mounted_at"] == "/"
    assert str(tmp_path).startswith(temporary["mounted_at"])


def test_environment() -> None:
    report = take_all(["environment"]).probes["environment"]
    assert report.success, report.error
    shape(
        report.data,
        {
            "python": dict,
            "distributions": dict,
            "loaded_modules": list,
            "container": (dict, None),
            "kernel": str,
            "os": (str, None),
            "hostname": str,
        },
    )
    assert {"version", "implementation", "executable", "prefix"} == report.data["python"].keys()
    names = list(report.data["distributions"])
    assert "pytest" in names
    assert names == sorted(names, key=str.lower)


@pytest.mark.parametrize("name", ["gpu", "scheduler"])
def test_what_may_be_absent_says_so(name: str) -> None:
    report = take_all([name]).probes[name]
    assert report.success, report.error
    assert bool(report.data) != bool(report.absent)


def test_meters_never_raise_here() -> None:
    for meter in open_gpus():
        try:
            assert isinstance(meter.read(), GpuSample)
        finally:
            meter.close()


@pytest.mark.gpu
def test_real_nvidia_gpu() -> None:
    """The only test of the NVML room against the library itself; run it on a node with a GPU: ``pytest -m gpu``."""
    pynvml = pytest.importorskip("pynvml")
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        pytest.skip(f"no NVIDIA GPU: {error}")
    count = pynvml.nvmlDeviceGetCount()
    pynvml.nvmlShutdown()

    report = take_all(["gpu"]).probes["gpu"]
    assert report.error is None
    gpus = [device for device in report.data["devices"] if device["vendor"] == "nvidia" and not device["mig"]]
    assert len(gpus) == count
    for device in gpus:
        shape(device, {"index": int, "model": str, "uuid": str, "memory_bytes": (int, None), "driver": str, "pci": str})
        assert device["uuid"].startswith("GPU-")
    meters = open_gpus()
    try:
        assert {meter.uuid for meter in meters} >= {device["uuid"] for device in gpus}
        assert [meter.index for meter in meters][:count] == [device["index"] for device in gpus]
        for meter in meters[:count]:
            sample = meter.read()
            assert any(value is not None for value in vars(sample).values())
            assert sample.utilization_percent is None or 0 <= sample.utilization_percent <= 100
            assert sample.power_watts is None or 1 < sample.power_watts < 2000
    finally:
        for meter in meters:
            meter.close()
