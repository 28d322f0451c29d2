from __future__ import annotations

from pathlib import Path

import pytest

from prov_worker.cli.terminal import crates_at, duration, size, sparkline
from prov_worker.errors import InputError


@pytest.mark.parametrize(
    "values, options, line",
    [
        ([], {}, ""),
        ([0, 0], {}, "▁▁"),
        ([0, 50, 100], {}, "▁▅█"),
        ([None, 7], {}, " █"),
        ([50], {"top": 100}, "▅"),
        ([0, 9, 0, 0], {"width": 2}, "█▁"),  # a peak outlives the narrowing
    ],
)
def test_sparkline(values: list[float | None], options: dict[str, float], line: str) -> None:
    assert sparkline(values, **options) == line  # type: ignore[arg-type]


def test_sparkline_is_never_wider_than_asked() -> None:
    assert len(sparkline(list(range(1000)), 37)) == 37


@pytest.mark.parametrize(
    "count, text",
    [(None, "–"), (0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (5 << 40, "5.0 TiB"), (5 << 50, "5120.0 TiB")],
)
def test_size(count: int | None, text: str) -> None:
    assert size(count) == text


def test_crates_are_found_once_and_in_order(crates: Path) -> None:
    names = [path.name[-8:-6] for path in crates_at([str(crates), str(next(crates.glob("*01.crate")))])]
    assert names == ["01", "02"]


def test_an_empty_directory_is_no_crate(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no step crate"):
        crates_at([str(tmp_path)])


@pytest.mark.parametrize(
    "seconds, text",
    [
        (None, "–"),
        (0, "0 s"),
        (200e-6, "200 µs"),
        (0.9996e-3, "1.00 ms"),
        (0.0123, "12.3 ms"),
        (0.466, "466 ms"),
        (0.99951, "1.00 s"),
        (4.83, "4.83 s"),
        (59.96, "1 min 0 s"),
        (303, "5 min 3 s"),
        (11_520, "3 h 12 min"),
    ],
)
def test_duration(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text
