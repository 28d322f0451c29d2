from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from prov_worker.probes import ProbeContext
from prov_worker.probes.cgroup import cpu_limit, memory_limit


def test_v1_takes_the_tightest_limit_on_the_way_up(node: Callable[..., ProbeContext]) -> None:
    context = node("cgroup_v1")
    assert memory_limit(context) == ("v1", 8_589_934_592)
    assert cpu_limit(context) == 4.0


def test_v2_takes_the_tightest_limit_on_the_way_up(node: Callable[..., ProbeContext]) -> None:
    context = node("cgroup_v2")
    assert memory_limit(context) == ("v2", 4_294_967_296)
    assert cpu_limit(context) == 1.5


def test_group_of_the_host_seen_from_a_container(copied_node: Callable[..., ProbeContext]) -> None:
    """Without a cgroup namespace the path does not exist here; the mount itself is the container's group."""
    context = copied_node("cgroup_v2")
    (context.proc / "self/cgroup").write_text("0::/docker/0123456789ab\n")
    (context.sys / "fs/cgroup/memory.max").write_text("1073741824\n")
    assert memory_limit(context) == ("v2", 1 << 30)
    (context.proc / "self/cgroup").write_text("0::/../../elsewhere\n")
    assert memory_limit(context) == ("v2", 1 << 30)


def test_no_limit(copied_node: Callable[..., ProbeContext]) -> None:
    context = copied_node("cgroup_v1")
    (context.proc / "self/cgroup").write_text("11:memory:/slurm\n10:cpu,cpuacct:/\n")
    assert memory_limit(context) == ("v1", None)
    assert cpu_limit(context) is None


def test_version_2_without_the_controller_holds_nothing(copied_node: Callable[..., ProbeContext]) -> None:
    context = copied_node("cgroup_v2")
    (context.sys / "fs/cgroup/cgroup.controllers").write_text("cpuset pids\n")
    assert memory_limit(context) == (None, None)


def test_no_control_groups(tmp_path: Path) -> None:
    context = ProbeContext(proc=tmp_path, sys=tmp_path, environ={})
    assert memory_limit(context) == (None, None)
    assert cpu_limit(context) is None


def described(root: Path, files: dict[str, str]) -> ProbeContext:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return ProbeContext(proc=root / "proc", sys=root / "sys", etc=root / "etc", environ={})


V1 = "sys/fs/cgroup"
QUOTA, PERIOD = "cpu.cfs_quota_us", "cpu.cfs_period_us"


def test_group_below_the_root_of_the_mount(tmp_path: Path) -> None:
    """A job in a container that sees its own group while /proc has the host's path; the job's limit is the tightest."""
    context = described(
        tmp_path,
        {
            "proc/self/cgroup": "6:memory:/docker/9f3e/job_41\n5:cpu,cpuacct:/docker/9f3e/job_41\n",
            "proc/self/mountinfo": "40 30 0:31 /docker/9f3e /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n"
            "41 30 0:32 /docker/9f3e /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup rw,cpu,cpuacct\n",
            f"{V1}/memory/memory.limit_in_bytes": str(16 << 30),
            f"{V1}/memory/job_41/memory.limit_in_bytes": str(2 << 30),
            f"{V1}/cpu,cpuacct/{QUOTA}": "800000",
            f"{V1}/cpu,cpuacct/{PERIOD}": "100000",
            f"{V1}/cpu,cpuacct/job_41/{QUOTA}": "200000",
            f"{V1}/cpu,cpuacct/job_41/{PERIOD}": "100000",
        },
    )
    assert memory_limit(context) == ("v1", 2 << 30)
    assert cpu_limit(context) == 2.0


def test_order_of_controllers(tmp_path: Path) -> None:
    """CentOS 7 names them in another order than the directory."""
    files = {
        "proc/self/cgroup": "8:cpuacct,cpu:/job_41\n",
        "proc/self/mountinfo": "41 30 0:32 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpuacct,cpu\n",
        f"{V1}/cpu,cpuacct/job_41/{QUOTA}": "250000",
        f"{V1}/cpu,cpuacct/job_41/{PERIOD}": "100000",
    }
    assert cpu_limit(described(tmp_path / "a", files)) == 2.5
    del files["proc/self/mountinfo"]
    assert cpu_limit(described(tmp_path / "b", files)) == 2.5


@pytest.mark.parametrize("point", ["/cgroup/memory", "/dev/cgroup", "/sys/fs/cgroup/memory"])
def test_mount_elsewhere(point: str, tmp_path: Path) -> None:
    context = described(
        tmp_path,
        {
            "proc/self/cgroup": "4:memory:/torque/77\n",
            "proc/self/mountinfo": f"40 30 0:31 / {point} rw - cgroup cgroup rw,memory\n",
            f"{point[1:]}/torque/77/memory.limit_in_bytes": str(3 << 30),
        },
    )
    assert memory_limit(context) == ("v1", 3 << 30)


def test_version_2_mounted_elsewhere(tmp_path: Path) -> None:
    context = described(
        tmp_path,
        {
            "proc/self/cgroup": "0::/job_41/task\n",
            "proc/self/mountinfo": "40 30 0:31 / /mnt/groups rw - cgroup2 none rw\n",
            "mnt/groups/cgroup.controllers": "cpu memory",
            "mnt/groups/job_41/memory.max": str(5 << 30),
            "mnt/groups/job_41/task/memory.max": "max",
        },
    )
    assert memory_limit(context) == ("v2", 5 << 30)


@pytest.mark.parametrize(
    ("root", "path", "limit"),
    [
        ("/a", "/a/b", 1 << 30),
        ("/a", "/a", 7 << 30),
        ("/a", "/aa/b", None),  # a group of another name
        ("/a/c", "/a", None),  # the mount shows a group below: it binds others
        ("/..", "/b", 7 << 30),  # a name between them is not known: the mount's own group binds
        ("/..", "/../b", 1 << 30),
        ("/", "/../../b", 7 << 30),
    ],
)
def test_root_of_the_mount_and_path_of_the_group(root: str, path: str, limit: int | None, tmp_path: Path) -> None:
    """cgroup_namespaces(7): paths are those below the name space's root, and ``..`` above it."""
    context = described(
        tmp_path,
        {
            "proc/self/cgroup": f"0::{path}\n",
            "proc/self/mountinfo": f"40 30 0:31 {root} /sys/fs/cgroup rw - cgroup2 none rw\n",
            "sys/fs/cgroup/memory.max": str(7 << 30),
            "sys/fs/cgroup/b/memory.max": str(1 << 30),
        },
    )
    assert memory_limit(context) == ("v2", limit)


def test_group_without_hierarchy_binds_itself_alone(tmp_path: Path) -> None:
    context = described(
        tmp_path,
        {
            "proc/self/cgroup": "4:memory:/a/b\n",
            f"{V1}/memory/a/memory.limit_in_bytes": str(1 << 30),
            f"{V1}/memory/a/memory.use_hierarchy": "0",
            f"{V1}/memory/a/b/memory.limit_in_bytes": str(2 << 30),
            f"{V1}/memory/a/b/memory.use_hierarchy": "0",
        },
    )
    assert memory_limit(context) == ("v1", 2 << 30)
