"""Dask: each task that a worker of a cluster runs is a step with a crate of its own, also if its worker is killed.

This module is what workers are asked to preload (:data:`prov_worker.recorder.libraries.DASK_PRELOAD`): Dask calls
:func:`dask_setup` in each, and a plugin does the rest (distributed, "Customize Initialization", "Plugins"). A step is
recorded in the thread that runs it, before its function is called, as steps and tasks are everywhere. Coroutine
functions mingle in one thread, and other executors run elsewhere: their tasks are not recorded.
"""

from __future__ import annotations

import functools
import hashlib
import sys
from collections.abc import Callable, Mapping
from json.encoder import encode_basestring_ascii as quote
from typing import Any
from uuid import NAMESPACE_URL, UUID

from prov_worker.capture import CAPTURES, Library
from prov_worker.interruptions import is_own
from prov_worker.recorder.context import context, running
from prov_worker.recorder.current_task import TaskOfSlot
from prov_worker.recorder.errors import guarded, log, log_internal_error
from prov_worker.recorder.of_thread import recorder_for
from prov_worker.recorder.parts import part_provenance
from prov_worker.recorder.step import size_of

NAME = "prov-worker"
_IDENTITY_S = 10.0
#: What runs a task in its thread, by release: since 2024.12 it takes a node of the graph, before it took a call.
_RUN_NODE, _RUN_CALL = "_run_task_simple", "apply_function_simple"


async def dask_setup(worker: Any) -> None:
    """Record the tasks of a worker. Called by Dask when the worker starts; never raises.

    Args:
        worker: ``distributed.Worker``.
    """
    try:
        provenance, endpoint_id = part_provenance("dask")
        if provenance is None:
            return
        add = getattr(worker, "plugin_add", None)
        if add is None:
            log.warning("recording: nothing is recorded of Dask: its workers of this release take no plugin")
            return
        # only what derives from Dask's own class is taken as a plugin
        base = sys.modules["distributed.diagnostics.plugin"].WorkerPlugin
        plugin = type("ProvenanceSteps", (Steps, base), {})
        steps = plugin(await _cluster_of(worker), provenance, endpoint_id, context().get("slot"))
        await add(plugin=steps, name=NAME)
    except Exception as error:
        if not is_own(error):
            raise
        log_internal_error("preparing to record Dask's tasks")


class StepIds:
    """Ids of the steps that the keys of a cluster are, the same wherever and whenever they are asked for.

    Those of ``uuid5(NAMESPACE_URL, f"dask:{cluster}/{key}")`` (RFC 9562, 5.5), in a third of its time.

    Args:
        cluster: what tells the cluster from others.
    """

    def __init__(self, cluster: str) -> None:
        self._begun = hashlib.sha1(NAMESPACE_URL.bytes + f"dask:{cluster}/".encode(), usedforsecurity=False)

    def __getitem__(self, key: Any) -> UUID:
        digest = self._begun.copy()
        digest.update(str(key).encode("utf-8", "surrogatepass"))
        return UUID(bytes=digest.digest()[:16], version=5)


class Steps:
    """A plugin of a worker (``distributed.diagnostics.plugin.WorkerPlugin``), which records the tasks it runs.

    Args:
        cluster: what tells the cluster from others.
        provenance: settings, as they travel with a task.
        endpoint_id: of the endpoint; None if there is none.
        slot: path of the slot of the worker whose task uses the cluster; None if there is none.
    """

    #: Workers of this process that have the plugin.
    _count = 0

    def __init__(self, cluster: str, provenance: Mapping[str, Any], endpoint_id: str | None, slot: str | None) -> None:
        self._ids = StepIds(cluster)
        self._provenance = provenance
        self._endpoint_id = endpoint_id
        self._user = None if slot is None else TaskOfSlot(slot)

    def setup(self, worker: Any) -> None:
        """Put the recording function in the place of Dask's own, once per process."""
        module = sys.modules["distributed.worker"]
        name = next((name for name in (_RUN_NODE, _RUN_CALL) if hasattr(module, name)), None)
        if name is None:
            log.warning("recording: nothing is recorded of Dask: how this release runs its tasks is not known")
            return
        Steps._count += 1
        run = getattr(module, name)
        if not hasattr(run, "__wrapped__"):
            setattr(module, name, _recording(run, name == _RUN_NODE, module))

    def teardown(self, worker: Any) -> None:
        """Put Dask's own function back, if this was the last worker of the process."""
        Steps._count -= 1
        module = sys.modules["distributed.worker"]
        for name in (_RUN_NODE, _RUN_CALL):
            run = getattr(module, name, None)
            if Steps._count <= 0 and hasattr(run, "__wrapped__"):
                setattr(module, name, run.__wrapped__)  # type: ignore[union-attr]

    def begin(self, key: Any, call: Call) -> Any:
        """Return the recorder of a task that is about to run."""
        parent = self._user.find() if self._user is not None else None
        of = "null" if parent is None else f'"{parent.attempt.task_id}"'
        needs = ",".join([quote(str(need)) for need in call.needs])
        steps = ",".join([f'"{self._ids[need]}"' for need in call.needs])
        part = f'{{"library":"dask","key":{quote(str(key))},"of":{of},"needs":[{needs}],"steps":[{steps}]}}'
        recorder = recorder_for(self._provenance, self._endpoint_id)
        recorder.begin(self._ids[key], 1, None)
        recorder.called(
            "",
            call.function,
            call.args,
            call.kwargs,
            size=size_of((*call.args, *call.kwargs.values())),
            name=_name(call.function, key),
            part=part,
        )
        return recorder


class Call:
    """A call that a Dask task is.

    Args:
        function: called.
        args, kwargs: what it is called with; what an earlier task returned, as it did.
        needs: keys of the tasks whose results these are.
    """

    __slots__ = ("args", "function", "kwargs", "needs")

    def __init__(self, function: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], needs: list[Any]) -> None:
        self.function = function
        self.args = args
        self.kwargs = dict(kwargs)
        self.needs = needs


def _recording(stock: Callable[..., Any], is_node: bool, module: Any) -> Callable[..., Any]:
    """Return Dask's function that runs a task, which also records it."""
    state = module.thread_state

    @functools.wraps(stock)
    def run(*args: Any, **kwargs: Any) -> Any:
        recorder = None if running.task is not None else _begin(state, args, is_node)
        if recorder is None:
            return stock(*args, **kwargs)
        try:
            message = stock(*args, **kwargs)
        except BaseException as error:
            guarded("the end of a Dask task", recorder.escaped, error)
            raise
        guarded("the end of a Dask task", _end, recorder, message)
        return message

    return run


def _begin(state: Any, args: tuple[Any, ...], is_node: bool) -> Any:
    """Return the recorder of the task that this thread is about to run; None if it cannot be recorded."""
    try:
        worker = getattr(state, "execution_state", {}).get("worker")
        steps = None if worker is None else worker.plugins.get(NAME)
        if steps is None:
            return None
        key = state.key
        call = _call_of_node(args[0], args[1]) if is_node else _call_of_arguments(worker, key, args)
        return None if call is None else steps.begin(key, call)
    except Exception as error:
        if not is_own(error):
            raise
        log_internal_error("the start of a Dask task")
        return None


def _end(recorder: Any, message: Mapping[str, Any]) -> None:
    try:
        if message.get("op") == "task-finished":
            recorder.returned(message.get("result"), message.get("nbytes") or 0)
        else:
            error = message.get("actual_exception", message.get("actual-exception"))  # before 2024.12
            recorder.failed(error if isinstance(error, BaseException) else RuntimeError(str(message.get("op"))))
    finally:
        recorder.finish()


def _call_of_node(node: Any, results: Mapping[Any, Any]) -> Call | None:
    """Return the call that a node of a graph is (``dask._task_spec.Task``); None for one that calls nothing."""
    function = getattr(node, "func", None)
    if function is None:
        return None
    args = tuple(_resolved(argument, results) for argument in node.args)
    kwargs = {name: _resolved(argument, results) for name, argument in (node.kwargs or {}).items()}
    return Call(function, args, kwargs, sorted(node.dependencies, key=str))


def _resolved(argument: Any, results: Mapping[Any, Any]) -> Any:
    kind = type(argument)
    if kind.__name__ in ("TaskRef", "Alias") and kind.__module__ == "dask._task_spec":
        return results.get(getattr(argument, "key", None), argument)
    return argument


def _call_of_arguments(worker: Any, key: Any, args: tuple[Any, ...]) -> Call:
    needs = [dependency.key for dependency in worker.state.tasks[key].dependencies]
    return Call(args[0], tuple(args[1]), args[2], sorted(needs, key=str))


def _name(function: Any, key: Any) -> str | None:
    """Return what a step goes by, if its function is one of Dask's own: what its key begins with."""
    if not str(getattr(function, "__module__", "")).startswith(("dask.", "distributed.")):
        return None
    from dask.utils import key_split

    return str(key_split(key))


async def _cluster_of(worker: Any) -> str:
    """Return what tells the cluster of a worker from all others: the id of its scheduler, or else its address."""
    import asyncio

    try:
        identity = await asyncio.wait_for(worker.scheduler.identity(), _IDENTITY_S)
        return str(identity["id"])
    except (OSError, LookupError, TypeError, asyncio.TimeoutError):
        return str(getattr(worker.scheduler, "address", ""))


CAPTURES.add("dask", Library())
