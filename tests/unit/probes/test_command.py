from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from prov_worker.probes.base import NoData, ProbeError
from prov_worker.probes.command import MAX_OUTPUT_BYTES, run_command
from prov_worker.probes.timeouts import TimeLimitError


def alive(pid: int) -> bool:
    """Whether a process runs: a zombie, left for an init that does not reap, does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] not in "ZX"
    except FileNotFoundError:
        return False


def test_output_is_returned_and_input_is_closed() -> None:
    code = "import sys; print('read', repr(sys.stdin.read())); print('noise', file=sys.stderr)"
    assert run_command([sys.executable, "-c", code], 30) == "read ''\n"


def test_environment_is_reduced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PBS_JOBCOOKIE", "secret")
    monkeypatch.setenv("ZE_AFFINITY_MASK", "0.0")
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    names = run_command(["env"], 30)
    assert "LC_ALL=C\n" in names
    assert "PBS_JOBCOOKIE" not in names
    assert "ZE_AFFINITY_MASK" not in names


def test_system_directories_are_searched_with_a_short_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert run_command(["true"], 30) == ""


def test_missing_program_is_no_data() -> None:
    with pytest.raises(NoData, match="no-such-program: not found"):
        run_command(["no-such-program"], 1)


def test_failure_tells_status_and_message() -> None:
    with pytest.raises(ProbeError, match="exit status 3: it is broken"):
        run_command(["sh", "-c", "echo 'it is' >&2; echo broken >&2; exit 3"], 30)


def test_program_that_cannot_start(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("#!/no/such/interpreter\n")
    program.chmod(0o755)
    with pytest.raises(ProbeError, match="program: "):
        run_command([str(program)], 1)


def test_hanging_program_is_killed_with_its_children(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    script = f"sleep 300 & echo $! $$ > {pids}; wait"
    with pytest.raises(TimeLimitError, match="timed out after 1 s"):
        run_command(["sh", "-c", script], 1)
    left = [int(word) for word in pids.read_text().split()]
    assert len(left) == 2
    for _ in range(200):
        if not any(alive(pid) for pid in left):
            break
        time.sleep(0.05)
    assert not any(alive(pid) for pid in left)


def test_program_that_closed_its_output_is_still_limited() -> None:
    with pytest.raises(TimeLimitError, match="timed out"):
        run_command(["sh", "-c", "exec >&- 2>&-; exec sleep 300"], 1)


def test_child_that_keeps_the_output_open_does_not_hold_the_answer(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    script = f"setsid sh -c 'echo $$ > {pid_file}.new; mv {pid_file}.new {pid_file}; exec sleep 300' & echo answer"
    try:
        assert run_command(["sh", "-c", script], 60) == "answer\n"
    finally:
        while not pid_file.exists():
            time.sleep(0.02)
        os.kill(int(pid_file.read_text()), 9)


def test_endless_output_is_stopped() -> None:
    with pytest.raises(ProbeError, match=f"more than {MAX_OUTPUT_BYTES} bytes"):
        run_command(["yes"], 60)


def test_bytes_that_are_no_text_are_replaced() -> None:
    assert run_command(["printf", "a\\377b"], 30) == "a\ufffdb"
