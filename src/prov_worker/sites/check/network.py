"""The interface that compute nodes connect to."""

from __future__ import annotations

from collections.abc import Iterator

from prov_worker.finding import Finding, failed, passed, warned
from prov_worker.sites import interface
from prov_worker.sites.check import CHECKS
from prov_worker.sites.check.context import Subject

_LINE = "interface"


def check(subject: Subject) -> Iterator[Finding]:
    """Yield whether the option ``interface`` names one of this host, with an address that compute nodes may reach."""
    import psutil

    named = subject.values["interface"]
    if not named:
        observation = f"none is named: workers try each address of this host ({', '.join(interface.names())})"
        yield passed(_LINE, observation)
        return
    problem = interface.problem(named)
    if problem is not None:
        another = next((f"--set interface={name}, or " for name in interface.likely()), "")
        yield failed(_LINE, problem, f"{another}--set interface= to let workers try each address")
        return
    addresses = [
        str(address.address) for address in psutil.net_if_addrs().get(named, []) if address.family.name == "AF_INET"
    ]
    statistics = psutil.net_if_stats().get(named)
    if not addresses:
        yield failed(_LINE, f"{named} has no IPv4 address", "name another one: Globus Compute takes the IPv4 address")
    elif statistics is not None and not statistics.isup:
        yield failed(_LINE, f"{named} ({addresses[0]}) is down", "name another one")
    elif subject.scheduler and addresses[0].startswith("127."):
        observation = f"{named} ({addresses[0]}): compute nodes cannot reach it"
        yield warned(_LINE, observation, "name one that is on their network, unless this host is the compute node too")
    elif subject.scheduler:
        yield passed(
            _LINE,
            f"{named} ({addresses[0]}) of this host; compute nodes have to reach it, and may name theirs otherwise",
        )
    else:
        yield passed(_LINE, f"{named} ({addresses[0]})")


CHECKS.add("network", check, rank=40)
