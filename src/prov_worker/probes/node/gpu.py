"""The node's GPUs, as the sources of :mod:`prov_worker.probes.gpus` list them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from prov_worker.probes.base import NoData, ProbeContext, ProbeError
from prov_worker.probes.gpus import list_gpus
from prov_worker.settings import PROBES


@dataclass(frozen=True)
class GpuProbe:
    """Models, memory and drivers of the GPUs.

    Data: ``devices``, a list of ``index`` and what :func:`~prov_worker.probes.gpus.base.description` names, None if
    unknown; and ``notes``, one line for each source that should have answered and did not.
    """

    name: str = "gpu"
    time_limit_s: float = 30.0

    def take(self, context: ProbeContext) -> dict[str, Any]:
        """See :class:`~prov_worker.probes.base.Probe`."""
        inventory = list_gpus(context)
        try:
            if not inventory.devices:
                if inventory.notes:
                    raise ProbeError("; ".join(inventory.notes))
                raise NoData(f"no GPU: {'; '.join(inventory.absent)}")
            devices = [{"index": index, **device.describe()} for index, device in inventory.devices]
            return {"devices": devices, "notes": inventory.notes}
        finally:
            inventory.close()


PROBES.add("gpu", GpuProbe)
