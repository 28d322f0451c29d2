"""What an observation says of the samples that it is made of."""

from __future__ import annotations

from typing import Any

import pytest

from prov_worker.crate.observations import _completeness
from prov_worker.model import Column, Series


def series(count: int, **fields: Any) -> Series:
    values: list[float | int | None] = [1.0] * count
    return Series(0.05, [0.05 * number for number in range(count)], {"a": Column("percent", values)}, **fields)


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (series(1), "1 sample"),
        (series(2), "2 samples"),
        (series(1, taken=1, expected=1), "1 of 1 expected sample"),
        (series(3, taken=3, expected=4, longest_gap_s=0.1), "3 of 4 expected samples, longest gap 0.1 s"),
        (series(2, taken=4000, expected=5000), "4,000 of 5,000 expected samples, kept as 2"),
    ],
)
def test_how_complete_a_series_is(made: Series, text: str) -> None:
    assert _completeness(made, made.columns["a"]) == text


def test_a_column_with_an_interval_of_its_own_counts_its_values() -> None:
    values: list[float | int | None] = [1.0, None, None]
    column = Column("percent", values, interval_s=1.0)
    made = Series(0.05, [0.05, 0.1, 0.15], {"a": column}, 3, 3)
    assert _completeness(made, column) == "1 sample"
