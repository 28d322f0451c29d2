"""What is an error of the recorder, and what strikes while it runs."""

from __future__ import annotations

import ctypes
import functools
import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from prov_worker.files import sha256_of_file
from prov_worker.interruptions import is_own
from prov_worker.recorder.annotations import Notes


class LimitError(Exception):
    """A time limit of the user's own kind."""


def caught(call: Callable[[], Any]) -> BaseException:
    """What a call raises, as the recorder sees it: without the frames of this function and of the test's."""
    with pytest.raises(Exception) as caught:  # noqa: PT011 - which one is what tests look at
        call()
    trace = caught.value.__traceback__
    assert trace is not None
    assert trace.tb_next is not None
    return caught.value.with_traceback(trace.tb_next.tb_next)


@pytest.fixture
def alarm() -> Iterator[Callable[[Any], None]]:
    before = signal.getsignal(signal.SIGALRM)

    def install(handler: Any) -> None:
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, 0.02)

    yield install
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def spin() -> None:
    """Work within the package until something strikes."""
    notes = Notes()
    until = time.monotonic() + 20
    while time.monotonic() < until:
        notes.annotate({"key": "x" * 1000})


def raising(error: BaseException) -> Callable[..., None]:
    def handler(*_: Any) -> None:
        raise error

    return handler


def once(*_: Any) -> None:
    """Take itself off before it raises."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    raise TimeoutError("over")


class Handler:
    """A handler that is an object."""

    def __call__(self, *_: Any) -> None:
        raise TimeoutError("over")

    def method(self, *_: Any) -> None:
        raise TimeoutError("over")


@pytest.mark.parametrize(
    "handler",
    [
        raising(LimitError("over")),
        raising(TimeoutError("over")),
        raising(ValueError()),
        functools.partial(raising(TimeoutError("over")), None),
        once,
        Handler(),
        Handler().method,
    ],
)
def test_what_a_signals_handler_raises_is_the_users(alarm: Callable[[Any], None], handler: Any) -> None:
    alarm(handler)
    assert not is_own(caught(spin))


def test_it_is_within_a_text_that_the_user_gave(alarm: Callable[[Any], None]) -> None:
    class Slow:
        def __repr__(self) -> str:
            spin()
            return "slow"

    alarm(raising(TimeoutError("over")))
    assert not is_own(caught(lambda: Notes().annotate({"key": Slow()})))


@pytest.mark.parametrize("kind", [LimitError, TimeoutError, RuntimeError])
def test_what_another_thread_throws_in_is_the_users(kind: type[Exception]) -> None:
    target = ctypes.c_ulong(threading.get_ident())
    timer = threading.Timer(0.05, ctypes.pythonapi.PyThreadState_SetAsyncExc, (target, ctypes.py_object(kind)))
    timer.start()
    error = caught(spin)
    timer.join()
    assert type(error) is kind
    assert not is_own(error)


class Odd:
    """An object whose own methods fail."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __repr__(self) -> str:
        raise self.error

    def __fspath__(self) -> str:
        raise self.error


def test_a_function_that_the_user_has_replaced_is_called_by_the_recorder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.path.abspath", raising(OSError("no such thing")))
    assert is_own(caught(lambda: Notes().use("file")))


@pytest.mark.parametrize(
    "call",
    [
        lambda: sha256_of_file("/nowhere/at/all"),
        lambda: json.loads("{"),
        lambda: Notes().use(7),
        lambda: Notes().annotate({"key": Odd(ValueError())}),
        lambda: Notes().use(Odd(LimitError("its own"))),
    ],
)
def test_what_the_recorder_does_wrong_is_its_own(call: Callable[[], Any]) -> None:
    assert is_own(caught(call))
