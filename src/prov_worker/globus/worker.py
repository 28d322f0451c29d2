"""Upstream's worker helper, wrapped: the same call, the same result bytes, and a record beside it.

Upstream's ``globus_compute_endpoint.engines.helper.execute_task`` is called, never copied. What it deserialises and
serialises is seen through the two names that it looks up in its own module: its serialiser, which is replaced by a
subclass that looks on, and the two functions that turn an exception into an error. If one of these names is
missing in another release, the record says less and the task runs all the same.
"""

from __future__ import annotations

import functools
import json
import logging
import os
import pickle
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any

from prov_worker.interruptions import is_own
from prov_worker.recorder.context import running
from prov_worker.recorder.errors import guarded, log_internal_error
from prov_worker.recorder.of_thread import recorder_for
from prov_worker.recorder.recorder import Recorder

_lock = threading.Lock()
_stock: Callable[..., bytes] | None = None
#: What came with the last task, pickled, and its content, which nobody changes.
_last_sent: tuple[bytes, Mapping[str, Any]] = b"", {}


def execute_task(
    task_body: bytes,
    task_id: Any,
    endpoint_id: Any = None,
    *,
    provenance: Mapping[str, Any] | bytes | None = None,
    **kwargs: Any,
) -> bytes:
    """Run one task as upstream's helper does, and record it.

    Args:
        task_body: packed ``Task`` message.
        task_id: ``uuid.UUID`` or text.
        endpoint_id: likewise; None if it is not known.
        provenance: ``{"key", "settings", "attempt", "function_id", "endpoint_name"}`` and ``run``, ``limit_ns`` and
            ``once`` if the task has them, pickled as the engine sends it or as it is; None records nothing.
        **kwargs: upstream's own, passed on untouched.

    Returns:
        The very bytes that upstream's helper returned.
    """
    stock = _stock or _prepare()
    if provenance is None:
        return stock(task_body, task_id, endpoint_id, **kwargs)
    claimed_by = 0
    try:
        if isinstance(provenance, bytes):
            provenance = _unpickled(provenance)
        if provenance.get("once"):
            from prov_worker.globus import runs_once

            refusal = runs_once.begin(provenance, task_id, endpoint_id)
            if refusal is not None:
                return refusal
            claimed_by = os.getpid()
        recorder = recorder_for(provenance, endpoint_id)
        sandbox = _sandbox(task_id, kwargs) if kwargs.get("run_in_sandbox") else None
        field = provenance.get
        recorder.begin(
            task_id, field("attempt") or 1, field("function_id"), sandbox, field("run"), field("limit_ns") or 0
        )
    except Exception as error:
        if not is_own(error):
            raise
        log_internal_error("the start of a record")
        return stock(task_body, task_id, endpoint_id, **kwargs)
    before = running.observer  # a task that runs a task, as tests do
    running.observer, recorder.seen = recorder, False
    try:
        result = stock(task_body, task_id, endpoint_id, **kwargs)
    except BaseException as error:
        guarded("the end of a record", recorder.escaped, error)
        raise
    finally:
        running.observer = before
    if claimed_by:
        runs_once.keep(provenance, task_id, result, claimed_by)
    try:
        if not recorder.seen:
            _read_outcome(recorder, result)
        recorder.finish()
    except Exception as error:
        if not is_own(error):
            raise
        log_internal_error("the end of a record")
    return result


def _unpickled(provenance: bytes) -> Mapping[str, Any]:
    """Return what an engine sent with a task: most often the very bytes that came with the one before."""
    global _last_sent
    last = _last_sent  # looked up once: another thread may replace it
    if provenance != last[0]:
        last = _last_sent = provenance, pickle.loads(provenance)
    return last[1]


def wrap(stock: Callable[..., bytes]) -> Callable[..., bytes]:
    """Run upstream's helper for engines that are not ours: settings come from ``PROV_WORKER_*`` of the worker.

    Args:
        stock: the function found in upstream's module. It stays reachable as ``__wrapped__``, and the result keeps its
            name and module, because engines send the helper to workers by name.
    """
    from prov_worker.globus.env_settings import provenance_of_endpoint

    @functools.wraps(stock)
    def recorded(task_body: bytes, task_id: Any, endpoint_id: Any = None, **kwargs: Any) -> bytes:
        try:
            provenance = provenance_of_endpoint(None if endpoint_id is None else str(endpoint_id))
        except Exception as error:
            if not is_own(error):
                raise
            log_internal_error("reading PROV_WORKER_* variables")
            provenance = None
        return execute_task(task_body, task_id, endpoint_id, provenance=provenance, **kwargs)

    return recorded


def _prepare() -> Callable[..., bytes]:
    """Find upstream's helper, put the onlookers in place, once per process."""
    global _stock
    from globus_compute_endpoint.engines import helper

    with _lock:
        if _stock is None:
            stock = helper.execute_task
            try:
                _observe(helper)
            except Exception as error:
                if not is_own(error):
                    raise
                log_internal_error("looking on at upstream's helper")
            _stock = getattr(stock, "__wrapped__", stock)
    return _stock


def _observe(helper: Any) -> None:
    serializer = helper.ComputeSerializer
    if not getattr(serializer, "prov_worker_onlooker", False):
        helper.ComputeSerializer = _onlooker(serializer)
        helper.log.addFilter(_unlink_own_frames_of_record)
    if not hasattr(helper.get_error_string, "__wrapped__"):
        helper.get_error_string = _error_onlooker(helper.get_error_string)


def _onlooker(serializer: Any) -> type:
    unpack, serialize = serializer.unpack_and_deserialize, serializer.serialize_from_list

    class ObservedSerializer(serializer):
        """Upstream's serialiser, which also tells the recorder of the running task what passes through."""

        prov_worker_onlooker = True

        def unpack_and_deserialize(self, packed_buffer: str) -> list[Any]:
            unpacked: list[Any] = unpack(self, packed_buffer)
            recorder = running.observer
            if recorder is not None:
                try:
                    function, args, kwargs = unpacked
                    recorder.called(packed_buffer, function, args, kwargs)
                except Exception as error:
                    if not is_own(error):
                        raise
                    log_internal_error("recording a call")
            return unpacked

        @staticmethod
        def serialize_from_list(data: Any, strategies: Any) -> str:
            serialized: str = serialize(data, strategies)
            recorder = running.observer
            if recorder is not None:
                recorder.seen = True
                try:
                    recorder.returned(data, len(serialized))
                except Exception as error:
                    if not is_own(error):
                        raise
                    log_internal_error("recording a result")
            return serialized

    own = {ObservedSerializer.unpack_and_deserialize.__code__, ObservedSerializer.serialize_from_list.__code__}
    _own_code.update(own)
    return ObservedSerializer


_own_code: set[Any] = set()


def _error_onlooker(get_error_string: Callable[..., str]) -> Callable[..., str]:
    @functools.wraps(get_error_string)
    def observed(*args: Any, **kwargs: Any) -> str:
        recorder = running.observer
        error = sys.exc_info()[1]
        if recorder is not None and error is not None:
            guarded("the traceback of a task", _unlink_own_frames, error)
        text = get_error_string(*args, **kwargs)
        if recorder is not None and error is not None:
            recorder.seen = True
            guarded("the end of a record", recorder.failed, error, text)
        return text

    return observed


def _unlink_own_frames(error: BaseException) -> None:
    """Take the onlooker's frames out of a traceback, so that the client reads what stock would have sent."""
    previous = error.__traceback__
    while previous is not None and previous.tb_next is not None:
        if previous.tb_next.tb_frame.f_code in _own_code:
            previous.tb_next = previous.tb_next.tb_next
        else:
            previous = previous.tb_next


def _unlink_own_frames_of_record(record: logging.LogRecord) -> bool:
    """Filter of upstream's logger: the traceback in its log is that of stock, too."""
    if record.exc_info and record.exc_info[1] is not None:
        guarded("the traceback of a task", _unlink_own_frames, record.exc_info[1])
    return True


def _read_outcome(recorder: Recorder, result: bytes) -> None:
    """Learn from the packed result what no onlooker saw, in a release whose names differ."""
    data = json.loads(result[1:])["data"]
    details = data.get("error_details")
    if details:
        recorder.failed(RuntimeError(details.get("user_message") or details.get("code")), data.get("data"))


def _sandbox(task_id: Any, kwargs: Mapping[str, Any]) -> str:
    return os.path.join(os.path.realpath(kwargs["run_dir"]), str(task_id))
