"""What a check of a flow finds."""

from __future__ import annotations

from typing import Any, NamedTuple

from prov_worker.flow.source import Document, Steps, json_path

#: The flow cannot run, or fails on its way.
ERROR = "error"
#: It may fail, or do what is not meant.
WARNING = "warning"
#: Good to know; not counted.
NOTE = "note"
LEVELS = (ERROR, WARNING, NOTE)


class FlowFinding(NamedTuple):
    """One thing that was found.

    Attributes:
        check: name of the check.
        level: ``error``, ``warning`` or ``note``.
        file: as the user named it.
        line: from 1; None if it is not known.
        path: JSONPath of the value.
        message: what is wrong, and what to do.
    """

    check: str
    level: str
    file: str
    line: int | None
    path: str
    message: str

    def as_json(self) -> dict[str, Any]:
        """Return the finding for another program."""
        return self._asdict()


class Remark(NamedTuple):
    """A finding whose document and place the caller knows.

    Attributes:
        level: see :class:`FlowFinding`.
        steps: to the value, from that place.
        message: what is wrong, and what to do.
    """

    level: str
    steps: Steps
    message: str

    def at(self, document: Document, steps: Steps = ()) -> Draft:
        """Return the finding of a document."""
        return Draft(self.level, document, (*steps, *self.steps), self.message)


class Draft(NamedTuple):
    """A finding as a check yields it.

    Attributes:
        level: see :class:`FlowFinding`.
        document: in which it is.
        steps: to the value.
        message: what is wrong, and what to do.
    """

    level: str
    document: Document
    steps: Steps
    message: str

    def finished(self, check: str) -> FlowFinding:
        """Return the finding with its place."""
        steps = self.document.base + self.steps
        line = self.document.line(self.steps)
        return FlowFinding(check, self.level, self.document.name, line, json_path(steps), self.message)
