"""What a task's own GPUs do at one moment, of what was read of all GPUs of the node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from prov_worker import accelerators

#: Sums over the GPUs of a task, in the order of the readings of :meth:`prov_worker.agent.node_meter.GpuMeters.latest`.
SUMS = ("gpu_percent", "gpu_memory_bytes", "gpu_power_watts")


def gpu_sums(
    gpus: Mapping[int, Sequence[float]],
    environ: Mapping[str, str],
    counting: accelerators.NodeGpus = accelerators.UNKNOWN_GPUS,
) -> dict[str, float]:
    """Return use (percent; 100 is one GPU), memory in use (bytes) and power (W) of the GPUs that a worker may use.

    Each is the sum over those that tell it, and is left out if none does. All of it is of the GPUs, whoever uses them.

    Args:
        gpus: readings by number: utilisation (percent), memory in use (bytes), power (W), and more; or NaN.
        environ: variables that restrict accelerators (:mod:`prov_worker.accelerators`).
        counting: how the node's GPUs are counted.
    """
    sums: dict[str, float] = {}
    numbers = accelerators.held(environ, gpus, counting) or ()
    for place, name in enumerate(SUMS):
        values = [value for number in numbers if (value := gpus[number][place]) == value]
        if values:
            sums[name] = int(sum(values)) if name.endswith("_bytes") else round(sum(values), 1)
    return sums
