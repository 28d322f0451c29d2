from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from prov_worker.probes import NoData, ProbeContext, ProbeError
from prov_worker.probes.node.cpu import CpuProbe, count_list, parse_lscpu

FIXTURES = Path(__file__).parents[1] / "fixtures"


def test_polaris(node: Callable[..., ProbeContext]) -> None:
    data = CpuProbe().take(node("polaris"))
    assert data["source"] == "lscpu -J"
    assert data["lscpu_error"] is None
    captured = json.loads((FIXTURES / "polaris/lscpu.json").read_text())["lscpu"]
    assert data["lscpu"] == {entry["field"].rstrip(":"): entry["data"] for entry in captured}
    assert data["model"] == "AMD EPYC 7543P 32-Core Processor"
    assert data["vendor"] == "AuthenticAMD"
    assert data["architecture"] == "x86_64"
    assert (data["logical"], data["physical_cores"], data["sockets"], data["numa_nodes"]) == (64, 32, 1, 4)
    assert data["max_mhz"] == 3737.8899


def test_nested_fields_are_flattened(node: Callable[..., ProbeContext]) -> None:
    data = CpuProbe().take(node("aurora"))
    assert (data["logical"], data["physical_cores"], data["sockets"], data["numa_nodes"]) == (208, 104, 2, 4)
    assert data["model"] == "Intel(R) Xeon(R) CPU Max 9470C"
    assert data["lscpu"]["Vendor ID"] == "GenuineIntel"
    assert data["lscpu"]["NUMA node1 CPU(s)"] == "52-103,156-207"
    assert data["lscpu"]["NUMA node2 CPU(s)"] == ""
    assert "NUMA" not in data["lscpu"]


def test_label_that_comes_twice_is_kept_twice() -> None:
    text = json.dumps({"lscpu": [{"field": "Model name:", "data": "big"}, {"field": "Model name:", "data": "little"}]})
    assert parse_lscpu(text) == {"Model name": "big", "Model name (2)": "little"}


def test_missing_lscpu_falls_back_to_proc(copied_node: Callable[..., ProbeContext]) -> None:
    context = copied_node("polaris")
    (context.proc.parent / "lscpu.json").unlink()
    data = CpuProbe().take(context)
    assert data["source"] == "/proc/cpuinfo"
    assert data["lscpu_error"] == "lscpu: not found"
    assert data["model"] == "AMD EPYC 7543P 32-Core Processor"
    assert (data["logical"], data["physical_cores"], data["sockets"], data["numa_nodes"]) == (64, 32, 1, 4)
    assert data["lscpu"]["Thread(s) per core"] == "2"
    assert data["max_mhz"] == 3737.89


@pytest.mark.parametrize(
    "garbage",
    [
        "",
        "Architecture: x86_64",
        "[]",
        "null",
        '{"lscpu": []}',
        '{"lscpu": 3}',
        '{"lscpu": [{"data": "x"}]}',
        '{"lscpu": [{"field": 5, "data": "x"}]}',
        '{"lscpu": ["x"]}',
        '{"lscpu": ' + "[" * 100_000,
    ],
)
def test_garbage_from_lscpu(garbage: str, node: Callable[..., ProbeContext]) -> None:
    with pytest.raises(ProbeError, match="lscpu: output not understood"):
        parse_lscpu(garbage)
    data = CpuProbe().take(node("polaris", command=lambda arguments, limit_s: garbage))
    assert data["source"] == "/proc/cpuinfo"
    assert data["lscpu_error"].startswith("lscpu: output not understood")
    assert data["logical"] == 64


def test_neither_source(tmp_path: Path, node: Callable[..., ProbeContext]) -> None:
    with pytest.raises(NoData, match="lscpu: not found; no processor in"):
        CpuProbe().take(node("none", tmp_path))


def test_processor_without_topology(tmp_path: Path, node: Callable[..., ProbeContext]) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text(
        "processor\t: 0\nBogoMIPS\t: 50.00\nFeatures\t: fp asimd\nCPU implementer\t: 0x41\nCPU part\t: 0xd0c\n"
    )
    data = CpuProbe().take(node("arm", tmp_path))
    assert (data["logical"], data["physical_cores"], data["sockets"], data["numa_nodes"]) == (1, None, None, None)
    assert (data["vendor"], data["model"], data["max_mhz"]) == ("0x41", None, None)
    assert data["lscpu"]["Flags"] == "fp asimd"


def test_off_line_cpus_are_not_counted(copied_node: Callable[..., ProbeContext]) -> None:
    context = copied_node("polaris")
    path = context.proc.parent / "lscpu.json"
    path.write_text(path.read_text().replace('"0-63"', '"0-31"'))
    assert CpuProbe().take(context)["logical"] == 32


@pytest.mark.parametrize(("text", "count"), [("0", 1), ("0-3,8", 5), ("0-207", 208), ("", None), ("a-b", None)])
def test_count_list(text: str, count: int | None) -> None:
    assert count_list(text) == count
