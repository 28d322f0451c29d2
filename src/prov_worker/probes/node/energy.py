"""What counts the node's energy, and what does not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from prov_worker.probes.base import NoData, ProbeContext, ProbeError
from prov_worker.probes.energy import open_counters
from prov_worker.settings import PROBES


@dataclass(frozen=True)
class EnergyProbe:
    """The counters that the agent reads while tasks run.

    Data: ``counters``, one entry per counter: ``subject`` (``node``, ``cpu`` or ``memory``) and ``source``; ``notes``,
    one line per source that is here and cannot be read.
    """

    name: str = "energy"
    time_limit_s: float = 5.0

    def take(self, context: ProbeContext) -> dict[str, Any]:
        """See :class:`~prov_worker.probes.base.Probe`."""
        inventory = open_counters(context)
        inventory.close()
        if not inventory.counters:
            if inventory.notes:
                raise ProbeError("; ".join(inventory.notes))
            raise NoData("; ".join(inventory.absent))
        counters = [{"subject": counter.subject, "source": counter.source} for counter in inventory.counters]
        return {"counters": counters, "notes": inventory.notes}


PROBES.add("energy", EnergyProbe)
