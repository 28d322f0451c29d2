"""Crates wait for a burst of tasks, but not for ever."""

from __future__ import annotations

from prov_worker.agent.burst import BURST_PATIENCE_S, BURST_RATE, Burst


def looks(rate: float, seconds: float, step_s: float = 0.2, after: float = 100.0) -> list[bool]:
    burst = Burst()
    burst.holds(0, after)
    count = int(seconds / step_s)
    return [burst.holds(int(n * step_s * rate), after + n * step_s) for n in range(1, count + 1)]


def test_a_steady_rate_is_no_burst() -> None:
    assert not any(looks(BURST_RATE * 0.9, 20))


def test_a_burst_holds_crates_back_for_a_limited_time() -> None:
    held = looks(BURST_RATE * 10, 20)
    assert held[0]
    assert held == sorted(held, reverse=True), "held once, then never again in the same burst"
    assert sum(held) * 0.2 <= BURST_PATIENCE_S + 0.2


def test_a_burst_that_ends_lets_go_and_the_next_one_holds_again() -> None:
    burst = Burst()
    burst.holds(0, 1.0)
    assert burst.holds(1000, 1.2)
    assert not burst.holds(1000, 1.4)
    assert burst.holds(2000, 1.6)


def test_looks_in_quick_succession_and_workers_that_leave_change_nothing() -> None:
    burst = Burst()
    burst.holds(0, 1.0)
    assert burst.holds(1000, 1.2)
    assert burst.holds(1000, 1.2001)
    assert not burst.holds(10, 1.5)
