from __future__ import annotations

import pytest

from prov_worker.humanize import duration, moment, nearest, number, percent, plural, size, sparkline


@pytest.mark.parametrize(
    "seconds, text",
    [
        (None, "–"),
        (0, "0 s"),
        (40e-6, "40 µs"),
        (200e-6, "200 µs"),
        (0.9996e-3, "1.00 ms"),
        (0.0123, "12.3 ms"),
        (0.25, "250 ms"),
        (0.99951, "1.00 s"),
        (4.83, "4.83 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 00 s"),
        (303, "5 min 03 s"),
        (3599.6, "1 h 00 min"),
        (3700, "1 h 01 min"),
        (11_520, "3 h 12 min"),
        (90_000, "1 d 1 h"),
        (-2.5, "-2.50 s"),
        (-303, "-5 min 03 s"),
    ],
)
def test_duration(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    "count, text",
    [
        (None, "–"),
        (0, "0 B"),
        (1023, "1023 B"),
        (1536, "1.5 KiB"),
        (99.96 * 1024, "100 KiB"),
        (200 << 20, "200 MiB"),
        (5 << 40, "5.0 TiB"),
        (5 << 50, "5120 TiB"),
    ],
)
def test_size(count: float | None, text: str) -> None:
    assert size(count) == text


@pytest.mark.parametrize(
    "value, text",
    [
        (None, "–"),
        (3, "3"),
        (1234.5, "1,234"),
        (123.4, "123"),
        (12.34, "12.3"),
        (1.234, "1.23"),
        (0.0012, "0.0012"),
    ],
)
def test_number(value: float | None, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize("ratio, text", [(None, "–"), (0.0, "0 %"), (0.051, "5.1 %"), (0.5, "50 %")])
def test_percent(ratio: float | None, text: str) -> None:
    assert percent(ratio) == text


def test_moment() -> None:
    assert moment(1_700_000_000_999_999_999) == "2023-11-14 22:13:20 UTC"


def test_plural() -> None:
    assert [plural(1, "task"), plural(1200, "task"), plural(0, "entry", "entries")] == [
        "1 task",
        "1,200 tasks",
        "0 entries",
    ]


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
    ("name", "hint"),
    [
        ("waittime", "did you mean 'WaitTime'?"),
        ("WAIT_TIME", "did you mean 'WaitTime'?"),
        ("start_tim", "did you mean 'start_time'?"),
        ("nothing like it", ""),
        ("", ""),
    ],
)
def test_the_name_most_like(name: str, hint: str) -> None:
    assert nearest(name, ["start_time", "WaitTime"]) == hint


def test_how_like_a_name_must_be_and_what_is_proposed() -> None:
    assert nearest("run", ["route"], likeness=0.5) == "did you mean 'route'?"
    assert nearest("run", ["route"], likeness=0.8) == ""
    assert nearest("7a17", ["7a18"], shown={"7a18": "7a18d2"}) == "did you mean '7a18d2'?"
