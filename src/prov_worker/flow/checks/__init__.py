"""Checks of a flow, without the service: one module per check, which registers it.

A check yields what it finds, and yields nothing of what another check is for: what is not a state, or not text, is said
once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prov_worker.flow.findings import Draft
from prov_worker.flow.states import Flow
from prov_worker.registry import Registry

Check = Callable[[Flow], Iterator[Draft]]
#: Checks by name, in the order in which people read what they find.
CHECKS: Registry[Check] = Registry("prov_worker.flow.checks")
