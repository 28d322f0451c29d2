"""How far each sink is in the event logs of a directory, and which logs nobody needs any more.

``events/sinks/<kind>-<digest of the address>.json`` has, by log, the bytes that the sink has for good. The address
itself is in no file.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection

from prov_worker.files import write_file
from prov_worker.spool.event_log import LogName, log_names, read_lines, remove_log
from prov_worker.spool.own_files import make_private, read_own
from prov_worker.spool.paths import places_here
from prov_worker.stream_url import StreamUrl

_SINKS = "sinks"
_SUFFIX = ".json"
#: Enough of the end of a log to see whether a line is left.
_LOOK_BYTES = 1 << 20


def sink_file(directory: str, url: StreamUrl, suffix: str = _SUFFIX) -> str:
    """Return the path of a file of a sink, of which the address is known by its digest alone.

    Args:
        directory: of the event logs.
        url: address of the sink.
        suffix: of the file's name.
    """
    digest = hashlib.sha256(url.text.encode()).hexdigest()[:16]
    return os.path.join(directory, _SINKS, f"{url.sink}-{digest}{suffix}")


class Positions:
    """How far one sink is.

    Args:
        directory: of the event logs.
        path: of the file; None for a sink that begins at the beginning each time.
    """

    def __init__(self, directory: str, path: str | None) -> None:
        self._directory = directory
        self._path = path
        self._offsets = {} if path is None else _read(path)

    def __getitem__(self, name: LogName) -> int:
        return self._offsets.get(str(name), 0)

    def advance(self, offsets: dict[LogName, int], there: Collection[LogName] | None = None) -> None:
        """Note what the sink has for good now, and forget logs that are gone.

        Args:
            offsets: bytes by log.
            there: the logs that there are; None looks.

        Raises:
            OSError: that cannot be written; it is known for the rest of this process all the same.
        """
        self._offsets.update({str(name): offset for name, offset in offsets.items()})
        if self._path is None:
            return
        names = set(map(str, log_names(self._directory) if there is None else there))
        self._offsets = {name: offset for name, offset in self._offsets.items() if name in names}
        text = json.dumps(self._offsets, sort_keys=True)
        if there is None:
            self._make_folder()
        try:
            write_file(self._path, text, mode=0o600)
        except FileNotFoundError:
            self._make_folder()
            write_file(self._path, text, mode=0o600)

    def _make_folder(self) -> None:
        assert self._path is not None
        folder = os.path.dirname(self._path)
        make_private(os.path.dirname(folder))
        make_private(folder)


def remove_passed(directory: str) -> list[str]:
    """Remove the logs that every sink of a directory has passed and nobody writes to; return their paths."""
    folder = os.path.join(directory, _SINKS)
    try:
        sinks = [_read(os.path.join(folder, name)) for name in os.listdir(folder) if name.endswith(_SUFFIX)]
        names = log_names(directory)
    except OSError:
        return []
    removed = []
    here = places_here()
    for name in names if sinks else ():
        path = os.path.join(directory, str(name))
        offset = min(sink.get(str(name), 0) for sink in sinks)
        if _is_at_end(path, offset) and remove_log(path, here):
            removed.append(path)
    return removed


def _is_at_end(path: str, offset: int) -> bool:
    try:
        return not read_lines(path, offset, _LOOK_BYTES)[0]
    except OSError:
        return False


def _read(path: str) -> dict[str, int]:
    try:
        value = json.loads(read_own(path))
    except (OSError, ValueError):
        return {}
    if not isinstance(value, dict):
        return {}
    return {name: offset for name, offset in value.items() if isinstance(offset, int) and offset >= 0}
