"""Parsl's bash apps under ``@prov_worker.step``: composed and run by Parsl, with the command handed to the recorder.

Parsl runs ``remote_side_bash_executor`` on its worker: it calls the app's function for the command, and raises
``BashExitFailure`` or ``AppTimeout`` (``parsl.app.bash``, ``parsl.app.errors``).
"""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Callable
from typing import Any, cast

from prov_worker.interruptions import is_own
from prov_worker.recorder.context import running
from prov_worker.recorder.errors import log_internal_error

#: Looked up where whoever has a bash app has loaded them: nothing but the standard library is imported here.
_MODULE, _CLASS, _RUN = "parsl.app.bash", "BashApp", "remote_side_bash_executor"
_ERRORS, _WRAP = "parsl.app.errors", "wrap_error"
_REMOTE = "wrapped_remote_function"


def is_bash_app(app: Any) -> bool:
    """Return whether something is what ``parsl.bash_app`` makes of a function."""
    module = sys.modules.get(_MODULE)
    kind = None if module is None else vars(module).get(_CLASS)
    return kind is not None and kind in type(app).__mro__


def record_app(app: Any, recorded: Callable[[BashCommand], Callable[..., Any]]) -> None:
    """Have the calls of a bash app recorded on the workers.

    Args:
        app: changed.
        recorded: makes a recorded function of one.

    Raises:
        TypeError: this release of Parsl keeps the function elsewhere.
    """
    run = getattr(sys.modules[_MODULE], _RUN, None)
    wrap = getattr(sys.modules.get(_ERRORS), _WRAP, None)
    if run is None or wrap is None or not hasattr(app, _REMOTE):
        raise TypeError(f"step: {app!r}: the bash apps of this release of Parsl are not supported")
    setattr(app, _REMOTE, wrap(recorded(BashCommand(app.func, run))))


def is_bash_call(call: Any) -> bool:
    """Return whether something is the partial call that Parsl makes of the function of a bash app."""
    return isinstance(call, functools.partial) and getattr(call.func, "__name__", "") == _RUN and bool(call.args)


def bash_command(app: Any) -> Callable[..., Any] | None:
    """Return what a bash app is on its worker, with its command handed to the recorder; None if it is not a bash app.

    Args:
        app: what Parsl made of its function: a function around a partial call of Parsl's own.
    """
    call: Any = getattr(app, "__wrapped__", None)
    if not is_bash_call(call):
        return None
    wrap = getattr(importlib.import_module(_ERRORS), _WRAP)  # the app's function imports it as well
    return cast("Callable[..., Any]", wrap(BashCommand(call.args[0], call.func)))


class BashCommand:
    """Composes the command of a bash app and runs it, as Parsl does.

    Args:
        compose: the app's function, which returns the command.
        run: Parsl's function that takes it, and runs what it returns.
    """

    def __init__(self, compose: Callable[..., str], run: Callable[..., Any]) -> None:
        self._compose = compose
        self._run = run
        functools.update_wrapper(self, compose)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return what Parsl returns, or raise what it raises."""
        compose = self._compose

        @functools.wraps(compose)
        def composed(*args: Any, **kwargs: Any) -> str:
            command = compose(*args, **kwargs)
            task = running.task
            if task is not None:
                try:
                    task.composed(command, kwargs)
                except Exception as error:
                    if not is_own(error):
                        raise
                    log_internal_error("recording a command")
            return command

        return self._run(composed, *args, **kwargs)
