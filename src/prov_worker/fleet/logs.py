"""Logs of an endpoint: their ends, what comes new, and what was complained of last."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prov_worker.fleet import credentials
from prov_worker.fleet.endpoint import ManagedEndpoint
from prov_worker.redact import redact_part

_TAIL = 256 << 10
_LONGEST = 300
#: The daemon's format of its log: time, level, process, thread, name and line, function, message.
_LINE = re.compile(r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d),\d+ (ERROR|CRITICAL) \S+ .*?:\d+ \S+ (.*)$")
_STAMP = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d+ [A-Z]+ ")
#: Before the JSON of a line that the fleet writes at each start, among what the daemon prints.
_MARK = "-- "
_TITLE = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
#: How a daemon ends that cannot reach the web service: with code 75, or with one of these (globus_sdk.exc.convert).
OUTAGE = re.compile(r"\b(NetworkError|Globus(Connection|Timeout|ConnectionTimeout)Error): ")


@dataclass(frozen=True, slots=True)
class LogError:
    """An error of a log.

    Attributes:
        at: time as the log has it, local.
        message: one line of it.
        log: the file.
    """

    at: str
    message: str
    log: Path


def last(folder: ManagedEndpoint) -> LogError | None:
    """Return the last error of the daemon and of its latest user endpoints."""
    logs = [folder.log, *(endpoint.directory / "endpoint.log" for endpoint in folder.user_endpoints()[:4])]
    errors = [error for log in logs if (error := _last(log)) is not None]
    return max(errors, key=lambda error: error.at, default=None)


def last_of_start(folder: ManagedEndpoint) -> str:
    """Return why the last start went wrong, as the daemon printed it: its error, else its last line."""
    printed: list[str] = []
    unset = None
    for line in tail(folder.console, _TAIL).splitlines():
        if (start := _start_of(line)) is not None:
            printed, unset = [], start.get("unset")
        elif text := _TITLE.sub("", line).strip():
            printed.append(text)
    # Without credentials the daemon asks a terminal, which is not there, for a login.
    if any("Please authenticate with Globus" in line for line in printed):
        half = f" ({credentials.half(unset)})" if isinstance(unset, str) else ""
        return f"is not logged in{half}: run `globus-compute-endpoint login`, or name a credentials file"
    for line in reversed(printed):
        if match := _LINE.match(line):
            return _short(match[3])
        if line.startswith("Error: ") or re.match(r"[\w.]+(Error|Exception|Exit): ", line):
            return _short(line)
    return _short(printed[-1]) if printed else "it printed nothing"


def start_line(name: str, unset: str | None) -> str:
    """Return the line that stands before what a daemon prints.

    Args:
        name: of the endpoint.
        unset: the credential that is not set while the other is, as :func:`prov_worker.fleet.credentials.missing`
            gives it.
    """
    fields = {"start": name, "at": time.strftime("%Y-%m-%d %H:%M:%S"), "unset": unset}
    return f"{_MARK}{json.dumps(fields)}\n"


def _start_of(line: str) -> dict[str, Any] | None:
    """Return the fields of a line of :func:`start_line`; None for what a daemon printed."""
    if not line.startswith(_MARK):
        return None
    try:
        fields = json.loads(line[len(_MARK) :])
    except (ValueError, RecursionError):
        return None
    return fields if isinstance(fields, dict) and "start" in fields else None


def tail(path: Path, size: int) -> str:
    """Return the last bytes of a file as text; empty if there is none."""
    try:
        with path.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - size))
            return file.read().decode(errors="replace")
    except OSError:
        return ""


def last_lines(path: Path, count: int) -> list[str]:
    """Return the last lines of a file, without their ends.

    Raises:
        OSError: it cannot be read.
    """
    size, total = 64 << 10, path.stat().st_size
    while count > 0:
        text = tail(path, size)
        lines = text.splitlines()
        if size >= total:
            return lines[-count:]
        if len(lines) > count:  # the first may be cut
            return lines[-count:]
        size *= 4
    return []


def follow(path: Path, offset: int, pause_s: float = 0.25) -> Iterator[str]:
    """Yield text that is added to a log from now on, also when it is made again; for ever."""
    rest = b""
    identity = None
    while True:
        try:
            with path.open("rb") as file:
                status = path.stat()
                if (identity is not None and status.st_ino != identity) or status.st_size < offset:
                    offset, rest = 0, b""
                identity = status.st_ino
                file.seek(offset)
                data = file.read()
        except FileNotFoundError:
            data = b""
        offset += len(data)
        *lines, rest = (rest + data).split(b"\n")
        if lines:
            yield "".join(f"{line.decode(errors='replace')}\n" for line in lines)
        time.sleep(pause_s)


def _last(log: Path) -> LogError | None:
    lines = tail(log, _TAIL).splitlines()
    for number in range(len(lines) - 1, -1, -1):
        match = _LINE.match(lines[number])
        if match is None:
            continue
        message = match[3]
        # Of a traceback, the line that says what it was.
        rest = []
        for line in lines[number + 1 : number + 200]:
            if _STAMP.match(line):
                break
            rest.append(line)
        if rest and any(line.startswith("Traceback") for line in rest):
            message += f": {[line for line in rest if line.strip()][-1].strip()}"
        return LogError(match[1], _short(message), log)
    return None


def _short(text: str) -> str:
    return str(redact_part(" ".join(text.split()), _LONGEST))
