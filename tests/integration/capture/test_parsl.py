"""Each Parsl app that runs is a step, without a line of the user's: alone, and within a task."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prov_worker.capture.parsl import RecordedApp
from prov_worker.run.api import open_run
from support.commands import run_program
from support.marks import PARSL_SOCKET, needs_whole_functions

pytest.importorskip("parsl")
pytestmark = [pytest.mark.timeout(300), PARSL_SOCKET]

PROGRAM = """
import os, signal, sys, time
import parsl
from parsl import File, bash_app, join_app, python_app
from parsl.config import Config
from parsl.executors import HighThroughputExecutor, ThreadPoolExecutor
from parsl.providers import LocalProvider

@python_app
def double(x):
    return 2 * x

@python_app(cache=True)
def costly(x):
    return x + 100

@bash_app
def shout(text, stdout=None):
    return f"echo {text} password=hunter2"

@join_app
def both(a, b):
    return [double(a), double(b)]

@python_app
def fail():
    raise ValueError("bad luck")

@python_app
def flaky(path):
    import os
    if not os.path.exists(path):
        open(path, "w").close()
        raise OSError("not yet")
    return "done"

def flow(here):
    first = double(1)
    second = double(first)
    assert second.result() == 4
    assert costly(5).result() == 105
    again = costly(5)
    assert double(again).result() == 210
    assert shout("hello", stdout=here + "/out.txt").result() == 0
    assert both(3, 4).result() == [6, 8]
    assert type(fail().exception()) is ValueError
    assert flaky(here + "/flag").result() == "done"
    return 7

def config(here):
    return Config(executors=[{executor}], run_dir=here + "/runinfo", strategy="none", retries=1)

if __name__ == "__main__":
    with parsl.load(config(sys.argv[1])):
        assert flow(sys.argv[1]) == 7
"""
EXECUTORS = {
    "threads": "ThreadPoolExecutor(max_threads=2)",
    "processes": (
        "HighThroughputExecutor(address='127.0.0.1', max_workers_per_node=2, encrypted=False, "
        "provider=LocalProvider(init_blocks=1, max_blocks=1))"
    ),
}
#: Functions and the number of their steps; of two calls of the memoised one the second is not run.
STEPS = {"double": 5, "costly": 1, "shout": 1, "both": 1, "fail": 2, "flaky": 2}


def variables(crates: Path) -> dict[str, str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PROV_WORKER")}
    environment |= {"PROV_WORKER": "1", "PROV_WORKER_CRATE_DIR": str(crates), "PROV_WORKER_PLOTS": "none"}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return environment


def by_function(crates: Path) -> dict[str, list[Any]]:
    steps: dict[str, list[Any]] = {}
    for step in open_run(crates).steps():
        steps.setdefault(step.function, []).append(step)
    return {name: sorted(group, key=lambda step: step.began_ns) for name, group in steps.items()}


@pytest.mark.parametrize("executor", EXECUTORS)
def test_apps_of_a_program_are_steps(
    tmp_path: Path, crates: Path, wait_for: Callable[..., None], executor: str
) -> None:
    if executor == "processes":
        needs_whole_functions()
    (tmp_path / "program.py").write_text(PROGRAM.replace("{executor}", EXECUTORS[executor]))
    done = run_program(sys.executable, "program.py", tmp_path, cwd=tmp_path, env=variables(crates))
    assert done.returncode == 0, done.stderr
    wait_for(lambda: len(list(crates.glob("*.crate"))) == sum(STEPS.values()), "the crates of all steps")
    steps = by_function(crates)
    assert {name: len(group) for name, group in steps.items()} == STEPS
    first, second, of_memo, *parts = steps["double"]
    (costly,), (join,), (shout,) = steps["costly"], steps["both"], steps["shout"]
    assert (second.needs, of_memo.needs) == ([first.task_id], [costly.task_id])
    assert {part.part_of for part in parts} == {join.task_id}
    assert [value.type for value in join.results] == ["parsl.dataflow.futures.AppFuture"]
    assert [step.part_of for step in (first, costly, join)] == [None] * 3
    assert [argument.name for argument in first.arguments] == ["x"]
    assert {(step.status, step.error, step.attempt) for step in steps["fail"]} == {
        ("failed", "ValueError: bad luck", 1),
        ("failed", "ValueError: bad luck", 2),
    }
    assert [(step.status, step.attempt) for step in steps["flaky"]] == [("failed", 1), ("completed", 2)]
    assert len({step.task_id for step in steps["flaky"]}) == 1
    commands = [
        crate.entities["#command"]["value"] for step, crate in open_run(crates).opened() if step.key == shout.key
    ]
    assert commands == ["echo hello password=[redacted]"]


def test_switched_off_nothing_is_recorded_and_nothing_differs(tmp_path: Path, crates: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM.replace("{executor}", EXECUTORS["threads"]))
    environment = variables(crates) | {"PROV_WORKER_CAPTURE": "parsl=off"}
    done = run_program(sys.executable, "program.py", tmp_path, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    assert not list(crates.glob("*.crate"))


def test_an_app_travels_to_workers_without_the_package(tmp_path: Path) -> None:
    dill = pytest.importorskip("dill")
    needs_whole_functions()
    program: dict[str, Any] = {"__name__": "__main__"}
    exec("def app(x):\n    return x + 1", program)
    call = {"id": "a", "attempt": 1, "part": {}, "name": "app", "join": False, "provenance": {}, "endpoint": None}
    data = dill.dumps(RecordedApp(program["app"], call))
    assert isinstance(dill.loads(data), RecordedApp)
    (tmp_path / "app").write_bytes(data)
    worker = (
        "import sys, importlib.util as util; real = util.find_spec\n"
        "util.find_spec = lambda name, *more: None if name.startswith('prov_worker') else real(name, *more)\n"
        "import dill; app = dill.loads(open(sys.argv[1], 'rb').read())\n"
        "assert type(app).__name__ == 'function' and app(1) == 2 and 'prov_worker.capture' not in sys.modules"
    )
    done = run_program(sys.executable, "-c", worker, tmp_path / "app")
    assert done.returncode == 0, done.stderr
