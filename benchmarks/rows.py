"""The row: one figure, what it is compared with, and what was aimed at."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Target:
    """A bound on the value of a row, or on its ratio.

    Attributes:
        bound: the number.
        at_most: whether it is an upper bound.
        of_ratio: whether it holds for value / stock instead of the value.
    """

    bound: float
    at_most: bool = True
    of_ratio: bool = False

    def __str__(self) -> str:
        return f"{'ratio ' if self.of_ratio else ''}{'≤' if self.at_most else '≥'} {self.bound:g}"


@dataclass(slots=True)
class Row:
    """One figure.

    Attributes:
        name: what was measured.
        value: the figure; None if it was not measured, and then the note says why.
        unit: its unit.
        stock: the same figure of the alternative, measured in the same run; the note names it if it is not
            Globus Compute as it is.
        target: what was aimed at.
        n: number of single measurements behind the value.
        low, high: quartiles of what the value is the median of.
        note: what a reader needs to know.
        group: benchmark that the row comes from.
    """

    name: str
    value: float | None
    unit: str
    stock: float | None = None
    target: Target | None = None
    n: int | None = None
    low: float | None = None
    high: float | None = None
    note: str = ""
    group: str = ""

    @property
    def ratio(self) -> float | None:
        """Value over stock."""
        return self.value / self.stock if self.value is not None and self.stock else None

    @property
    def met(self) -> bool | None:
        """Whether the target was reached; None without a target or without a value."""
        measured = self.ratio if self.target is not None and self.target.of_ratio else self.value
        if self.target is None or measured is None:
            return None
        return measured <= self.target.bound if self.target.at_most else measured >= self.target.bound

    def to_dict(self) -> dict[str, Any]:
        """Plain data for ``results.json``; numbers with four significant digits."""
        data = asdict(self)
        data["target"] = self.target.bound if self.target else None
        data["target_is"] = str(self.target) if self.target else None
        data["ratio"], data["met"] = self.ratio, self.met
        first = ("name", "value", "unit", "stock", "ratio", "target", "met", "n", "note")
        ordered = {key: data.pop(key) for key in first} | data
        return {key: significant(value) if isinstance(value, float) else value for key, value in ordered.items()}


def significant(value: float, digits: int = 4) -> float:
    """A number without the digits that mean nothing; large ones keep all before the point."""
    return float(round(value)) if abs(value) >= 10**digits else float(f"{value:.{digits}g}")
