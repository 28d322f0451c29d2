"""Times in all forms that xsd:dateTime and ISO 8601 writers use, alike on every Python."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from prov_worker.moments import parse_moment

UTC = timezone.utc


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-28T20:24:18Z", datetime(2026, 11, 28, 20, 24, 18, tzinfo=UTC)),
        ("2026-11-28T20:24:18.5Z", datetime(2026, 11, 28, 20, 24, 18, 500_000, UTC)),
        ("2026-11-28T20:24:18.123456789Z", datetime(2026, 11, 28, 20, 24, 18, 123_456, UTC)),
        ("2026-11-28T21:24:18.25+01:00", datetime(2026, 11, 28, 20, 24, 18, 250_000, UTC)),
        ("2026-11-28T21:24:18,25+0100", datetime(2026, 11, 28, 20, 24, 18, 250_000, UTC)),
        ("2026-11-28 14:54:18-05:30", datetime(2026, 11, 28, 20, 24, 18, tzinfo=UTC)),
        ("2026-11-28T20:24:18.000+0000", datetime(2026, 11, 28, 20, 24, 18, tzinfo=UTC)),
        ("2026-11-28T21+01", datetime(2026, 11, 28, 20, tzinfo=UTC)),
        ("2026-11-28T20:24:18.123+00:00", datetime(2026, 11, 28, 20, 24, 18, 123_000, UTC)),
        ("2026-12-31T24:00:00.000+00:00", datetime(2027, 1, 1, tzinfo=UTC)),
        ("2026-12-31T24:00:00Z", datetime(2027, 1, 1, tzinfo=UTC)),
        (" 2026-11-28 ", datetime(2026, 11, 28)),
        ("2026-11-28T14:30", datetime(2026, 11, 28, 14, 30)),
    ],
)
def test_forms_of_a_time(text: str, expected: datetime) -> None:
    moment = parse_moment(text)
    assert moment == expected
    assert (moment.tzinfo is None) == (expected.tzinfo is None)


def test_the_offset_is_kept() -> None:
    assert parse_moment("2026-11-28T21:24:18-05:30").utcoffset() == timedelta(hours=-5, minutes=-30)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "soon",
        "2026-13-01",
        "2026-02-30T00:00Z",
        "2026-02-30T00:00:00.000+00:00",
        "2026-02-20T00:61:00.000+00:00",
        "2026-11-28T25:00Z",
        "2026-11-28T24:00:01Z",
        "2026-11-28T20:24:60Z",
        "2026-11-28T20:24:18+01:75",
        "2026-11-28T20:24:18+99:00",
        "2026-11-28T20:24:18.Z",
        "9999-12-31T24:00:00Z",
    ],
)
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(ValueError, match="time"):
        parse_moment(text)
