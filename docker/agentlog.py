#!/opt/prov/bin/python -I
"""Say in the container's log what the agents of this container complain of, one line each; ends with the container.

Agents write to a log of their own in node-local memory, which goes with the container, and which nobody looks into who
waits for a crate that does not come.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

from prov_worker.spool.launch import LOG
from prov_worker.spool.paths import runtime_dirs

EVERY_S = 1.0
#: So many of a kind; the log has all of them.
MOST = 3
RECORD = re.compile(r"\S+ \S+ agent \d+ (?P<level>[A-Z]+) (?P<text>.*)")
#: What differs between complaints of one kind.
DETAILS = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|\d+")


class Relay:
    """Follows the logs of the agents whose runtime directories a function names."""

    def __init__(self, folders: Callable[[], list[str]] = runtime_dirs) -> None:
        self._folders = folders
        self._offsets: dict[Path, int] = {}
        self._seen: dict[str, int] = {}

    def look(self) -> list[str]:
        """Lines to say of what came since the last look."""
        lines: list[str] = []
        for path in [Path(folder, LOG) for folder in self._folders()]:
            try:
                with path.open("rb") as file:
                    # A log that is shorter than it was is another one, of an agent that came later.
                    offset = self._offsets.get(path, 0)
                    file.seek(offset if offset <= path.stat().st_size else 0)
                    text = file.read()
                    self._offsets[path] = file.tell()
            except OSError:
                continue  # its agent has just taken it away
            for complaint in complaints(text.decode(errors="replace")):
                kind = DETAILS.sub("", complaint)
                count = self._seen[kind] = self._seen.get(kind, 0) + 1
                if count <= MOST:
                    more = f" (more of this kind: {path})" if count == MOST else ""
                    lines.append(f"prov-worker agent: {complaint}{more}")
        return lines


def complaints(text: str) -> list[str]:
    """What is wrong, of an agent's log: each a record, with the last line of what follows it, which names the error."""
    found: list[list[str]] = []
    told = False
    for line in text.splitlines():
        record = RECORD.fullmatch(line)
        if record:
            told = record["level"] in ("WARNING", "ERROR", "CRITICAL")
            if told:
                found.append([record["text"]])
        elif line.strip() and (told or not found):
            # Without a record before it: of an agent that could not even begin.
            if not told:
                found.append([""])
                told = True
            found[-1][1:] = [line.strip()]
    return [": ".join(filter(None, parts)) for parts in found]


def main() -> None:
    """Until the container ends."""
    relay = Relay()
    while True:
        for line in relay.look():
            sys.stderr.write(f"{line}\n")
        time.sleep(EVERY_S)


if __name__ == "__main__":
    main()
