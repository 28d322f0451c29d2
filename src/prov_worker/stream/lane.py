"""One sink and one directory of event logs: what was reported goes out in batches, and it is stored how far that is."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence

from prov_worker.spool.event_log import LogName, log_names, read_lines
from prov_worker.stream.events import Event
from prov_worker.stream.positions import Positions, sink_file
from prov_worker.stream.sink import Sink, make_sink
from prov_worker.stream_url import StreamUrl

#: A batch ends at the first of the two.
_BATCH_EVENTS, _BATCH_BYTES = 2000, 1 << 20
_CLOCKS_S = 60.0


class Lane:
    """Brings events of one directory to one sink.

    Args:
        directory: of the event logs.
        url: address of the sink.

    Raises:
        InputError, MissingExtraError: as of :func:`~prov_worker.stream.sink.make_sink`.

    Attributes:
        sent: events that the sink has got from this process.
        odd: lines of logs that are not events, and were left out.
    """

    def __init__(self, directory: str, url: StreamUrl) -> None:
        self.directory = directory
        self.url = url
        self.sent = 0
        self.odd = 0
        self._sink: Sink = make_sink(url)
        self._open = False
        self.positions = Positions(directory, None if self.is_ephemeral else sink_file(directory, url))
        self._finished: set[LogName] = set()
        self._listed: list[LogName] = []
        self._clocks_due = 0.0

    @property
    def is_ephemeral(self) -> bool:
        """Whether the sink remembers nothing, as standard output: it gets all events that there are each time."""
        return self.url.text == "jsonl:-"

    def names(self) -> list[LogName]:
        """Return the logs that may have events for this sink.

        Raises:
            OSError: they cannot be listed.
        """
        self._listed = log_names(self.directory)
        self._finished.intersection_update(self._listed)
        return [name for name in self._listed if name not in self._finished]

    def step(self, beat: Callable[[], bool] = lambda: True) -> int:
        """Send what there is, batch by batch; return how many events that was.

        Args:
            beat: called before each batch; no more is sent once it says no.

        Raises:
            AwayError, RefusedError: the sink takes none.
            OSError: a log cannot be read, or the position cannot be stored.
        """
        count = 0
        more = True
        while more and beat():
            events, offsets, more = self._read()
            if not offsets:
                break
            if events:
                self._connect()
                self._sink.send(events)
            self.positions.advance(offsets, self._listed)
            count += len(events)
            self.sent += len(events)
            if events:
                self._compare_clocks()
        return count

    def _compare_clocks(self) -> None:
        if time.monotonic() >= self._clocks_due:
            self._sink.compare_clocks()
            self._clocks_due = time.monotonic() + _CLOCKS_S

    def waiting(self) -> int:
        """Return how many events the sink does not have yet.

        Raises:
            OSError: a log cannot be read.
        """
        count = 0
        for name in self.names():
            offset = self.positions[name]
            while True:
                lines, offset = read_lines(os.path.join(self.directory, str(name)), offset, _BATCH_BYTES)
                if not lines:
                    break
                count += len(lines)
        return count

    def _connect(self) -> None:
        if self._open:
            return
        try:
            self._sink.open()
        except BaseException:
            self._sink.close()  # of what was opened before it failed
            raise
        self._open = True

    def close(self) -> None:
        """Disconnect."""
        if self._open:
            self._open = False
            self._sink.close()

    def _read(self) -> tuple[Sequence[Event], dict[LogName, int], bool]:
        """Read a batch: its events, how far logs are read then, and whether more may be left."""
        events: list[Event] = []
        offsets: dict[LogName, int] = {}
        space = _BATCH_BYTES
        names = self.names()
        latest = {name.place: name for name in names}
        for name in names:
            offset = self.positions[name]
            lines, after = read_lines(os.path.join(self.directory, str(name)), offset, space)
            if not lines:
                if latest[name.place] != name and offset and self._is_over(name, offset):
                    self._finished.add(name)
                continue
            if len(events) + len(lines) > _BATCH_EVENTS:
                lines = lines[: _BATCH_EVENTS - len(events)]
                after = offset + sum(len(line) + 1 for line in lines)
            parsed = [Event.parse(line) for line in lines]
            events += [event for event in parsed if event is not None]
            self.odd += parsed.count(None)
            offsets[name] = after
            space -= after - offset
            if space <= 0 or len(events) >= _BATCH_EVENTS:
                return events, offsets, True
        return events, offsets, False

    def _is_over(self, name: LogName, offset: int) -> bool:
        """Return whether nothing is left of a log that has a successor of its place: no writer goes back to it."""
        try:
            status = os.stat(os.path.join(self.directory, str(name)), follow_symlinks=False)
        except OSError:
            return False
        return status.st_size == offset
