"""Who asks for events: settings, left by a worker in the runtime directory, and `prov-worker stream`, in the spool.

``<runtime>/stream.<digest>`` has the stream settings of some workers, as JSON: they come with tasks, and are in no
journal. ``<spool>/events/asked`` was touched by a `prov-worker stream` that follows the directory. An agent that sees
this makes ``<runtime>/stream.asked``, so that its sampler, which looks at the runtime directory only, sees it too.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from prov_worker.errors import SettingsError
from prov_worker.files import write_file
from prov_worker.settings import Settings
from prov_worker.spool.own_files import append_own, read_own
from prov_worker.stream_url import StreamUrl, stream_urls

#: Beginning of the names of requests.
PREFIX = "stream."
ASKED = "asked"
_ASKED_HERE = PREFIX + ASKED


@dataclass(slots=True)
class StreamRequest:
    """What is asked for.

    Attributes:
        urls: where settings want events to be sent; none of them twice.
        keep_s: seconds that events wait, the longest that is asked for.
        limit_bytes: bytes of events that wait, the most that is asked for.
    """

    urls: list[StreamUrl] = field(default_factory=list)
    keep_s: float = 0.0
    limit_bytes: int = 0


def leave_request(runtime: str, stream: Mapping[str, Any]) -> None:
    """Leave stream settings for the agent of a runtime directory.

    Args:
        runtime: the directory.
        stream: as of :meth:`prov_worker.settings.Settings.stream_mapping`.

    Raises:
        OSError: there is no space.
    """
    text = json.dumps(stream, sort_keys=True)
    path = os.path.join(runtime, PREFIX + hashlib.sha256(text.encode()).hexdigest()[:16])
    if not os.path.exists(path):
        write_file(path, text, mode=0o600)


def is_request(name: str) -> bool:
    """Return whether a name in a runtime directory is that of a request."""
    return name.startswith(PREFIX)


def read_request(runtime: str) -> StreamRequest | None:
    """Return what the settings of workers ask for; None if none of them does."""
    request = StreamRequest()
    is_there = False
    try:
        names = sorted(name for name in os.listdir(runtime) if is_request(name) and name != _ASKED_HERE)
    except OSError:
        return None
    for name in names:
        try:
            settings = Settings.from_mapping(json.loads(read_own(os.path.join(runtime, name))), "stream")
            urls = stream_urls(settings.stream)
        except (OSError, ValueError, SettingsError):
            continue  # of a later release, or damaged
        is_there = True
        taken = {url.text for url in request.urls}
        request.urls += [url for url in urls if url.text not in taken]
        request.keep_s = max(request.keep_s, settings.stream_keep)
        request.limit_bytes = max(request.limit_bytes, settings.stream_limit)
    return request if is_there else None


def restore_requests(runtime: str, kept: dict[str, bytes]) -> None:
    """Leave the requests that were there before and are gone, as after a log-out, and keep those that are there.

    Args:
        runtime: the runtime directory.
        kept: requests by name, as of the last time; changed in place.

    Raises:
        OSError: there is no such directory, or no space.
    """
    names = {name for name in os.listdir(runtime) if is_request(name) and name != _ASKED_HERE}
    for name in names - kept.keys():
        with contextlib.suppress(OSError):
            kept[name] = read_own(os.path.join(runtime, name))
    for name in kept.keys() - names:
        write_file(os.path.join(runtime, name), kept[name], mode=0o600)


def ask(directory: str) -> None:
    """Ask the agents of a spool for events, or say that they still are wanted.

    Args:
        directory: of the event logs.

    Raises:
        OSError: it cannot be written.
    """
    path = os.path.join(directory, ASKED)
    append_own(path, b"")
    os.utime(path)


def is_asked(directories: Iterable[str], keep_s: float) -> bool:
    """Return whether somebody has asked in one of these directories of event logs within the last seconds."""
    for directory in directories:
        with contextlib.suppress(OSError):
            if abs(time.time() - os.stat(os.path.join(directory, ASKED)).st_mtime) < keep_s:
                return True
    return False


def pass_on(runtime: str, *, demand: bool) -> None:
    """Tell the sampler of a runtime directory that somebody has asked in the spool, or asks no longer.

    Raises:
        OSError: it cannot be written.
    """
    path = os.path.join(runtime, _ASKED_HERE)
    if demand and not os.path.exists(path):
        append_own(path, b"")
    elif not demand:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
