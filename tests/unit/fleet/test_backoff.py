"""How long an endpoint that is down waits."""

from __future__ import annotations

import pytest

from prov_worker.fleet.backoff import next_time, went_down
from prov_worker.fleet.fleetfile import Watch
from prov_worker.fleet.state import EndpointRecord

NOW = 1_790_000_000.0
WATCH = Watch(backoff=(10.0, 100.0), cap=3, window=3600.0)


def test_one_that_was_up_for_long_is_started_at_once() -> None:
    record = EndpointRecord(started_at=NOW - 105, ran_at=NOW - 101, streak=4)
    went_down(record, WATCH, NOW)
    assert record.streak == 0
    assert next_time(record, WATCH, NOW) == (NOW, "")


def test_others_wait_ever_longer() -> None:
    record = EndpointRecord()
    waits = []
    for number in range(6):
        at = NOW + number * 1000
        # The last one took long to fail, and never was up.
        record.started_at, record.ran_at = at - 500, at - 5 if number < 5 else 0.0
        went_down(record, WATCH, at)
        waits.append(record.next_at - at)
    assert waits == [10, 20, 40, 80, 100, 100]
    assert next_time(record, WATCH, at + 99) == (at + 100, "back-off")
    assert next_time(record, WATCH, at + 100) == (at + 100, "")


def test_the_cap_counts_within_the_window() -> None:
    record = EndpointRecord(restarts=[NOW - 3601, NOW - 3000, NOW - 2000])
    assert next_time(record, WATCH, NOW) == (NOW, "")
    record.restarts.append(NOW - 10)
    assert next_time(record, WATCH, NOW) == (NOW + 600, "cap")
    assert next_time(record, WATCH, NOW + 601) == (NOW + 601, "")


@pytest.mark.parametrize("back_s", [3600.0, 1e9])
def test_a_clock_that_was_set_back_does_not_stop_it(back_s: float) -> None:
    record = EndpointRecord(restarts=[NOW] * 3, next_at=NOW + 50)
    at, why = next_time(record, WATCH, NOW - back_s)
    assert why == "back-off"
    assert at <= NOW - back_s + WATCH.backoff_s[1]


def test_a_person_starts_the_count_again() -> None:
    record = EndpointRecord(restarts=[NOW] * 3, next_at=NOW + 50, streak=3, total=3)
    record.forgive()
    assert next_time(record, WATCH, NOW) == (NOW, "")
    assert record.total == 3
