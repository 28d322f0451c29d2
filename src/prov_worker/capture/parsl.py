"""Parsl: each app that is run is a step with a crate of its own, on whatever executor, also if its worker is killed.

What Parsl hands to an executor is replaced by :class:`RecordedApp`, which is the app where this package is installed on
the worker, and unpacks to the app alone where it is not: nothing that an app does depends on it. Its id follows from
Parsl's run and the number of its task, so that a retry is a further attempt. An app whose result comes from the memo is
not run, and is not a step; who needs its result needs the step that made it. The body of a join app is a step like any
other, of which the apps that it starts are parts (parsl, "Apps", "Memoization", "Join apps").
"""

from __future__ import annotations

import functools
import json
import os
import threading
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from prov_worker.capture import CAPTURES, Library
from prov_worker.capture_settings import Capture
from prov_worker.interruptions import is_own
from prov_worker.recorder.bash_apps import BashCommand, bash_command, is_bash_call
from prov_worker.recorder.context import CONTEXT, running
from prov_worker.recorder.current_task import current_task
from prov_worker.recorder.errors import guarded, log_internal_error
from prov_worker.recorder.of_thread import recorder_for
from prov_worker.recorder.parts import part_provenance
from prov_worker.recorder.step import Step, size_of

_KERNEL = "DataFlowKernel"
_LAUNCH, _NOTE = "launch_task", "_update_task_state"
#: In Parsl's record of a task: the task of Globus Compute, or the join app, that it is a part of.
_PARENT = "prov_worker_part_of"
#: Executors whose apps are tasks of Globus Compute: these are recorded where they run.
_ELSEWHERE = ("GlobusComputeExecutor",)
#: Of an app that is unpacked where this package, or this module of it, is missing, the app alone is left.
_UNPACK = (
    "(lambda app, call: __import__('prov_worker.capture.parsl', fromlist=['x']).RecordedApp(app, call) "
    "if (lambda find: find('prov_worker') and find('prov_worker.capture') and find('prov_worker.capture.parsl'))"
    "(__import__('importlib.util', fromlist=['x']).find_spec) else app)(app, call)"
)
_MAX_NEEDS = 1000
#: On functions of Parsl's that are replaced here.
_MARK = "_prov_worker_records"


def step_id(run_id: str, number: int) -> str:
    """Return the id of the step that a task of a run of Parsl is."""
    return str(uuid5(NAMESPACE_URL, f"parsl:{run_id}/{number}"))


class _Promise:
    """In the place of a future that a join app returns: asked for an attribute that it lacks, one submits an app."""

    def __repr__(self) -> str:
        return "<AppFuture>"


_Promise.__module__, _Promise.__qualname__ = "parsl.dataflow.futures", "AppFuture"


def _is_future(value: Any) -> bool:
    return any(kind.__name__ in ("AppFuture", "DataFuture") for kind in type(value).__mro__)


class RecordedApp:
    """An app on its way to a worker; called there, it is recorded.

    Args:
        app: the function that Parsl made of an app.
        call: ``{"id", "attempt", "part", "name", "join", "provenance", "endpoint"}``, plain data.
    """

    def __init__(self, app: Callable[..., Any], call: Mapping[str, Any]) -> None:
        self._app = app
        self._call = call
        for name in ("__name__", "__module__", "__doc__", "__qualname__"):  # executors look at some of these
            if hasattr(app, name):
                setattr(self, name, getattr(app, name))

    def __reduce__(self) -> tuple[Any, ...]:
        return eval, (_UNPACK, {"app": self._app, "call": dict(self._call)})

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return what the app returns; Parsl's apps return their exceptions, wrapped."""
        app = self._app
        recorder = None if running.task is not None else self._begin(args, kwargs)
        if recorder is None:
            return app(*args, **kwargs)
        try:
            value = (bash_command(app) or app)(*args, **kwargs)
        except Exception as error:
            guarded("the end of a Parsl app", _end, recorder, recorder.failed, error)
            raise
        except BaseException as error:
            guarded("the end of a Parsl app", recorder.escaped, error)
            raise
        failure = getattr(value, "e_value", None) if type(value).__name__ == "RemoteExceptionWrapper" else None
        if isinstance(failure, BaseException):
            guarded("the end of a Parsl app", _end, recorder, recorder.failed, failure)
        else:
            shown = _Promise() if self._call["join"] or _is_future(value) else value
            guarded("the end of a Parsl app", _end, recorder, recorder.returned, shown, size_of((shown,)))
        return value

    def _begin(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return the recorder, with a step begun; None if that is impossible here."""
        call = self._call
        try:
            recorder = recorder_for(call["provenance"], call["endpoint"])
            recorder.begin(call["id"], call["attempt"], None)
            function, name = _function_of(self._app, call["name"])
            size = size_of((*args, *kwargs.values()))
            recorder.called("", function, args, kwargs, size=size, name=name, part=json.dumps(call["part"]))
        except Exception as error:
            if not is_own(error):
                raise
            log_internal_error("the start of a Parsl app")
            return None
        return recorder


class Kernels:
    """What is done to Parsl's kernel, which hands apps to executors.

    Args:
        module: ``parsl.dataflow.dflow``.
    """

    def __init__(self, module: ModuleType) -> None:
        self._kernel = getattr(module, _KERNEL)
        self._local = threading.local()
        self._steps: dict[tuple[str, str], str] = {}
        self._provenance: tuple[str | None, tuple[dict[str, Any] | None, str | None]] | None = None

    def watch(self) -> None:
        """See each app as it is submitted, and as it is launched."""
        self._wrap(_NOTE, self._noting)
        self._wrap(_LAUNCH, self._launching)

    def _wrap(self, name: str, make: Callable[[Any], Any]) -> None:
        stock = getattr(self._kernel, name)
        if not hasattr(stock, _MARK):
            wrapped = functools.wraps(stock)(make(stock))
            setattr(wrapped, _MARK, True)
            setattr(self._kernel, name, wrapped)

    def _noting(self, stock: Any) -> Any:
        def update_task_state(kernel: Any, record: Any, *args: Any, **kwargs: Any) -> Any:
            if isinstance(record, dict) and _PARENT not in record:
                # for the first time: in the thread that submits the app
                guarded("a Parsl app that is submitted", self._note_parent, record)
            return stock(kernel, record, *args, **kwargs)

        return update_task_state

    @staticmethod
    def _note_parent(record: dict[str, Any]) -> None:
        task = current_task()
        record[_PARENT] = None if task is None else task.attempt.task_id

    def _launching(self, stock: Any) -> Any:
        def launch_task(kernel: Any, record: Any) -> Any:
            guarded("a Parsl app that is launched", self._watch_executor, kernel, record)
            self._local.record = record
            try:
                return stock(kernel, record)
            finally:
                self._local.record = None

        return launch_task

    def _watch_executor(self, kernel: Any, record: Any) -> None:
        executor = kernel.executors.get(record["executor"])
        if executor is None or type(executor).__name__ in _ELSEWHERE or hasattr(executor.submit, _MARK):
            return
        stock = executor.submit

        @functools.wraps(stock)
        def submit(app: Any, *args: Any, **kwargs: Any) -> Any:
            launched = getattr(self._local, "record", None)
            return stock(app if launched is None else self._recorded(app, launched), *args, **kwargs)

        setattr(submit, _MARK, True)
        executor.submit = submit

    def _recorded(self, app: Any, record: Any) -> Any:
        """Return an app as it is handed to an executor; the app itself if it cannot be recorded."""
        try:
            provenance, endpoint_id = self._provenance_here()
            if provenance is None:
                return app
            run_id, number = str(record["dfk"].run_id), record["id"]
            identifier = step_id(run_id, number)
            if isinstance(record.get("hashsum"), str):
                self._steps[run_id, record["hashsum"]] = identifier
            needs = self._needs(record)
            part = {"library": "parsl", "key": str(number), "of": record.get(_PARENT)}
            part |= {"needs": [key for key, _ in needs], "steps": [step for _, step in needs]}
            call = {"id": identifier, "attempt": record["fail_count"] + 1, "part": part, "name": record["func_name"]}
            call["join"] = bool(record.get("join"))
            return RecordedApp(app, call | {"provenance": provenance, "endpoint": endpoint_id})
        except Exception as error:
            if not is_own(error):
                raise
            log_internal_error("handing over a Parsl app")
            return app

    def _provenance_here(self) -> tuple[dict[str, Any] | None, str | None]:
        published = os.environ.get(CONTEXT)
        if self._provenance is None or self._provenance[0] != published:
            self._provenance = published, part_provenance("parsl")
        return self._provenance[1]

    def _needs(self, record: Any) -> list[tuple[str, str]]:
        """Return keys and ids of the steps whose results an app takes."""
        needs: dict[str, str] = {}
        for future in record["depends"][:_MAX_NEEDS]:
            # never by its attributes: asked for one that it lacks, a future submits an app
            made = vars(vars(future).get("parent") or future).get("task_record")  # of a file, its app
            if made is None:
                continue
            run_id = str(made["dfk"].run_id)
            identifier = step_id(run_id, made["id"])
            if made.get("from_memo"):
                remembered = self._steps.get((run_id, str(made.get("hashsum"))))
                if remembered is None:
                    continue  # of an earlier program's checkpoint
                identifier = remembered
            needs[str(made["id"])] = identifier
        return list(needs.items())


def _function_of(app: Any, name: str) -> tuple[Any, str]:
    """Return what a user wrote below Parsl's wrappers, and its name; of a bash app, what composes and runs it."""
    function = app
    for _ in range(32):
        if isinstance(function, Step) and function.name:
            name = function.name
        if isinstance(function, BashCommand):
            break
        if is_bash_call(function):
            return BashCommand(function.args[0], function.func), name
        inner = getattr(function, "__wrapped__", None)
        if inner is None:
            break
        function = inner
    return function, name


def _end(recorder: Any, tell: Callable[..., None], *args: Any) -> None:
    try:
        tell(*args)
    finally:
        recorder.finish()


def arrive(module: ModuleType, capture: Capture) -> str | None:
    """Watch Parsl's kernel from now on; returns why that cannot be."""
    kernel = getattr(module, _KERNEL, None)
    if not all(hasattr(kernel, name) for name in (_LAUNCH, _NOTE)):
        return "how this release launches apps is not known"
    Kernels(module).watch()
    return None


CAPTURES.add("parsl", Library(arrive=arrive))
