"""Checks of an endpoint: one module per check, which registers it.

A check names the probes that workers run for it (:mod:`prov_worker.diagnose.remote`), and judges what they said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from prov_worker.diagnose.evidence import Evidence
from prov_worker.finding import Finding
from prov_worker.registry import Registry


@dataclass(frozen=True, slots=True)
class Check:
    """One check.

    Attributes:
        probes: what workers run for it; the first is what it cannot do without.
        judge: yields findings. It is called if a first task has ended well; a check without probes, always.
    """

    probes: tuple[str, ...]
    judge: Callable[[Evidence], Iterator[Finding]]


#: Checks by name, in the order in which people read what they find.
CHECKS: Registry[Check] = Registry("prov_worker.diagnose.checks")
