"""What a sink is: something that takes events, and says once it has them for good."""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from prov_worker.errors import InputError, MissingExtraError, ProvWorkerError
from prov_worker.files import read_private
from prov_worker.stream.events import Event
from prov_worker.stream_url import PASSWORD_FILE, SINKS, StreamUrl

#: After so many seconds without an answer a server is away.
TIMEOUT_S = 10.0


class AwayError(ProvWorkerError):
    """A sink that does not take events now and may do so soon: it is away, full or busy."""


class RefusedError(ProvWorkerError):
    """A sink that takes no events until somebody sees to it, such as for a wrong password."""


class Sink(Protocol):
    """Takes events.

    A sink is made with its address and a password, which is None if there is none; that imports what it needs, and
    connects to nothing.
    """

    def open(self) -> None:
        """Connect, and make what is missing.

        Raises:
            AwayError, RefusedError: as they say.
        """

    def send(self, events: Sequence[Event]) -> None:
        """Take events; the sink has them for good once this returns. Those that it has already do no harm.

        Raises:
            AwayError, RefusedError: as they say; some of the events may have been taken.
        """

    def compare_clocks(self) -> None:
        """Note, with the events, how far the sink's clock is from that of this node; nothing if it tells none.

        Raises:
            AwayError, RefusedError: as of :meth:`send`.
        """

    def close(self) -> None:
        """Disconnect; does not raise."""


def make_sink(url: StreamUrl) -> Sink:
    """Return the sink of an address; nothing is connected to.

    Raises:
        InputError: its password is in a file that cannot be read, or is open to others; a parameter is wrong.
        MissingExtraError: what it needs is not installed.
    """
    sink: Sink = SINKS[url.sink](url, password_of(url))
    return sink


def password_of(url: StreamUrl) -> str | None:
    """Return the password for an address: from its variable, else from its private file; None if there is none.

    Raises:
        InputError: the file cannot be read, or is open to others.
    """
    password = os.environ.get(url.variable)
    path = url.parameters.get(PASSWORD_FILE)
    if not password and path:
        password = read_private(Path(path).expanduser(), "passwords").strip("\r\n")
    return password or None


def need(module: str, sink: str) -> Any:
    """Import what a sink needs; its extra is named as the sink is.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError(f"events to {sink} need {module.partition('.')[0]}", sink, error) from error


def check_parameters(url: StreamUrl, names: Sequence[str]) -> dict[str, str]:
    """Return the parameters of an address.

    Raises:
        InputError: one is unknown.
    """
    parameters = url.parameters
    for name in parameters:
        if name not in names and name != PASSWORD_FILE:
            raise InputError(f"{url.text}: unknown parameter {name!r}; expected {', '.join((*names, PASSWORD_FILE))}")
    return parameters


def clock_offset(ask: Callable[[], float]) -> tuple[float, float]:
    """Return how far the clock of a sink is ahead of this node's, and within what that is right: seconds.

    The answer is taken to have been made half way between question and answer, as in
    https://www.rfc-editor.org/rfc/rfc5905#section-8

    Args:
        ask: gives the time of the sink, s since the epoch.
    """
    before, began = time.time(), time.monotonic()
    there = ask()
    within_s = (time.monotonic() - began) / 2
    return round(there - before - within_s, 6), round(within_s, 6)
