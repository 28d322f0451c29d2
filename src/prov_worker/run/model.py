"""Links between the steps of a run, and problems met while reading one."""

from __future__ import annotations

from dataclasses import dataclass

from prov_worker.errors import CrateError

#: How a link between two steps is known.
DECLARED = "declared"  # one step said that it generated the file which the other said it used
WORKFLOW = "workflow"  # a workflow definition says so
FILE = "file"  # equal sha256 of files: inferred
VALUE = "value"  # equal sha256 of a result and an argument: inferred


@dataclass(frozen=True, slots=True)
class Link:
    """Data, or a stated order, that leads from one step to another.

    Attributes:
        source: key of the step that made the thing. target: key of the step that used it.
        via: ``declared``, ``workflow``, ``file`` or ``value``.
        what: name of the file, parameter or workflow step.
        sha256: of what flowed; None for a stated order.
        source_id, target_id: entities in the two step crates; None for a stated order.
    """

    source: str
    target: str
    via: str
    what: str
    sha256: str | None = None
    source_id: str | None = None
    target_id: str | None = None

    @property
    def inferred(self) -> bool:
        """Whether equal content alone suggests the link: equal contents by chance give false links."""
        return self.via in (FILE, VALUE)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that could not be taken, and why; the rest was.

    Attributes:
        where: path of the crate or file.
        message: one line, without that path.
    """

    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"

    @classmethod
    def of(cls, where: str, error: CrateError) -> Problem:
        """Return what is wrong with the crate, file or directory ``where``."""
        return cls(where, error.within(where))
