"""The environment variables by which workers are given their accelerators. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping

#: CUDA, Level Zero, ROCm.
VARIABLES = ("CUDA_VISIBLE_DEVICES", "ZE_AFFINITY_MASK", "ROCR_VISIBLE_DEVICES")
#: Variables that say how those of :data:`VARIABLES` are to be read.
DETAILS = ("ZE_FLAT_DEVICE_HIERARCHY",)


def visible(environ: Mapping[str, str]) -> list[str] | None:
    """Return the accelerators that a worker may use, as its variable names them; None if no variable restricts them."""
    for name in VARIABLES:
        if name in environ:
            return [part.strip() for part in environ[name].split(",") if part.strip()]
    return None


def visible_numbers(environ: Mapping[str, str]) -> list[str] | None:
    """Return the numbers of the devices that a worker may use, each once; None if they are not known.

    CUDA and ROCm name devices by number or UUID, Level Zero as ``device`` or ``device.tile``.
    """
    parts = visible(environ)
    numbers = None if parts is None else [part.split(".")[0] for part in parts]
    return list(dict.fromkeys(numbers)) if numbers is not None and all(map(str.isdigit, numbers)) else None
