"""What a check finds."""

from __future__ import annotations

from dataclasses import dataclass

ERROR = "error"
WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing that is wrong with a crate.

    Attributes:
        level: ``error`` (a rule that the crate must keep) or ``warning``.
        rule: short name of the rule.
        where: entity, property or file.
        message: one line.
    """

    level: str
    rule: str
    where: str
    message: str
