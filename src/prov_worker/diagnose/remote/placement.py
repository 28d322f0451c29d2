"""Where a worker stands: it waits until all tasks of the check are there, so that each is on a worker of its own."""

from __future__ import annotations

import glob
import os
import shutil
import time
from typing import Any

#: Variables by which a worker learns its accelerator; the first that is set counts.
MASKS = ("ZE_AFFINITY_MASK", "CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES")
_LOOK_S = 0.02


def probe_placement(request: dict[str, Any]) -> dict[str, Any]:
    """Wait for the others, then say which CPUs and accelerators this worker has.

    Args:
        request: ``tasks``, how many there are; ``number`` of this one; ``nonce``, which names their meeting;
            ``hold_s``, how long to wait for the others.
    """
    answer = _meet(meeting_directory(request["nonce"]), request["number"], request["tasks"], request["hold_s"])
    cpus = sorted(os.sched_getaffinity(0))
    answer["cpus"] = cpus
    answer["cores"] = sorted({min(_cpu_list(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list") or [cpu])
                              for cpu in cpus})  # fmt: skip
    answer["node_cpus"] = os.cpu_count()
    answer["numa_nodes"] = _numa_nodes(cpus)
    answer["masks"] = {name: os.environ[name] for name in MASKS if name in os.environ}
    answer["gpu_numa_nodes"] = _gpu_numa_nodes()
    return answer


def meeting_directory(nonce: str) -> str:
    """Return where the tasks meet: beside their sandboxes, or in their directory; nodes of an endpoint share it."""
    sandbox = os.environ.get("GC_TASK_SANDBOX_DIR")
    return os.path.join(os.path.dirname(sandbox) if sandbox else os.getcwd(), ".prov-worker-diagnose-" + nonce)


def _meet(directory: str, number: int, tasks: int, hold_s: float) -> dict[str, Any]:
    """Arrive, and stay until all are there, or until somebody has waited too long: then nobody waits again.

    Returns ``most``, how many were there at one time at least; ``arrived_ns`` and ``left_ns``, since the epoch.
    """
    os.makedirs(directory, mode=0o700, exist_ok=True)
    here, gone = os.path.join(directory, f"here-{number}"), os.path.join(directory, f"gone-{number}")
    arrived_ns, begin, most = time.time_ns(), time.monotonic(), 1  # before others can see it, and leave
    open(here, "w").close()
    while True:
        names = os.listdir(directory)
        most = max(most, sum(name.startswith("here-") for name in names))
        if "all" in names or most >= tasks:
            most = tasks
            open(os.path.join(directory, "all"), "w").close()
            break
        if "given-up" in names:
            break
        if time.monotonic() - begin > hold_s:
            open(os.path.join(directory, "given-up"), "w").close()
            break
        time.sleep(_LOOK_S)
    left_ns = time.time_ns()
    os.rename(here, gone)
    if sum(name.startswith("gone-") for name in os.listdir(directory)) == tasks:
        shutil.rmtree(directory, ignore_errors=True)
    return {"most": most, "arrived_ns": arrived_ns, "left_ns": left_ns}


def _cpu_list(path: str) -> list[int]:
    """Return CPUs of a file of the kernel such as ``0-3,8``; none if it cannot be read."""
    try:
        with open(path) as stream:
            parts = [part.partition("-") for part in stream.read().strip().split(",") if part]
        return [cpu for first, _, last in parts for cpu in range(int(first), int(last or first) + 1)]
    except (OSError, ValueError):
        return []


def _numa_nodes(cpus: list[int]) -> list[int]:
    nodes = []
    for path in glob.glob("/sys/devices/system/node/node[0-9]*"):
        if set(cpus).intersection(_cpu_list(path + "/cpulist")):
            nodes.append(int(path.rpartition("node")[2]))
    return sorted(nodes)


def _gpu_numa_nodes() -> list[int]:
    """Return the NUMA node of each GPU, in the order of PCI addresses, in which masks count; -1: not known."""
    devices = set()
    for path in glob.glob("/proc/driver/nvidia/gpus/*"):
        devices.add("/sys/bus/pci/devices/" + os.path.basename(path))
    for path in glob.glob("/sys/class/drm/card[0-9]*/device"):
        driver = os.path.basename(os.path.realpath(path + "/driver"))
        if driver in ("i915", "xe", "amdgpu", "nvidia"):
            devices.add("/sys/bus/pci/devices/" + os.path.basename(os.path.realpath(path)))
    nodes = []
    for device in sorted(devices):
        try:
            with open(device + "/numa_node") as stream:
                nodes.append(int(stream.read()))
        except (OSError, ValueError):
            nodes.append(-1)
    return nodes
