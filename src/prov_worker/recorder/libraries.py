"""Libraries that tasks use and whose work is recorded, without a line of the user's and without an import of ours.

What is recorded of a library stands in ``prov_worker.capture.<name>``, which is imported once the library itself has
been, and by nobody else. A worker whose tasks use none of them has one more finder of modules, and no import.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

from prov_worker.arrivals import before_first, when_imported
from prov_worker.interruptions import is_own
from prov_worker.recorder.errors import log, log_internal_error

if TYPE_CHECKING:
    from prov_worker.capture_settings import Capture

_PACKAGE = "prov_worker.capture"
#: Which import of a library it is that makes what is recorded of it be imported.
_AWAITED = {"torch": "torch"}
#: Libraries that workers import anyway: making an object of a class is what counts. Module and class.
_BEGUN = {"parsl": ("parsl.dataflow.dflow", "DataFlowKernel")}
#: As of :mod:`prov_worker.capture_settings`, which is not imported here.
_OFF = "off"
#: Has each worker of a Dask cluster import a module (distributed, "Customize Initialization").
DASK_PRELOAD = "DASK_DISTRIBUTED__WORKER__PRELOAD"
_DASK = f"{_PACKAGE}.dask"

#: Called with the recorder at the end of each task, before anything of the end is written.
ENDINGS: list[Callable[[Any], None]] = []


class _State:
    """What the settings say of libraries: None is the default."""

    capture: Capture | None = None
    watching = False


def watched() -> Capture:
    """Return what is recorded of libraries in this process."""
    from prov_worker.capture_settings import NOTHING, Capture  # workers that use none of them need no word of it

    return (_State.capture or Capture()) if _State.watching else NOTHING


def watch(capture: Capture | None) -> None:
    """Record the work of the libraries that the settings name, from now on; None takes the default, all of them."""
    _State.capture, _State.watching = capture, True
    if capture is None or capture.dask:
        _preload_dask()
    for library, module in _AWAITED.items():
        if _is_on(capture, library):
            when_imported(module, _arrived_for(library))
    for library, (module, kind) in _BEGUN.items():
        if _is_on(capture, library):
            before_first(module, kind, _arrived_for(library))


def _is_on(capture: Capture | None, library: str) -> bool:
    return capture is None or getattr(capture, library) not in (False, _OFF)


def watch_alone(module: ModuleType) -> None:
    """Record Parsl's apps in a program that is not a worker, as ``PROV_WORKER_*`` asks for it."""
    from prov_worker.settings import Settings, switched_on

    if not _State.watching and switched_on():
        _State.capture, _State.watching = Settings.from_environ().capture, True
    _arrived_for("parsl")(module)


def end_all(recorder: Any) -> None:
    """Tell libraries that a task has ended."""
    for ending in ENDINGS:
        try:
            ending(recorder)
        except Exception as error:
            if not is_own(error):
                raise
            log_internal_error("what a library did in a task")


def _arrived_for(library: str) -> Callable[[ModuleType], None]:
    def arrived(module: ModuleType) -> None:
        try:
            capture = watched()
            if not _is_on(capture, library):
                return
            reason = importlib.import_module(_PACKAGE).CAPTURES[library].arrive(module, capture)
            if reason:
                log.warning("recording: nothing is recorded of %s: %s", library, reason)
        except Exception as error:
            if not is_own(error):
                raise
            log_internal_error(f"preparing to record what {library} does")

    return arrived


def _preload_dask() -> None:
    """Have the workers of Dask clusters that a task starts import what records their tasks."""
    before = os.environ.get(DASK_PRELOAD, "")
    if _DASK in before:
        return
    modules = [_DASK]
    if before:
        try:
            import ast

            named = ast.literal_eval(before)
        except (ValueError, SyntaxError):
            named = before
        modules = [*(named if isinstance(named, (list, tuple)) else [named]), _DASK]
    os.environ[DASK_PRELOAD] = repr(modules)
    config = sys.modules.get("dask.config")
    if config is not None:  # it has read the environment already
        preload = list(config.get("distributed.worker.preload", []) or [])
        config.set({"distributed.worker.preload": [*preload, _DASK]})
