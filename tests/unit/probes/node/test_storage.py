from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from prov_worker.probes import NoData, ProbeContext
from prov_worker.probes.node.storage import StorageProbe


def with_mount(context: ProbeContext, path: Path) -> None:
    """Add a line to the node's table: the file system under a path of the test."""
    with (context.proc / "self/mountinfo").open("a") as table:
        table.write(f"40 30 0:40 / {path} ro,noatime - lustre 172.16.0.1@o2ib:/flare rw,flock\n")


def test_size_of_a_mount(tmp_path: Path, copied_node: Callable[..., ProbeContext]) -> None:
    (tmp_path / "mount/inside").mkdir(parents=True)
    context = copied_node("polaris", mount_points=(str(tmp_path / "mount/inside"),))
    with_mount(context, tmp_path / "mount")
    (entry,) = StorageProbe().take(context)["mounts"]
    size = os.statvfs(tmp_path)
    assert entry["present"]
    assert entry["reason"] is None
    assert (entry["mounted_at"], entry["type"]) == (str(tmp_path / "mount"), "lustre")
    assert entry["total_bytes"] == size.f_blocks * size.f_frsize
    assert 0 <= entry["used_bytes"] <= entry["total_bytes"]
    assert 0 <= entry["free_bytes"] <= entry["total_bytes"]
    assert 0 <= entry["used_percent"] <= 100


def test_link_leads_to_the_mount_that_holds_it(tmp_path: Path, copied_node: Callable[..., ProbeContext]) -> None:
    (tmp_path / "mount").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "mount")
    context = copied_node("polaris", mount_points=(str(tmp_path / "link"),))
    with_mount(context, tmp_path / "mount")
    (entry,) = StorageProbe().take(context)["mounts"]
    assert (entry["mount_point"], entry["mounted_at"]) == (str(tmp_path / "link"), str(tmp_path / "mount"))


def test_missing_mount_is_recorded_as_absent(tmp_path: Path, copied_node: Callable[..., ProbeContext]) -> None:
    (tmp_path / "file").write_text("")
    points = (str(tmp_path / "absent"), "/", str(tmp_path / "file/below"), "/with\0zero")
    absent, root, below, zero = StorageProbe().take(copied_node("polaris", mount_points=points))["mounts"]
    assert (absent["present"], absent["reason"]) == (False, "no such file or directory")
    assert (below["present"], below["reason"]) == (False, "not a directory")
    assert not zero["present"]
    assert "embedded null" in zero["reason"], "Python's own words, which change"
    assert root["present"]
    assert absent.keys() == root.keys()
    assert absent["total_bytes"] is None


def test_dead_mount_costs_its_own_limit_only(tmp_path: Path, copied_node: Callable[..., ProbeContext]) -> None:
    """statvfs(2) hangs on the mount of a server that is gone, which a test cannot have: the call is replaced."""
    release = threading.Event()

    def statvfs(path: str) -> os.statvfs_result:
        if path.startswith("/lus"):
            release.wait(60)
        return os.statvfs(path)

    points = ("/lus/eagle/projects/mine", str(tmp_path))
    try:
        probe = StorageProbe(mount_limit_s=0.2, statvfs=statvfs)
        dead, alive = probe.take(copied_node("polaris", mount_points=points))["mounts"]
    finally:
        release.set()
    assert (dead["present"], dead["reason"]) == (False, "no answer within 0.2 s")
    assert (dead["mounted_at"], dead["type"]) == ("/lus/eagle/projects", "lustre")
    assert dead["total_bytes"] is None
    assert alive["present"]


def test_limit_of_a_mount_is_below_that_of_the_probe() -> None:
    assert StorageProbe().mount_limit_s < StorageProbe().time_limit_s


def test_nothing_asked_for(node: Callable[..., ProbeContext]) -> None:
    with pytest.raises(NoData, match="no mount point was asked for"):
        StorageProbe().take(node("polaris"))


BLOCKS = {"f_bsize": 4096, "f_frsize": 4096, "f_blocks": 100_000, "f_bfree": 2_000, "f_bavail": 0}
INODES = {"f_files": 50_000, "f_ffree": 10, "f_flag": 0}
REASON = "the file system names more free than all blocks"


@pytest.mark.parametrize(
    ("change", "used", "free", "percent"),
    [
        ({}, 98_000, 0, 100.0),
        ({"f_bavail": 2**64 - 3000}, 98_000, 0, 100.0),
        ({"f_bavail": -3000}, 98_000, 0, 100.0),  # some Pythons read the unsigned field as signed
        ({"f_bfree": 2**64 - 10, "f_bavail": 2**64 - 3000}, 100_000, 0, 100.0),
        ({"f_bfree": 120_000, "f_bavail": 120_000}, None, None, None),
        ({"f_bavail": 3_000}, 98_000, None, None),
        ({"f_bfree": 2**64 - 1, "f_bavail": 2**64 - 1}, None, None, None),
        ({"f_frsize": 0, "f_bavail": 2_000}, 98_000, 2_000, 98.0),
        ({"f_blocks": 0, "f_bfree": 0}, 0, 0, None),
    ],
)
def test_sizes_that_wrap_around(
    change: dict[str, int], used: int | None, free: int | None, percent: float | None
) -> None:
    """Such a file system cannot be made on a test's machine: statvfs(2) is replaced."""
    answer = SimpleNamespace(**BLOCKS | INODES | change)
    probe = StorageProbe(statvfs=lambda path: answer)  # type: ignore[arg-type,return-value]
    (entry,) = probe.take(ProbeContext(mount_points=("/tmp",)))["mounts"]
    assert entry["used_bytes"] == (None if used is None else used * 4096)
    assert entry["free_bytes"] == (None if free is None else free * 4096)
    assert entry["used_percent"] == percent
    assert entry["present"]
    assert entry["reason"] == (REASON if used is None or free is None else None)


@pytest.mark.parametrize(
    ("change", "total", "free"),
    [
        ({}, 50_000, 10),
        ({"f_files": 0, "f_ffree": 0}, None, None),  # btrfs and vfat have no fixed number
        ({"f_ffree": 60_000}, 50_000, None),
        ({"f_files": 2**64 - 1, "f_ffree": 2**64 - 1}, None, None),
    ],
)
def test_inodes(change: dict[str, int], total: int | None, free: int | None) -> None:
    answer = SimpleNamespace(**BLOCKS | INODES | change)
    probe = StorageProbe(statvfs=lambda path: answer)  # type: ignore[arg-type,return-value]
    (entry,) = probe.take(ProbeContext(mount_points=("/tmp",)))["mounts"]
    assert (entry["inodes_total"], entry["inodes_free"]) == (total, free)
