from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

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
    assert (zero["present"], zero["reason"]) == (False, "embedded null byte")
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
