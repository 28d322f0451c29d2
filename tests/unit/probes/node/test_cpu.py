from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from prov_worker.probes import NoData, ProbeContext, ProbeError
from prov_worker.probes.node.cpu import CpuProbe, count_list, from_cpuinfo, parse_lscpu

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
    assert data["max_mhz"] == 3737.89


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


@pytest.mark.parametrize(
    ("name", "logical", "cores", "sockets", "max_mhz"),
    [
        ("arm-A510-A710-A715-X3", 8, 8, None, 3187.2),  # whether kinds share a socket is not told
        ("armv7", 2, 2, 1, 1700.0),
        ("x86_64-meteor_lake", 22, 16, 1, 2300.0),
        ("s390-lpar-drawer", 8, None, None, None),  # 8 x 3 x 2 x 4 cores for 8 CPUs
        ("s390-zvm", 4, 4, 4, None),
        ("s390-nested-virt", 2, 2, 2, None),
        ("sparc64", 6, 6, 6, None),
        ("sparc64-UltraSparc-T1", 24, 6, 6, None),
        ("ppc64-POWER7", 16, 4, 4, None),
        ("rv64-milkvpioneer", 64, 64, 1, None),
        ("x86_64-el5xen", 8, 8, 8, None),
        ("ia64-pg0", 16, 16, 8, None),
    ],
)
def test_kinds_of_processors(
    name: str,
    logical: int,
    cores: int | None,
    sockets: int | None,
    max_mhz: float | None,
    tmp_path: Path,
    node: Callable[..., ProbeContext],
) -> None:
    """The numbers are those of util-linux's parsable output of the same processor, or None."""
    text = (FIXTURES / f"lscpu/{name}.json").read_text()
    data = CpuProbe().take(node(name, tmp_path, command=lambda arguments, limit_s: text))
    assert (data["logical"], data["physical_cores"], data["sockets"], data["max_mhz"]) == (
        logical,
        cores,
        sockets,
        max_mhz,
    )


def test_kinds_of_cores_are_named(tmp_path: Path, node: Callable[..., ProbeContext]) -> None:
    text = (FIXTURES / "lscpu/arm-A510-A710-A715-X3.json").read_text()
    data = CpuProbe().take(node("arm", tmp_path, command=lambda arguments, limit_s: text))
    assert data["model"] == "Cortex-A510 + Cortex-A710 + Cortex-A715 + Cortex-X3"
    assert [(kind["cores"], kind["max_mhz"]) for kind in data["kinds"]] == [
        (3, 2016.0),
        (2, 2803.2),
        (2, 2803.2),
        (1, 3187.2),
    ]
    assert data["lscpu"]["Core(s) per socket (4)"] == "1"


def test_kinds_of_cores_beside_each_other(tmp_path: Path, node: Callable[..., ProbeContext]) -> None:
    """util-linux before 2.39 nests nothing; the last kind has two threads per core."""
    fields = [("CPU(s):", "11"), ("On-line CPU(s) list:", "0-10")]
    for model, cores, threads, mhz in (("A", 3, 1, 2000), ("B", 2, 1, 2800), ("C", 2, 1, 2900), ("D", 2, 2, 3200)):
        fields += [("Model name:", model), ("Thread(s) per core:", str(threads))]
        fields += [("Core(s) per socket:", str(cores)), ("Socket(s):", "1"), ("CPU max MHz:", f"{mhz}.0000")]
    text = json.dumps({"lscpu": [{"field": field, "data": data} for field, data in fields]})
    data = CpuProbe().take(node("x", tmp_path, command=lambda arguments, limit_s: text))
    assert (data["logical"], data["physical_cores"], data["max_mhz"]) == (11, 9, 3200.0)


def test_clusters_of_arm_are_no_sockets(tmp_path: Path, node: Callable[..., ProbeContext]) -> None:
    """util-linux counts clusters (2.38 and later) on nodes whose firmware tells no socket."""
    fields = {"CPU(s):": "48", "On-line CPU(s) list:": "0-47", "Model name:": "ThunderX 88XX"}
    fields |= {"Thread(s) per core:": "1", "Core(s) per cluster:": "16", "Socket(s):": "-", "Cluster(s):": "3"}
    text = json.dumps({"lscpu": [{"field": field, "data": data} for field, data in fields.items()]})
    data = CpuProbe().take(node("x", tmp_path, command=lambda arguments, limit_s: text))
    assert (data["physical_cores"], data["sockets"]) == (48, None)


def test_the_kernel_knows_cores_and_clocks_better(tmp_path: Path, node: Callable[..., ProbeContext]) -> None:
    """lscpu names the clock of one kind of cores if all have one model name, as on Intel's hybrids."""
    text = (FIXTURES / "lscpu/x86_64-meteor_lake.json").read_text()
    siblings = {0: "0,5", 5: "0,5", **{n: f"{n}-{n + 1}" if n % 2 else f"{n - 1}-{n}" for n in range(1, 5)}}
    siblings |= {n: f"{n - n % 2}-{n - n % 2 + 1}" for n in range(6, 12)} | {n: f"{n}" for n in range(12, 22)}
    for number, cpus in siblings.items():
        cpu = tmp_path / f"sys/devices/system/cpu/cpu{number}"
        (cpu / "topology").mkdir(parents=True)
        (cpu / "cpufreq").mkdir()
        (cpu / "topology/core_cpus_list").write_text(f"{cpus}\n")
        (cpu / "topology/physical_package_id").write_text("0\n")
        (cpu / "cpufreq/cpuinfo_max_freq").write_text(f"{5_100_000 if number < 12 else 3_800_000}\n")
    data = CpuProbe().take(node("x", tmp_path, command=lambda arguments, limit_s: text))
    assert (data["logical"], data["physical_cores"], data["sockets"], data["max_mhz"]) == (22, 16, 1, 5100.0)


S390 = """vendor_id       : IBM/S390
# processors    : 2
bogomips per cpu: 3033.00
features\t: esan3 zarch
processor 0: version = 00,  identification = 0A1B2C,  machine = 3931
processor 1: version = 00,  identification = 0A1B2C,  machine = 3931
"""
S390_BLOCKS = """
cpu number      : 0
drawer id       : 0
book id         : 0
physical id     : 1
core id         : 4
cpu number      : 1
drawer id       : 0
book id         : 1
physical id     : 1
core id         : 4
"""
SPARC = """cpu\t\t: UltraSparc T2 (Niagara2)
fpu\t\t: UltraSparc T2 integrated FPU
type\t\t: sun4v
ncpus probed\t: 3
ncpus active\t: 2
Cpu0ClkTck\t: 00000000457646c0
State:
CPU0:\t\tonline
CPU8:\t\tonline
"""
POWER = """processor\t: 0
cpu\t\t: POWER9, altivec supported
clock\t\t: 3783.000000MHz

timebase\t: 512000000
platform\t: PowerNV
machine\t\t: PowerNV 8335-GTH
"""
ARM = """Processor\t: ARMv7 Processor rev 10 (v7l)
processor\t: 0
BogoMIPS\t: 1581.05

processor\t: 1
BogoMIPS\t: 1581.05

Features\t: swp half
"""


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        (S390, {"CPU(s)": "2", "Vendor ID": "IBM/S390", "Machine type": "3931", "Flags": "esan3 zarch"}),
        (S390 + S390_BLOCKS, {"CPU(s)": "2", "Socket(s)": "2", "Core(s) per socket": "1", "Thread(s) per core": "1"}),
        (SPARC, {"CPU(s)": "2", "Model name": "UltraSparc T2 (Niagara2)"}),
        (POWER, {"CPU(s)": "1", "Model name": "POWER9, altivec supported"}),
        (ARM, {"CPU(s)": "2", "Model name": "ARMv7 Processor rev 10 (v7l)"}),
        ("", {}),
        ("flags : none\n", {}),
    ],
    ids=["s390", "s390-blocks", "sparc", "power", "arm", "empty", "none"],
)
def test_cpuinfo_of_other_architectures(text: str, fields: dict[str, str]) -> None:
    """The forms are those of ``show_cpuinfo`` in the kernel's arch/{s390,sparc,powerpc,arm}."""
    answer = dict(from_cpuinfo(text))
    assert answer.items() >= fields.items()
    assert bool(answer) == bool(fields)


def test_cores_that_do_not_divide_evenly(tmp_path: Path, node: Callable[..., ProbeContext]) -> None:
    """A hybrid without lscpu: two cores of two threads, one of one."""
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text(
        "".join(
            f"processor\t: {cpu}\nmodel name\t: X\nphysical id\t: 0\ncore id\t: {core}\n\n"
            for cpu, core in enumerate((0, 0, 1, 1, 2))
        )
    )
    data = CpuProbe().take(node("hybrid", tmp_path))
    assert (data["logical"], data["physical_cores"], data["sockets"]) == (5, 3, 1)
    assert "Thread(s) per core" not in data["lscpu"]
