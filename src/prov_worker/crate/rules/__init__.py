"""The product's own rules for step crates, by subject; each file registers its rules.

A rule is a function that yields what breaks it. They are on the standard library, and look at what the community's
validator does not notice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from prov_worker.crate.graph import Entity
from prov_worker.crate.sources import Source
from prov_worker.crate.violations import Violation
from prov_worker.registry import Registry


class Checked(NamedTuple):
    """A crate that is being checked.

    Attributes:
        source: where it lies.
        graph: its entities.
    """

    source: Source
    graph: list[Entity]


#: Rules by name.
RULES: Registry[Callable[[Checked], Iterator[Violation]]] = Registry("prov_worker.crate.rules")
