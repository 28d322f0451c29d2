"""What a command did with each endpoint, and which endpoints it is for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from prov_worker.errors import InputError
from prov_worker.fleet.endpoint import ManagedEndpoint
from prov_worker.fleet.fleetfile import EndpointSpec, Fleet
from prov_worker.sites.install import DamagedError


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was done with one endpoint.

    Attributes:
        name: of the endpoint.
        action: in a word or two.
        detail: more about it.
        good: whether it is as it was asked for.
        diff: of its files, if they were or would be changed.
    """

    name: str
    action: str
    detail: str = ""
    good: bool = True
    diff: str = ""


def pick(
    fleet: Fleet, names: Sequence[str], *, take_over: bool = False, damaged: bool = False
) -> tuple[list[EndpointSpec], list[Outcome]]:
    """Return endpoints of this host that are the fleet's, and what is said of the others.

    Args:
        fleet: the file.
        names: of endpoints; none means all.
        take_over: also those that another fleet file looks after.
        damaged: also those whose marker is damaged, so that nobody can tell whose they are.

    Raises:
        InputError: an endpoint was asked for by its name and belongs to another host.
    """
    here, others = [], []
    for spec in fleet.chosen(names):
        folder = ManagedEndpoint(spec)
        try:
            host = folder.other_host()
            why = None if host is not None else folder.foreign(take_over=take_over)
        except InputError as error:
            # An error in one endpoint must not affect the others.
            if damaged and isinstance(error, DamagedError):
                here.append(spec)
            else:
                others.append(Outcome(spec.name, "refused", str(error), good=False))
            continue
        if host is not None and spec.name in names:
            raise InputError(f"{spec.name}: belongs to {host}; it is not touched from here")
        if host is not None:
            others.append(Outcome(spec.name, "not touched", f"belongs to {host}"))
        elif why is not None:
            others.append(Outcome(spec.name, "not touched", why, good=False))
        else:
            here.append(spec)
    return here, others


def ordered(fleet: Fleet, outcomes: Iterable[Outcome]) -> list[Outcome]:
    """Return outcomes in the order of the file."""
    return sorted(outcomes, key=lambda outcome: fleet.names.index(outcome.name))
