"""The node's counters of energy, from whatever has some: one file per source, which registers it.

A module of this package that calls ``ENERGY_SOURCES.add`` is all that a source needs: the probe names its counters, and
the agent reads them while tasks run. GPUs have counters of their own: :mod:`prov_worker.probes.gpus`.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from prov_worker.probes.base import NoData, ProbeContext, ProbeError
from prov_worker.probes.energy.base import EnergyCounter, EnergySource
from prov_worker.registry import Registry

__all__ = ["ENERGY_SOURCES", "EnergyCounter", "EnergyInventory", "open_counters"]

log = logging.getLogger(__name__)

#: Sources by name. Of each subject, the first source that counts it is believed.
ENERGY_SOURCES: Registry[EnergySource] = Registry("prov_worker.probes.energy")


@dataclass
class EnergyInventory:
    """The counters of a node, open.

    Attributes:
        counters: one per subject.
        absent: why sources have nothing: their hardware or driver is not here.
        notes: why sources that are here cannot be read.
    """

    counters: list[EnergyCounter] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def close(self) -> None:
        """Close all counters."""
        for counter in self.counters:
            counter.close()


def open_counters(context: ProbeContext | None = None) -> EnergyInventory:
    """Return the counters of the node; never raises.

    Args:
        context: where to look; None takes the running machine.
    """
    inventory = EnergyInventory()
    try:
        for source in ENERGY_SOURCES:
            _take(source, ProbeContext() if context is None else context, inventory)
    except Exception:  # the sampler goes on without
        log.warning("energy is not measured", exc_info=True)
    return inventory


def _take(source: EnergySource, context: ProbeContext, inventory: EnergyInventory) -> None:
    try:
        counters = source.open(context)
    except NoData as error:
        inventory.absent.append(str(error))
        return
    # One source that misbehaves must not hide the counters of the others.
    except Exception as error:
        text = " ".join(str(error).split())
        inventory.notes.append(text if isinstance(error, ProbeError) else f"{type(error).__name__}: {text}")
        return
    subjects = {counter.subject for counter in inventory.counters}
    for counter in counters:
        if counter.subject in subjects:
            counter.close()
        else:
            inventory.counters.append(counter)
