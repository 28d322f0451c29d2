"""Parsl's bash apps under ``step``: command, exit status, time limit and output, from workers of both kinds."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prov_worker.crate.reader import StepCrate
from prov_worker.run.api import open_run
from support.marks import needs_whole_functions

pytest.importorskip("parsl")

PROGRAM = """
import sys
import parsl
from parsl.app.errors import AppTimeout, BashExitFailure
from parsl.config import Config
from parsl.executors import HighThroughputExecutor, ThreadPoolExecutor
from parsl.providers import LocalProvider
import prov_worker

@prov_worker.step
@parsl.bash_app
def solve(case, status=0, stdout=None, stderr=None, walltime=None):
    '''Solve a case.'''
    return f"echo solved {case}; echo password=hunter2 >&2; exit {status}"

@prov_worker.step(name="wait")
@parsl.bash_app
def pause(walltime=1):
    return "sleep 30"

if __name__ == "__main__":
    here = sys.argv[1]
    with parsl.load(Config(executors=[{executor}], run_dir=f"{here}/runinfo", strategy="none")):
        good = solve("a", stdout=f"{here}/a.out", stderr=(f"{here}/a.err", "w"))
        bad, late = solve("b", status=3), pause()
        assert good.result() == 0
        assert isinstance(bad.exception(), BashExitFailure) and bad.exception().exitcode == 3
        assert isinstance(late.exception(), AppTimeout)
"""
EXECUTORS = {
    "threads": "ThreadPoolExecutor(max_threads=2)",
    "processes": (
        "HighThroughputExecutor(address='127.0.0.1', max_workers_per_node=1, encrypted=False, "
        "provider=LocalProvider(init_blocks=1, max_blocks=1))"
    ),
}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("executor", EXECUTORS)
def test_a_bash_app_says_what_it_ran_and_how_it_ended(
    tmp_path: Path, crates: Path, wait_for: Callable[..., None], executor: str
) -> None:
    if executor == "processes":
        needs_whole_functions()
    script = tmp_path / "program.py"
    script.write_text(PROGRAM.replace("{executor}", EXECUTORS[executor]))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PROV_WORKER")}
    environment |= {"PROV_WORKER": "1", "PROV_WORKER_CRATE_DIR": str(crates), "PROV_WORKER_PLOTS": "none"}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    console = tmp_path / "console"
    # Parsl leaves a command that ran past its limit: it is ended here, and holds no pipe that would be read to its end.
    with console.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, script, tmp_path],
            cwd=tmp_path,
            env=environment,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            assert process.wait(240) == 0, console.read_text()
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    wait_for(lambda: len(list(crates.glob("*.crate"))) == 3, "three crates")
    by_name = {(step.function, step.status): crate for step, crate in open_run(crates).opened()}
    assert set(by_name) == {("solve", "completed"), ("solve", "failed"), ("wait", "failed")}
    good, bad, late = by_name["solve", "completed"], by_name["solve", "failed"], by_name["wait", "failed"]
    command = "echo solved {}; echo password=[redacted] >&2; exit {}"
    assert value(good, "#command") == command.format("a", 0)
    assert (value(good, "#command-exit-status"), value(bad, "#command-exit-status")) == (0, 3)
    assert value(bad, "#command") == command.format("b", 3)
    assert "the command ended with exit status 3" in (bad.error or "")
    assert "the command ran past its time limit of 1 s" in (late.error or "")
    assert (value(late, "#command"), value(late, "#command-exit-status")) == ("sleep 30", None)
    assert {value(crate, "#failure-kind") for crate in (bad, late)} == {"command"}
    for crate in (good, bad, late):
        assert value(crate, "#function-kind") == "Parsl bash app"
        assert (crate.path / "function" / "source.py").read_text().startswith("@prov_worker.step")
    assert good.function_doc == "Solve a case."
    assert (good.path / "logs" / "stdout.txt").read_text() == "solved a\n"
    assert (good.path / "logs" / "stderr.txt").read_text().endswith("password=[redacted]\n")
    assert not (bad.path / "logs" / "stdout.txt").exists()


def value(crate: StepCrate, identifier: str) -> Any:
    return crate.entities.get(identifier, {}).get("value")
