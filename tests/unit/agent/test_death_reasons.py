"""Why a worker died, and the source of what it ran."""

from __future__ import annotations

from pathlib import Path

import pytest

from prov_worker.agent import death_reasons
from prov_worker.agent.death_reasons import failure_of_death


@pytest.mark.parametrize(
    "status, kills, kind, message",
    [
        (9, 0, "signal", "killed by SIGKILL"),
        (9, 2, "signal", "2 out-of-memory kill"),
        (15, 2, "signal", "killed by SIGTERM"),
        (11 | 0x80, 0, "signal", "SIGSEGV"),
        (3 << 8, 0, "exit", "exit status 3"),
        (0, 0, "exit", "exit status 0"),
        (None, 0, "unknown", "collected before"),
    ],
)
def test_a_wait_status_in_words(status: int | None, kills: int, kind: str, message: str) -> None:
    failure = failure_of_death(status, "node", 7, kills)
    assert failure.kind == kind
    assert message in failure.message
    assert "process 7 on node" in failure.message
    assert (failure.signal is not None) == (kind == "signal")
    if status == 15:
        assert "out-of-memory" not in failure.message


def test_a_signal_without_a_name() -> None:
    assert failure_of_death(40, "node", 7).signal in ("signal 40", "SIGRTMIN+6")


def test_kills_are_counted_where_the_kernel_tells(tmp_path: Path) -> None:
    count = death_reasons.oom_kills()
    assert count is None or count >= 0
    events = tmp_path / "memory.events"
    events.write_text("low 0\noom 3\noom_kill 2\n")
    assert death_reasons._oom_count(str(events)) == 2
    events.write_text("oom_kill many\n")
    assert death_reasons._oom_count(str(events)) is None
    assert death_reasons._oom_count(str(tmp_path / "none")) is None
