"""Makes the engines known to Globus Compute by name, and wraps the stock worker helper.

Globus Compute builds an engine with ``getattr(globus_compute_endpoint.engines, type)`` (its module
``endpoint/config/dispatch.py``), so ``engine: {type: ProvenanceEngine}`` works in a template once that package has the
attribute. And its engines run every task through ``globus_compute_endpoint.engines.helper.execute_task``.

:func:`install` is called by one line in ``prov_worker_hook.pth``, which Python's :mod:`site` runs at the start of an
interpreter and which does nothing but test ``PROV_WORKER`` and the name of the program; or by
``import prov_worker.globus.register``. Standard library only; Globus Compute is imported by nobody but itself.
"""

from __future__ import annotations

import os
import sys

from prov_worker.arrivals import before_first, when_imported

# Every interpreter under PROV_WORKER=1 loads this module: it imports nothing that is not there already.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

ENGINES = "globus_compute_endpoint.engines"
BASE = "globus_compute_endpoint.engines.base"
HELPER = "globus_compute_endpoint.engines.helper"
#: Parsl's kernel: making one is what a program does that runs apps.
KERNEL = ("parsl.dataflow.dflow", "DataFlowKernel")
ENGINE_NAMES = ("ProvenanceEngine", "ProvenanceMPIEngine")


def name_engines(engines: ModuleType) -> None:
    """Give the package of engines the names in :data:`ENGINE_NAMES`, imported when they are first asked for."""
    upstream = engines.__dict__.get("__getattr__")
    if getattr(upstream, "__module__", None) == __name__:
        return

    def __getattr__(name: str) -> Any:  # noqa: N807
        if name in ENGINE_NAMES:
            from prov_worker.globus import engine

            value = getattr(engine, name)
            setattr(engines, name, value)
            return value
        if upstream is not None:
            return upstream(name)
        raise AttributeError(f"module {engines.__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:  # noqa: N807
        return sorted({*engines.__dict__, *ENGINE_NAMES})

    engines.__dict__["__getattr__"] = __getattr__
    engines.__dict__["__dir__"] = __dir__


def wrap_helper(helper: ModuleType) -> None:
    """Put the recording helper in the place of the stock one, if ``PROV_WORKER`` asks for it.

    Runs right after the helper's module: before ``engines/base.py`` copies the name.
    """
    stock = helper.execute_task
    if not os.environ.get("PROV_WORKER") or hasattr(stock, "__wrapped__"):
        return
    from prov_worker.settings import switched_on

    if switched_on():
        from prov_worker.globus import worker

        recording = worker.wrap(stock)
        helper.__dict__["execute_task"] = recording
        # Loaded before the hook, by the explicit way: then its copy of the name is the stock helper.
        base = sys.modules.get(BASE)
        if base is not None and base.__dict__.get("execute_task") is stock:
            base.__dict__["execute_task"] = recording


_ACTIONS: dict[str, Callable[[ModuleType], None]] = {ENGINES: name_engines, HELPER: wrap_helper}


def _watch_apps(module: ModuleType) -> None:
    """Have the apps of a program of Parsl's recorded."""
    try:
        from prov_worker.recorder.libraries import watch_alone

        watch_alone(module)
    except Exception:
        _warn(module.__name__)


def _act(module: ModuleType) -> None:
    """Do what is to be done to a module; stock behaviour is what remains when that fails."""
    try:
        _ACTIONS[module.__name__](module)
    except Exception:
        _warn(module.__name__)


def _warn(name: str) -> None:
    """Say that a module stays as it is; called while an exception is handled."""
    import logging

    log = logging.getLogger(__name__)
    log.warning("prov_worker could not hook into %s; tasks run unrecorded", name, exc_info=True)


def install() -> None:
    """Act on Globus Compute's modules, and Parsl's: at once on those that are loaded, else when they are imported."""
    for name in (HELPER, ENGINES):
        when_imported(name, _act)
    if os.environ.get("PROV_WORKER"):
        before_first(*KERNEL, _watch_apps)
