"""Tell errors of the recorder from what strikes the user's code while the recorder runs.

A time limit ends a task by an exception: of a signal's handler, which runs between any two instructions
(:func:`signal.signal`), or of another thread (``PyThreadState_SetAsyncExc``, as Parsl's ``timeout`` and with it
``GC_TASK_TIMEOUT`` do). Either may come while the recorder works, and belongs to the user. So what catches errors on
the task's path asks first::

    except Exception as error:
        if not is_own(error):
            raise
"""

from __future__ import annotations

import functools
import opcode
import signal
import sys
from types import CodeType, FrameType, TracebackType
from typing import Any

_RAISES = {opcode.opmap[name] for name in ("RAISE_VARARGS", "RERAISE") if name in opcode.opmap}


def is_own(error: BaseException) -> bool:
    """Return whether an error that is being handled comes of what the recorder did, with the objects that it was given.

    Args:
        error: caught in code of this package; its traceback begins there.
    """
    trace: TracebackType | None = error.__traceback__
    frames = []
    last = trace
    while trace is not None:
        frames.append(trace.tb_frame)
        last, trace = trace, trace.tb_next
    if last is None:
        return True
    if any(map(_is_handler_of, frames[1:], frames)) or not _handlers().isdisjoint(frame.f_code for frame in frames):
        return False
    return not _is_thrown_in(error, last)


def _is_handler_of(frame: FrameType, caller: FrameType) -> bool:
    """Return whether a frame is of a handler that interrupted another: it was given that as an argument."""
    for value in frame.f_locals.values():
        if value is caller or (type(value) is tuple and any(item is caller for item in value)):
            return True
    return False


def _is_thrown_in(error: BaseException, last: TracebackType) -> bool:
    """Return whether another thread set it: no statement raised it, without arguments or of the user's kind."""
    if last.tb_frame.f_code.co_code[last.tb_lasti] in _RAISES or isinstance(error, MemoryError):
        return False
    module = type(error).__module__.partition(".")[0]
    return not error.args or module not in ("builtins", __name__.partition(".")[0], *sys.stdlib_module_names)


def _handlers() -> set[CodeType]:
    """Return code of the handlers of signals that are installed."""
    codes = set()
    for number in signal.valid_signals():
        try:
            code = _code_of(signal.getsignal(number))
        except (OSError, ValueError):
            continue
        if code is not None:
            codes.add(code)
    return codes


def _code_of(handler: Any) -> CodeType | None:
    while isinstance(handler, functools.partial):
        handler = handler.func
    code = getattr(getattr(handler, "__func__", handler), "__code__", None)
    if code is None and callable(handler):
        code = getattr(vars(type(handler)).get("__call__"), "__code__", None)
    return code if isinstance(code, CodeType) else None
