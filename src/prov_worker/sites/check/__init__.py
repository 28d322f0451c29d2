"""Preflight of a site on the host that its endpoint is to run on: one module per check, which registers it.

A check only looks. What it finds is a line with a remedy: compute nodes differ from login nodes, and a host may hide
what it has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prov_worker.finding import Finding
from prov_worker.registry import Registry
from prov_worker.sites.check.context import Subject

#: Checks by name, in the order in which people read what they find.
CHECKS: Registry[Callable[[Subject], Iterator[Finding]]] = Registry("prov_worker.sites.check")
