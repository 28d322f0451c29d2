"""The environment variables by which workers are given their accelerators. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping

#: CUDA, Level Zero, ROCm.
VARIABLES = ("CUDA_VISIBLE_DEVICES", "ZE_AFFINITY_MASK", "ROCR_VISIBLE_DEVICES")
#: Says whether Level Zero counts devices (``COMPOSITE``) or their tiles (``FLAT``, ``COMBINED``).
_HIERARCHY = "ZE_FLAT_DEVICE_HIERARCHY"
#: Variables that say how those of :data:`VARIABLES` are to be read.
DETAILS = (_HIERARCHY,)
#: CUDA and ROCm hide what follows it.
_NONE = "-1"


def visible(environ: Mapping[str, str]) -> list[str] | None:
    """Return the accelerators that a worker may use, as its variable names them; None if no variable restricts them."""
    for name in VARIABLES:
        if name in environ:
            parts = [part.strip() for part in environ[name].split(",") if part.strip()]
            return parts[: parts.index(_NONE)] if _NONE in parts else parts
    return None


def visible_numbers(environ: Mapping[str, str]) -> list[str] | None:
    """Return the numbers of the devices that a worker may use, each once; None if they are not known.

    CUDA and ROCm name devices by number or UUID, Level Zero as ``device`` or ``device.tile``; without
    ``ZE_FLAT_DEVICE_HIERARCHY=COMPOSITE`` a plain number of its is a tile's.
    """
    name = next((name for name in VARIABLES if name in environ), None)
    parts = visible(environ)
    if name is None or parts is None:
        return None
    if name.startswith("ZE_") and environ.get(_HIERARCHY) != "COMPOSITE" and any("." not in part for part in parts):
        return None
    numbers = list(dict.fromkeys(part.split(".")[0] for part in parts))
    return numbers if all(map(str.isdigit, numbers)) else None
