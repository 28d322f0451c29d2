from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

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
