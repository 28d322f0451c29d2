"""Provenance for Globus Compute: every task leaves a validated RO-Crate behind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from prov_worker.run.api import open_run

__all__ = ["__version__", "open_run"]


def __getattr__(name: str) -> Any:
    # Imported when used: workers import this package, and must not pay for what they never use.
    if name == "open_run":
        from prov_worker.run.api import open_run

        return open_run
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
