"""The agent's log: one JSON object per line, for programs as well as for people.

``time`` (ISO 8601, UTC), ``pid``, ``level`` (of :mod:`logging`), ``kind`` (the text before values were put in: equal
for complaints of one kind), ``text``; after an exception ``error``, the last line of its ``traceback``. What is not
such a line was printed by an agent that could not begin, or by the interpreter.
"""

from __future__ import annotations

import json
import logging
import os
from datetime import datetime, timezone
from typing import Any


class JsonLines(logging.Formatter):
    """Formats a record as one line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its end."""
        fields: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds"),
            "pid": os.getpid(),
            "level": record.levelname,
            "kind": str(record.msg),
            "text": record.getMessage(),
        }
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
            fields["error"] = fields["traceback"].rstrip().rpartition("\n")[2]
        return json.dumps(fields)


def parse(line: str) -> dict[str, Any] | None:
    """Return the fields of a line of the log; None if it is not one."""
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        return None
    named = isinstance(fields, dict) and all(isinstance(fields.get(key), str) for key in ("level", "kind", "text"))
    return fields if named else None
