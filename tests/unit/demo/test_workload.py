from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from prov_worker.demo import workload
from prov_worker.demo.run import _last_line


def test_functions_do_what_they_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert workload.add(1, 2) == 3
    assert workload.count_primes(30) == 10
    assert workload.sum_range(5) == 10
    assert workload.wait(0) == 0
    assert workload.fill_memory(1, 0) == 1 << 20
    assert workload.write_files(2, 10) == ["part-0.dat", "part-1.dat"]
    assert sorted(os.listdir()) == ["part-0.dat", "part-1.dat"]
    assert workload.run_program(0) == 0
    with pytest.raises(ZeroDivisionError):
        workload.divide(1, 0)


def test_die_is_killed() -> None:
    code = "from prov_worker.demo.workload import die; die(0)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -signal.SIGKILL


@pytest.mark.parametrize("quick", [False, True])
def test_a_workload_has_every_kind_of_task(quick: bool) -> None:
    calls = workload.workload(quick=quick)
    functions = (
        workload.add,
        workload.sum_range,
        workload.count_primes,
        workload.wait,
        workload.fill_memory,
        workload.write_files,
        workload.run_program,
        workload.divide,
        workload.die,
    )
    assert {call.function for call in calls} == set(functions)
    assert {call.function for call in calls if call.fails} == {workload.divide, workload.die}


@pytest.mark.parametrize(
    "text, line",
    [
        ("Traceback:\n  x\nValueError: no\n\n", "ValueError: no"),
        ("++++\nparsl.WorkerLost: gone\n------", "parsl.WorkerLost: gone"),
        ("", ""),
    ],
)
def test_the_last_line_names_the_error(text: str, line: str) -> None:
    assert _last_line(text) == line
