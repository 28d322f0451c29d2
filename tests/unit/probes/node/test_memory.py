from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prov_worker.probes import NoData, ProbeContext, ProbeError
from prov_worker.probes.node.memory import MemoryProbe, parse_meminfo

KIB = 1024


def test_polaris(node: Callable[..., ProbeContext]) -> None:
    data = MemoryProbe().take(node("polaris"))
    assert data["source"] == "/proc/meminfo"
    assert data["total_bytes"] == 527_544_204 * KIB
    assert data["available_bytes"] == 498_213_900 * KIB
    assert data["virtual_memory"]["used"] == (527_544_204 - 498_213_900) * KIB
    assert data["virtual_memory"]["percent"] == 5.6
    assert data["virtual_memory"]["cached"] == (30_518_412 + 1_210_112) * KIB
    assert data["swap"]["used"] == 8192 * KIB
    assert data["swap"]["sin"] == 3 * 4096
    assert data["numa"][3] == {"node": 3, "total_bytes": 131_886_051 * KIB, "cpus": "24-31,56-63"}


def test_memory_of_another_kind_is_a_numa_node_without_cpus(node: Callable[..., ProbeContext]) -> None:
    data = MemoryProbe().take(node("aurora"))
    assert [entry["cpus"] == "" for entry in data["numa"]] == [False, False, True, True]
    assert data["swap"] == {"total": 0, "used": 0, "free": 0, "percent": 0.0, "sin": None, "sout": None}


@pytest.mark.parametrize(("name", "limit"), [("cgroup_v1", 8 << 30), ("cgroup_v2", 4 << 30)])
def test_limit_of_the_job(name: str, limit: int, copied_node: Callable[..., ProbeContext]) -> None:
    context = copied_node(name)
    (context.proc / "meminfo").write_text("MemTotal: 1048576 kB\nMemFree: 1024 kB\nBuffers: 1 kB\nCached: 3 kB\n")
    data = MemoryProbe().take(context)
    assert (data["cgroup"], data["cgroup_limit_bytes"]) == (name.removeprefix("cgroup_"), limit)
    assert data["available_bytes"] == 1028 * KIB, "estimated where the kernel does not"


def test_parser_agrees_with_psutil() -> None:
    psutil = pytest.importorskip("psutil")
    virtual, swap = parse_meminfo(Path("/proc"))
    assert list(virtual) == list(psutil.virtual_memory()._asdict())
    assert list(swap) == list(psutil.swap_memory()._asdict())
    assert virtual["total"] == psutil.virtual_memory().total
    assert swap["total"] == psutil.swap_memory().total


def test_nothing_to_read(tmp_path: Path) -> None:
    with pytest.raises(NoData, match="meminfo cannot be read"):
        parse_meminfo(tmp_path)


def test_meminfo_without_a_total(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: lots\nnonsense\n")
    with pytest.raises(ProbeError, match="no MemTotal"):
        parse_meminfo(tmp_path)


def test_without_psutil(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psutil", None)
    data = MemoryProbe().take(ProbeContext(environ={}))
    assert data["source"] == "/proc/meminfo"
    assert 0 < data["available_bytes"] <= data["total_bytes"]


def unreadable(error: Exception) -> Callable[[], Any]:
    def ask() -> Any:
        raise error

    return ask


@pytest.mark.parametrize(
    ("function", "error", "text"),
    [
        ("swap_memory", PermissionError(13, "Permission denied", "/proc/vmstat"), "psutil: PermissionError: "),
        ("virtual_memory", KeyError(b"Inactive:"), "psutil: KeyError: "),
    ],
)
def test_psutil_that_cannot_read(function: str, error: Exception, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hardened /proc or a sandbox such as gVisor, which a test cannot have."""
    psutil = pytest.importorskip("psutil")
    monkeypatch.setattr(psutil, function, unreadable(error))
    data = MemoryProbe().take(ProbeContext(environ={}))
    assert data["source"] == "/proc/meminfo"
    assert data["psutil_error"].startswith(text)
    assert data["total_bytes"] > 0


def test_what_the_kernel_does_not_tell_is_unknown(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 1024 kB\n")
    (tmp_path / "vmstat").write_text("pswpin\npswpout none\n")
    virtual, swap = parse_meminfo(tmp_path)
    assert {name: value for name, value in virtual.items() if value is not None} == {"total": 1024 * KIB}
    assert set(swap.values()) == {None}
