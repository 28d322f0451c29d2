"""What a preflight looks at: a site with its options, and where its endpoint would be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prov_worker import schedulers
from prov_worker.schedulers import Scheduler
from prov_worker.sites.catalog import Site


@dataclass(frozen=True, slots=True)
class Subject:
    """A site on this host.

    Attributes:
        site: its templates.
        values: all options, complete.
        engine: what the daemon loads, as a mapping.
        script: what the provider would submit.
        user_dir: Globus Compute's directory.
        name: of the endpoint; None if it has none yet.
        offline: whether the network is left alone.
    """

    site: Site
    values: Mapping[str, Any]
    engine: Mapping[str, Any]
    script: str
    user_dir: Path
    name: str | None = None
    offline: bool = False

    @property
    def provider(self) -> Mapping[str, Any]:
        """The engine's provider."""
        provider: Mapping[str, Any] = self.engine["provider"]
        return provider

    @property
    def scheduler(self) -> Scheduler | None:
        """The scheduler that the provider submits to; None if it uses none."""
        return schedulers.for_provider(str(self.provider["type"]))

    @property
    def crate_dir(self) -> Path:
        """Where crates appear."""
        return Path(self.values["crate_dir"] or self.user_dir / "provenance")
