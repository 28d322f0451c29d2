from __future__ import annotations

from collections.abc import Callable

import pytest

from prov_worker.probes import ProbeContext
from prov_worker.probes.mounts import holding, read_mounts


@pytest.mark.parametrize(
    ("path", "point", "type_"),
    [
        ("/", "/", "overlay"),
        ("/lus/eagle/projects/mine/crates", "/lus/eagle/projects", "lustre"),
        ("/lus/eagle/projects", "/lus/eagle/projects", "lustre"),
        ("/lus/eagle/projects-of-others", "/", "overlay"),
        ("/local/scratch/../scratch/x", "/local/scratch", "xfs"),
        ("/home/u", "/home", "tmpfs"),
        ("/mnt/with space/x", "/mnt/with space", "fuse.sshfs"),
    ],
)
def test_mount_that_holds_a_path(path: str, point: str, type_: str, node: Callable[..., ProbeContext]) -> None:
    mount = holding(path, read_mounts(node("polaris")))
    assert mount is not None
    assert (mount.point, mount.type) == (point, type_)


def test_options_of_mount_and_file_system_are_joined(node: Callable[..., ProbeContext]) -> None:
    mount = holding("/lus/eagle/projects", read_mounts(node("polaris")))
    assert mount is not None
    assert mount.device == "172.16.0.1@o2ib:172.16.0.2@o2ib:/eagle"
    assert mount.options == "rw,nosuid,nodev,flock,lazystatfs"


def test_credentials_are_left_out(node: Callable[..., ProbeContext]) -> None:
    mount = holding("/mnt/dav", read_mounts(node("polaris")))
    assert mount is not None
    assert mount.device == "https://dav.example.org/x"
    assert mount.options == "rw,password=***,secretfile=***"


def test_lines_of_another_form_are_passed_over(copied_node: Callable[..., ProbeContext]) -> None:
    context = copied_node("polaris")
    (context.proc / "self/mountinfo").write_text("\n1 2 3\n22 1 0:20 / /proc rw\n30 1 0:25 / /a rw - ext4 /dev/a rw\n")
    assert [mount.point for mount in read_mounts(context)] == ["/a"]
    (context.proc / "self/mountinfo").unlink()
    assert read_mounts(context) == []
    assert holding("/a", []) is None
