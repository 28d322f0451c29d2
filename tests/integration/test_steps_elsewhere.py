"""Steps in workers of Parsl and Dask, which get the function packed: by name, or whole where it stands in a script."""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import prov_worker
from prov_worker.run.api import open_run
from support.commands import run_python
from support.marks import needs_whole_functions

STEP = """
import prov_worker

@prov_worker.step
def double(x):
    import prov_worker  # as Parsl asks: the function travels without what stands around it
    prov_worker.annotate(number=x)
    return 2 * x
"""
PARSL = """
import sys
import parsl
from parsl.config import Config
from parsl.executors import HighThroughputExecutor, ThreadPoolExecutor
from parsl.providers import LocalProvider
{step}
if __name__ == "__main__":
    with parsl.load(Config(executors=[{executor}], run_dir=sys.argv[1], strategy="none")):
        futures = [parsl.python_app(double)(number) for number in range(6)]
        assert [future.result() for future in futures] == [0, 2, 4, 6, 8, 10]
"""
THREADS = "ThreadPoolExecutor(max_threads=2)"
HTEX = (
    "HighThroughputExecutor(address='127.0.0.1', max_workers_per_node=2, encrypted=False, "
    "provider=LocalProvider(init_blocks=1, max_blocks=1))"
)
DASK = """
from distributed import Client, LocalCluster
{step}
if __name__ == "__main__":
    options = dict(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1")
    with LocalCluster(**options) as cluster, Client(cluster) as client:
        assert client.gather(client.map(double, range(6))) == [0, 2, 4, 6, 8, 10]
"""
PROGRAMS = {
    "parsl-threads": ("parsl", PARSL.replace("{executor}", THREADS)),
    "parsl-processes": ("parsl", PARSL.replace("{executor}", HTEX)),
    "dask": ("distributed", DASK),
}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("where", ["script", "module"])
@pytest.mark.parametrize("program", PROGRAMS)
def test_each_call_leaves_a_crate(
    tmp_path: Path, crates: Path, wait_for: Callable[..., None], program: str, where: str
) -> None:
    needs, text = PROGRAMS[program]
    pytest.importorskip(needs)
    if program == "parsl-processes":
        needs_whole_functions()
    (tmp_path / "steps_of_mine.py").write_text(STEP)
    step = STEP if where == "script" else "from steps_of_mine import double"
    script = tmp_path / "program.py"
    script.write_text(text.replace("{step}", step))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PROV_WORKER")}
    environment |= {"PROV_WORKER": "1", "PROV_WORKER_CRATE_DIR": str(crates), "PROV_WORKER_PLOTS": "none"}
    environment |= {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(tmp_path),
    }
    done = run_python(script, tmp_path / "runinfo", cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    wait_for(lambda: len(list(crates.glob("*.crate"))) == 6, "six crates")
    steps = list(open_run(crates).steps())
    assert {(step.function, step.status) for step in steps} == {("double", "completed")}
    assert sorted(step.annotations["number"] for step in steps) == list(range(6))


@prov_worker.step
def importable(value: Any) -> Any:
    """By name."""
    return value


class Model:
    @prov_worker.step
    def fit(self, value: int) -> tuple[Any, int]:
        """A method."""
        return self, value


def test_a_step_is_packed_by_name_and_methods_stay_methods() -> None:
    assert pickle.loads(pickle.dumps(importable)) is importable
    assert pickle.loads(pickle.dumps(Model.fit)) is Model.fit
    model = Model()
    assert model.fit(3) == (model, 3)
    assert Model.fit(model, 4) == (model, 4)
    assert repr(importable) == "<step importable>"


@pytest.mark.faults  # an agent whose crates are refused tries for a minute
@pytest.mark.parametrize(
    "variable, value, message",
    [
        ("PROV_WORKER_POLL_INTERVAL", "abc", "recording is off: PROV_WORKER_POLL_INTERVAL: expected a number"),
        ("PROV_WORKER_CRATE_DIR", "{here}/file/crates", "recording: no crate can appear in {here}/file/crates: Not a"),
    ],
)
def test_why_no_crate_will_come_is_said_in_one_line(tmp_path: Path, variable: str, value: str, message: str) -> None:
    (tmp_path / "file").write_text("")
    program = tmp_path / "program.py"
    program.write_text(f"{STEP}\nprint(double(3), double(4))\n")
    environment = {**os.environ, "PROV_WORKER": "1", variable: value.format(here=tmp_path)}
    done = run_python(str(program), cwd=tmp_path, env=environment, check=True)
    assert (done.stdout, done.stderr.count("\n")) == ("6 8\n", 1)
    assert done.stderr.startswith(message.format(here=tmp_path))
