"""Whatever ends a command: nothing is left in the making, and no process stays behind."""

from __future__ import annotations

import functools
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from support.programs import Programs


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def wait_for(condition: Any, process: subprocess.Popen[str]) -> Any:
    end = time.monotonic() + 180
    while not (outcome := condition()):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, "did not come"
        time.sleep(0.01)
    return outcome


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture
def endless(crates: Any, tmp_path: Path) -> Path:
    """A directory with one crate whose file takes longer to copy than any test."""
    crate = crates.add(1)
    with (crate / "large.bin").open("wb") as stream:
        stream.truncate(1 << 42)
    return Path(crates.directory)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_in_the_middle_of_assembling_leaves_nothing(
    endless: Path, programs: Programs, tmp_path: Path, number: int
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    command = [sys.executable, "-m", "prov_worker", "run", "assemble", str(endless), "-o", str(out / "R.crate")]
    # Under nohup a process and its children ignore SIGHUP, and are meant to.
    heed = functools.partial(signal.signal, number, signal.SIG_DFL)
    process = programs.start([*command, "--max-file-size", "0"], stderr=subprocess.PIPE, text=True, preexec_fn=heed)
    wait_for(lambda: list(out.glob(".R.crate.tmp-*/steps/*/large.bin")), process)
    process.send_signal(number)
    _, errors = process.communicate(timeout=180)
    assert (process.returncode, "Traceback" in errors) == (128 + number, False)
    assert list(out.iterdir()) == []


def test_readers_end_with_the_one_that_asked_them(crates: Any, programs: Programs, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    crates.add(1)
    code = (
        "import sys, time\n"
        "from prov_worker.run.index.mapping import map_processes\n"
        "if __name__ == '__main__':\n"
        "    for _ in map_processes(2)(time.sleep, [0.01, 0.01, 0.01, 0.01, 600, 600]):\n"
        "        pass\n"
    )
    script = tmp_path / "script.py"
    script.write_text(code)
    process = programs.start([sys.executable, str(script)], stderr=subprocess.DEVNULL, text=True)
    readers = wait_for(lambda: len(pids := children_of(process.pid)) >= 3 and pids, process)
    process.kill()
    process.wait()
    end = time.monotonic() + 180
    while any(map(alive, readers)):
        assert time.monotonic() < end, "readers stayed"
        time.sleep(0.02)
