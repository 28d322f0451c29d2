"""The sender: a thread per sink, so that one that is away or slow holds up no other."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Sequence

from prov_worker.errors import InputError
from prov_worker.redact import MARK
from prov_worker.spool.event_log import event_dir
from prov_worker.spool.paths import own_spools, spool_dir
from prov_worker.spool.stream_request import ask
from prov_worker.stream.lane import Lane
from prov_worker.stream.lease import Lease
from prov_worker.stream.positions import remove_passed, sink_file
from prov_worker.stream.sink import AwayError, RefusedError, password_of
from prov_worker.stream_url import StreamUrl

#: From the begin of one batch to that of the next: each costs this process a millisecond however small it is, and a
#: database a transaction; who looks at the database waits for a part of half a second.
_BATCH_S = 0.15
#: Pause after a look at logs that found nothing: it costs this process some 50 µs, and nobody else anything.
_LOOK_S = 0.04
#: Pauses while a sink is away.
_FIRST_RETRY_S, _LONGEST_RETRY_S = 0.25, 5.0
#: Pause while somebody has to see to it.
REFUSED_RETRY_S = 60.0
_LEASE_LOOK_S = 0.5
_TIDY_S = 10.0
_ASK_S = 3600.0

#: Takes a text, and what is put into it.
Say = Callable[..., None]


class Stream:
    """A lane in its own thread: holds the lease, sends, and tries again what is refused.

    Args:
        lane: what it sends.
        say: takes problems.
        password: what must not be in them.
    """

    def __init__(self, lane: Lane, say: Say, password: str | None = None) -> None:
        self.lane = lane
        self._say = say
        self._password = password
        self._lease = None if lane.is_ephemeral else Lease(sink_file(lane.directory, lane.url, ".lease"))
        self._problem = ""
        self._ending = threading.Event()
        self._until = float("inf")
        self._tidied = 0.0
        self._thread = threading.Thread(target=self._run, name=lane.url.scheme, daemon=True)

    @property
    def is_alive(self) -> bool:
        """Whether it still sends."""
        return self._thread.is_alive()

    @property
    def problem(self) -> str:
        """Why nothing is sent at present; empty if there is no reason."""
        return self._problem

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def end(self, within_s: float) -> None:
        """Have it send what is left, and end: once nothing is, or after some seconds. Does not wait."""
        self._until = time.monotonic() + within_s
        self._ending.set()

    def join(self, timeout_s: float) -> None:
        """Wait for the end."""
        self._thread.join(timeout_s)

    def _run(self) -> None:
        retry_s = _FIRST_RETRY_S
        refused_at = -REFUSED_RETRY_S
        while True:
            ending = self._ending.is_set()
            now = time.monotonic()
            if now > self._until or (ending and now - refused_at < REFUSED_RETRY_S):
                break
            try:
                if not self._hold():
                    self._complain("another process sends to it")
                    self._ending.wait(_LEASE_LOOK_S)
                    if ending:
                        break
                    continue
                count = self.lane.step(self._hold)
            except BrokenPipeError:
                break  # the reader of standard output has seen enough
            except (AwayError, OSError) as error:
                self._complain(str(error))
                self.lane.close()
                pause_s, retry_s = retry_s, min(2 * retry_s, _LONGEST_RETRY_S)
            except Exception as error:  # one sink must not end the others
                self._complain(str(error) if isinstance(error, RefusedError) else f"{type(error).__name__}: {error}")
                self.lane.close()
                pause_s, refused_at = REFUSED_RETRY_S, time.monotonic()
            else:
                if self._problem:
                    self._say("%s: takes events again", self.lane.url.text)
                self._problem, retry_s = "", _FIRST_RETRY_S
                self._tidy()
                if ending and not count:
                    break  # nothing came after the end was known
                pause_s = max(_LOOK_S, now + _BATCH_S - time.monotonic()) if count else _LOOK_S
            if ending:
                time.sleep(min(pause_s, _FIRST_RETRY_S))
            else:
                self._ending.wait(pause_s)
        self.lane.close()
        if self._lease is not None:
            with contextlib.suppress(OSError):
                self._lease.let_go()

    def _hold(self) -> bool:
        return time.monotonic() <= self._until and (self._lease is None or self._lease.hold())

    def _complain(self, problem: str) -> None:
        """Say what is wrong once for as long as it stays the same."""
        text = problem.replace(self._password, MARK) if self._password else problem
        text = " ".join(text.split())
        if text != self._problem:
            self._problem = text
            self._say("%s: events wait: %s", self.lane.url.text, text)

    def _tidy(self) -> None:
        if time.monotonic() - self._tidied > _TIDY_S and not self.lane.is_ephemeral:
            self._tidied = time.monotonic()
            remove_passed(self.lane.directory)


class Sender:
    """Sends the events of a crate directory to sinks.

    Args:
        crate_dir: the directory.
        urls: addresses of the sinks.
        say: takes problems: a text, and what is put into it.
        strict: raise what is wrong with one of the addresses; else say it, and go on with the others.

    Raises:
        InputError, MissingExtraError: as ``strict`` says.
    """

    def __init__(self, crate_dir: str, urls: Sequence[StreamUrl], say: Say, *, strict: bool = False) -> None:
        self.directories = event_directories(crate_dir)
        self.streams: list[Stream] = []
        self._asked = 0.0
        for url in urls:
            for directory in self.directories:
                try:
                    self.streams.append(Stream(Lane(directory, url), say, password_of(url)))
                except InputError as error:
                    if strict:
                        raise
                    say("%s: no events are sent there: %s", url.text, error)

    @property
    def is_alive(self) -> bool:
        """Whether one of the sinks is still sent to."""
        return any(stream.is_alive for stream in self.streams)

    def start(self) -> None:
        """Begin.

        Raises:
            OSError: it cannot be stored that there are these sinks.
        """
        for stream in self.streams:
            # Known before the first of them sends: what the others have passed waits for it.
            stream.lane.positions.advance({})
        for stream in self.streams:
            stream.start()

    def ask(self) -> None:
        """Ask the agents of the directory for events, now and then.

        Raises:
            OSError: that cannot be noted.
        """
        if not self._asked or time.monotonic() - self._asked > _ASK_S:
            self._asked = time.monotonic()
            for directory in self.directories:
                ask(directory)

    def end(self, within_s: float) -> None:
        """Send what is left, for some seconds at most, and wait for that."""
        until = time.monotonic() + within_s
        for stream in self.streams:
            stream.end(within_s)
        for stream in self.streams:
            stream.join(max(0.0, until - time.monotonic()) + 1.0)


def event_directories(crate_dir: str) -> list[str]:
    """Return the directories of event logs of a crate directory; the one that is to be made if there is none."""
    return [event_dir(spool) for spool in own_spools(crate_dir) or [spool_dir(crate_dir)]]
