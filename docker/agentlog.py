#!/opt/prov/bin/python -I
"""Say in the container's log what the agents of this container complain of, one line each; ends with the container.

Agents write to a log of their own in node-local memory, which goes with the container, and which nobody looks into who
waits for a crate that does not come.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

from prov_worker.agent.log import parse
from prov_worker.printable import line
from prov_worker.spool.launch import LOG
from prov_worker.spool.paths import runtime_dirs

EVERY_S = 1.0
#: So many of a kind; the log has all of them.
MOST = 3
COMPLAINTS = ("WARNING", "ERROR", "CRITICAL")


class Relay:
    """Follows the logs of the agents whose runtime directories a function names."""

    def __init__(self, folders: Callable[[], list[str]] = runtime_dirs) -> None:
        self._folders = folders
        self._offsets: dict[Path, int] = {}
        self._seen: dict[str, int] = {}

    def look(self) -> list[str]:
        """Return the lines to print of what came since the last look."""
        lines: list[str] = []
        for path in [Path(folder, LOG) for folder in self._folders()]:
            try:
                with path.open("rb") as file:
                    # A log that is shorter than it was is another one, of an agent that came later.
                    offset = self._offsets.get(path, 0)
                    file.seek(offset if offset <= path.stat().st_size else 0)
                    begin, data = file.tell(), file.read()
                    text = data[: data.rfind(b"\n") + 1]  # a line that is being written comes with the next look
                    self._offsets[path] = begin + len(text)
            except OSError:
                continue  # its agent has just taken it away
            for kind, complaint in complaints(text.decode(errors="replace")):
                count = self._seen[kind] = self._seen.get(kind, 0) + 1
                if count <= MOST:
                    more = f" (more of this kind: {path})" if count == MOST else ""
                    lines.append(line(f"prov-worker agent: {complaint}{more}"))
        return lines


def complaints(text: str) -> list[tuple[str, str]]:
    """Return what is wrong, of an agent's log: each as its kind and one line, which names the error."""
    lines: list[tuple[str, str]] = []
    printed = ""
    for row in text.splitlines():
        fields = parse(row)
        if fields is None:
            # Of an agent that could not even begin: of a traceback, its last line.
            printed = row.strip() or printed
            continue
        if printed:
            lines.append(("printed", printed))
            printed = ""
        if fields["level"] in COMPLAINTS:
            lines.append((fields["kind"], ": ".join(filter(None, (fields["text"], fields.get("error"))))))
    return [*lines, ("printed", printed)] if printed else lines


def main() -> None:
    """Until the container ends."""
    relay = Relay()
    while True:
        for complaint in relay.look():
            sys.stderr.write(f"{complaint}\n")
        time.sleep(EVERY_S)


if __name__ == "__main__":
    main()
