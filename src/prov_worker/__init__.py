"""Provenance for Globus Compute: every task leaves a validated RO-Crate behind."""

from __future__ import annotations

__version__ = "0.2.0"

# The hook in every interpreter's start imports this package: not even `typing` may come with it.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from prov_worker.crate.community import open_crate
    from prov_worker.recorder.annotations import annotate, generated, name_run, used
    from prov_worker.recorder.step import step
    from prov_worker.run.api import open_run

__all__ = ["__version__", "annotate", "generated", "name_run", "open_crate", "open_run", "step", "used"]

_HOMES = {
    "annotate": "prov_worker.recorder.annotations",
    "generated": "prov_worker.recorder.annotations",
    "name_run": "prov_worker.recorder.annotations",
    "open_crate": "prov_worker.crate.community",
    "open_run": "prov_worker.run.api",
    "step": "prov_worker.recorder.step",
    "used": "prov_worker.recorder.annotations",
}


def __getattr__(name: str) -> object:
    # Imported when used: workers import this package, and must not pay for what they never use.
    if name in _HOMES:
        from importlib import import_module

        value = globals()[name] = getattr(import_module(_HOMES[name]), name)
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
