"""The product's own rules for step crates, by subject; each file registers its rules.

A rule is a function that yields what breaks it. They are on the standard library, and look at what the community's
validator does not notice.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from prov_worker.crate.findings import Finding
from prov_worker.crate.reader import Entity
from prov_worker.crate.sources import Source
from prov_worker.registry import Registry

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


class Checked(NamedTuple):
    """A crate that is being checked.

    Attributes:
        source: where it lies.
        graph: its entities.
    """

    source: Source
    graph: list[Entity]


def is_absolute(identifier: str) -> bool:
    """Return whether an id is an absolute URI, as of what lies outside the crate."""
    return _SCHEME.match(identifier) is not None


#: Rules by name.
RULES: Registry[Callable[[Checked], Iterator[Finding]]] = Registry("prov_worker.crate.rules")
