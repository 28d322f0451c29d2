from __future__ import annotations

import pytest

from prov_worker.schedulers.answers.walltime import seconds


@pytest.mark.parametrize(
    "text, expected",
    [("01:00:00", 3600), ("1-02:03:04", 93_784), ("30:00", 1800), ("90", 90), (" 90 ", 90), ("UNLIMITED", None)],
)
def test_walltimes_as_schedulers_write_them(text: str, expected: int | None) -> None:
    assert seconds(text) == expected
