"""``@prov_worker.step``: functions that leave a crate outside Globus Compute too, in plain Python, Parsl or Dask.

Recording is switched on by ``PROV_WORKER=1`` and configured by ``PROV_WORKER_*``, as everywhere. Within a task that is
being recorded already, a step is a plain call: the task's crate is the record.
"""

from __future__ import annotations

import errno
import functools
import inspect
import os
import sys
import types
import uuid
from collections.abc import Callable
from typing import Any, TypeVar, overload

from prov_worker.errors import SettingsError
from prov_worker.interruptions import is_own
from prov_worker.recorder.bash_apps import is_bash_app, record_app
from prov_worker.recorder.context import running
from prov_worker.recorder.errors import guarded, log, log_internal_error
from prov_worker.recorder.provenance import provenance_of_environment

_Function = TypeVar("_Function", bound=Callable[..., Any])
_UNREAD: dict[str, Any] = {}
_provenance: dict[str, Any] | None = _UNREAD


@overload
def step(function: _Function) -> _Function: ...


@overload
def step(*, name: str | None = None) -> Callable[[_Function], _Function]: ...


def step(function: Any = None, *, name: str | None = None) -> Any:
    """Record every call of a function as a step: arguments, result, outcome, usage and samples, in a crate of its own.

    ::

        @prov_worker.step
        def fit(table): ...

    What the function returns and raises is untouched. Without ``PROV_WORKER=1`` a call costs one test more.

    Args:
        function: the function, or what ``parsl.bash_app`` makes of one; not a coroutine function, whose calls would
            mingle in one thread.
        name: goes by this name instead of its own.

    Raises:
        TypeError: it is a coroutine function, or a bash app of a release of Parsl that keeps it otherwise.
    """
    if function is None:
        return functools.partial(step, name=name)
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(f"step: {function!r} is a coroutine function; decorate the plain functions that it calls")

    if is_bash_app(function):
        record_app(function, lambda command: Step(command, name))
        return function
    return Step(function, name)


class Step:
    """A function whose calls are recorded; it travels to workers as its function does.

    Made by :func:`step`. An object, and no function around a function: dill and cloudpickle would pack such a one with
    all that this module holds. One that can be imported is packed by name, any other with its function.
    """

    def __init__(self, function: Callable[..., Any], name: str | None) -> None:
        self._function = function
        self._name = name
        functools.update_wrapper(self, function)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function, recorded if recording is on and no task is being recorded yet."""
        if _provenance is None or running.task is not None:
            return self._function(*args, **kwargs)
        return _record(self._function, self._name, args, kwargs)

    @property
    def name(self) -> str | None:
        """What it goes by instead of its own name; None for that."""
        return self._name

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """Return a method of the instance, as functions of a class do."""
        return self if instance is None else types.MethodType(self, instance)

    def __reduce__(self) -> str | tuple[Any, ...]:
        module = self._function.__module__
        value: Any = None if module == "__main__" else sys.modules.get(module)
        for part in self._function.__qualname__.split("."):
            value = getattr(value, part, None)
        return self._function.__qualname__ if value is self else (Step, (self._function, self._name))

    def __repr__(self) -> str:
        return f"<step {self._name or self._function.__qualname__}>"


def _record(function: Callable[..., Any], name: str | None, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    recorder = _begin(function, name, args, kwargs)
    if recorder is None:
        return function(*args, **kwargs)
    try:
        value = function(*args, **kwargs)
    except Exception as error:
        _end(recorder, recorder.failed, error)
        raise
    except BaseException as error:
        guarded("the end of a step", recorder.escaped, error)
        raise
    _end(recorder, recorder.returned, value, size_of((value,)))
    return value


def _begin(function: Callable[..., Any], name: str | None, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Return the recorder, with a task begun; None if recording is off or impossible."""
    global _provenance
    from prov_worker.recorder.of_thread import recorder_for

    try:
        if _provenance is _UNREAD:
            _provenance = _settled()
        if _provenance is None:
            return None
        recorder = recorder_for(_provenance, None)
        recorder.begin(uuid.uuid4(), 1, None)
        recorder.called("", function, args, kwargs, size=size_of((*args, *kwargs.values())), name=name)
    except Exception as error:
        if not is_own(error):
            raise
        _provenance = None if _provenance is _UNREAD else _provenance
        log_internal_error("the start of a step")
        return None
    return recorder


def _settled() -> dict[str, Any] | None:
    """Read ``PROV_WORKER_*``; without ``PROV_WORKER_CRATE_DIR`` crates go to ``./provenance``.

    What is wrong with them is logged for the user who runs the program: nobody else looks here.
    """
    try:
        provenance = provenance_of_environment(os.path.abspath("provenance"))
    except SettingsError as error:
        log.warning("recording is off: %s", error)
        return None
    if provenance is not None:
        directory = provenance["settings"]["crate_dir"]
        try:
            os.makedirs(directory, mode=0o700, exist_ok=True)
            if not os.access(directory, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        except OSError as error:
            if not is_own(error):
                raise
            log.warning(
                "recording: no crate can appear in %s: %s; `prov-worker recover` finishes them once one can",
                directory,
                error.strerror,
            )
    return provenance


def _end(recorder: Any, tell: Callable[..., None], *args: Any) -> None:
    guarded("the end of a step", tell, *args)
    guarded("the end of a step", recorder.finish)


def size_of(values: tuple[Any, ...]) -> int:
    """Return bytes of the text and buffers among values: what hashing them would read."""
    total = 0
    for value in values:
        if isinstance(value, (str, bytes, bytearray)):
            total += len(value)
        else:
            size = getattr(value, "nbytes", 0)
            total += size if isinstance(size, int) else 0
    return total
