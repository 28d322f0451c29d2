"""Which accelerators a worker was given, by its environment variables. Standard library only.

Sources: CUDA Programming Guide ("CUDA Environment Variables"), NVIDIA's guides of MPS ("CUDA_VISIBLE_DEVICES": clients
count what the server was given) and of MIG ("Device Enumeration"), ROCm documentation ("GPU isolation techniques"),
Level Zero specification ("Environment Variables").
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from prov_worker.accelerator_variables import HIERARCHY, ORDER, VARIABLES

#: CUDA and ROCm hide what follows it.
_NONE = "-1"


#: Which of them counts for the GPUs of a vendor; Parsl sets the first three at once, to one value.
_OF_VENDOR = {
    "nvidia": ("CUDA_VISIBLE_DEVICES",),
    "intel": ("ZE_AFFINITY_MASK",),
    "amd": ("HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES"),
}


class NodeGpus(NamedTuple):
    """What of a node's GPUs decides how they are counted.

    Attributes:
        vendor: ``nvidia``, ``intel`` or ``amd``; empty if it is not known, or not one.
        mixed: they are of more than one model, so that the fastest need not be the first one on the bus.
        partitioned: one of them is split into MIG instances: a process sees one instance, whatever number it names.
    """

    vendor: str = ""
    mixed: bool = False
    partitioned: bool = False


def node_gpus(devices: Iterable[tuple[str | None, str | None, bool]]) -> NodeGpus:
    """Return how the devices of a node are counted.

    Args:
        devices: vendor and model of each, and whether it is a part of another one.
    """
    devices = list(devices)
    vendors = {vendor for vendor, _, _ in devices}
    models = {model for _, model, is_part in devices if not is_part}
    vendor = next(iter(vendors)) if len(vendors) == 1 else None
    return NodeGpus(vendor or "", len(models) > 1, any(is_part for _, _, is_part in devices))


#: Nothing is known of them: the numbers are believed.
UNKNOWN_GPUS = NodeGpus()


def visible(environ: Mapping[str, str], gpus: NodeGpus = UNKNOWN_GPUS) -> list[str] | None:
    """Return the accelerators that a worker may use, as its variable names them; None if no variable restricts them.

    HIP counts what ROCm's runtime has left: ``HIP_VISIBLE_DEVICES=0`` beside ``ROCR_VISIBLE_DEVICES=2,3`` is 2.

    Args:
        environ: the worker's variables.
        gpus: the GPUs of its node.
    """
    name = _name(environ, gpus)
    if name is None:
        return None
    parts = _parts(environ[name])
    if name == "HIP_VISIBLE_DEVICES" and "ROCR_VISIBLE_DEVICES" in environ:
        left = _parts(environ["ROCR_VISIBLE_DEVICES"])
        return [left[int(part)] for part in parts if part.isdigit() and int(part) < len(left)]
    return parts


def visible_numbers(environ: Mapping[str, str], gpus: NodeGpus = UNKNOWN_GPUS) -> list[str] | None:
    """Return the numbers of the devices that a worker may use, each once; None if they are not known.

    CUDA and ROCm name devices by number or UUID, Level Zero as ``device`` or ``device.tile``; without
    ``ZE_FLAT_DEVICE_HIERARCHY=COMPOSITE`` a plain number of its is a tile's. CUDA's numbers are the node's if its GPUs
    are alike and whole, or if ``CUDA_DEVICE_ORDER=PCI_BUS_ID`` says so of whole ones.

    Args:
        environ: the worker's variables.
        gpus: the GPUs of its node.
    """
    name = _name(environ, gpus)
    parts = visible(environ, gpus)
    if name is None or parts is None:
        return None
    if name.startswith("ZE_") and environ.get(HIERARCHY) != "COMPOSITE" and any("." not in part for part in parts):
        return None
    if name.startswith("CUDA_") and (gpus.partitioned or (gpus.mixed and environ.get(ORDER) != "PCI_BUS_ID")):
        return None if parts else []
    numbers = list(dict.fromkeys(part.split(".")[0] for part in parts))
    return numbers if all(map(str.isdigit, numbers)) else None


def _name(environ: Mapping[str, str], gpus: NodeGpus) -> str | None:
    """Return the variable that counts."""
    names = _OF_VENDOR.get(gpus.vendor, ("HIP_VISIBLE_DEVICES", *VARIABLES))
    return next((name for name in names if name in environ), None)


def _parts(value: str) -> list[str]:
    parts = [part.strip() for part in value.split(",") if part.strip()]
    return parts[: parts.index(_NONE)] if _NONE in parts else parts


def held(environ: Mapping[str, str], present: Iterable[int], gpus: NodeGpus = UNKNOWN_GPUS) -> list[int] | None:
    """Return the numbers of those of a node's devices that a worker may use; None if it is not known which they are.

    Args:
        environ: the worker's variables.
        present: numbers of the node's devices.
        gpus: how they are counted.
    """
    devices = list(present)
    names, numbers = visible(environ, gpus), visible_numbers(environ, gpus)
    if numbers is not None:
        chosen = set(map(int, numbers))
        return [number for number in devices if number in chosen]
    if gpus.partitioned:
        return None
    return devices if names is None or 0 < len(devices) <= len(names) else None
