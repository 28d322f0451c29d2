from __future__ import annotations

import threading

import pytest

from prov_worker.probes.timeouts import Pending, TimeLimitError


def test_value_is_returned() -> None:
    assert Pending(lambda: 7, "test").result(30) == 7


def test_error_is_raised_where_the_result_is_asked() -> None:
    def fail() -> None:
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        Pending(fail, "test").result(30)


def test_hanging_work_is_left_behind_in_a_daemon_thread() -> None:
    release = threading.Event()
    seen: list[threading.Thread] = []

    def hang() -> None:
        seen.append(threading.current_thread())
        release.wait(60)

    pending = Pending(hang, "test-hang")
    try:
        with pytest.raises(TimeLimitError, match=r"timed out after 0\.1 s"):
            pending.result(0.1)
        assert seen[0].daemon
        assert seen[0].is_alive()
    finally:
        release.set()
    seen[0].join(30)
    assert pending.result(30) is None
