"""MLflow itself under a recorded step: every run of the task in its crate, whatever became of it."""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from prov_worker.crate.reader import StepCrate
from prov_worker.crate.training import training_of
from prov_worker.run.api import open_run
from prov_worker.training import Training
from support.commands import run_program
from support.event_servers import free_port
from support.programs import Programs

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]
PROGRAM = """
import os, sys
import prov_worker

@prov_worker.step
def train(end):
    import mlflow
    mlflow.set_experiment("exp")
    for number in range(12):
        with mlflow.start_run(run_name=f"run-{number}"):
            mlflow.log_params({f"p{index}": number * index for index in range(6)})
            for index in range(6):
                for step, value in enumerate((0.5, 0.9, 0.7)):
                    mlflow.log_metric(f"m{index}", value * index, step=step)
            with mlflow.start_run(run_name="child", nested=True):
                pass
    try:
        with mlflow.start_run(run_name="failing"):
            raise ValueError("diverged")
    except ValueError:
        pass
    mlflow.start_run(run_name="last")
    mlflow.log_metric("nan", float("nan"))
    if end == "kill":
        os.kill(os.getpid(), 9)
    mlflow.end_run("KILLED")

train(sys.argv[1])
"""
SCRIPT = """
import subprocess, sys
import prov_worker

@prov_worker.step
def train():
    code = "import mlflow; mlflow.start_run(run_name='in a script'); mlflow.log_metric('a', 1)"
    subprocess.run([sys.executable, "-c", code], check=True)

train()
"""
AUTOLOG = """
import prov_worker

@prov_worker.step
def fit():
    import mlflow
    from sklearn.linear_model import LogisticRegression
    mlflow.autolog(log_models=False)
    LogisticRegression(C=0.5, max_iter=50).fit([[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 1])

fit()
"""


def run(
    mlflow: str, tmp_path: Path, crates: Path, wait_for: Callable[..., None], text: str, *arguments: str, **more: str
) -> Training:
    (tmp_path / "program.py").write_text(text)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PROV_WORKER")}
    environment |= {"PROV_WORKER": "1", "PROV_WORKER_CRATE_DIR": str(crates), "PROV_WORKER_PLOTS": "none", **more}
    run_program(mlflow, "program.py", *arguments, cwd=tmp_path, env=environment, timeout=500)
    wait_for(lambda: list(crates.glob("*.crate")), "a crate")
    (crate,) = crates.glob("*.crate")
    return training_of(StepCrate.open(crate).source)


@pytest.mark.parametrize("end", ["end", "kill"])
def test_every_run_and_every_value_is_in_the_crate(
    mlflow: str, tmp_path: Path, crates: Path, wait_for: Callable[..., None], end: str
) -> None:
    training = run(mlflow, tmp_path, crates, wait_for, PROGRAM, end)
    assert training.absent == []
    runs = {run.name: run for run in training.runs}
    assert len(training.runs) == 26
    assert {run.experiment for run in training.runs} == {"exp"}
    for number in range(12):
        tracked = runs[f"run-{number}"]
        assert tracked.status == "FINISHED"
        assert tracked.parameters == {f"p{index}": str(number * index) for index in range(6)}
        metrics = {metric.name: metric for metric in tracked.metrics}
        assert {name: (metric.count, metric.steps) for name, metric in metrics.items()} == dict.fromkeys(
            (f"m{index}" for index in range(6)), (3, [0, 1, 2])
        )
        assert [metrics[f"m{index}"].last for index in range(6)] == [0.7 * index for index in range(6)]
    parents = {run.parent for run in training.runs if run.name == "child"}
    assert parents == {runs[f"run-{number}"].id for number in range(12)}
    assert (runs["failing"].status, runs["last"].status) == ("FAILED", "RUNNING" if end == "kill" else "KILLED")
    assert (runs["last"].metrics[0].count, runs["last"].metrics[0].last) == (1, None)
    (step,) = open_run(crates).steps()
    assert (step.status, step.training_runs) == ("failed" if end == "kill" else "completed", 26)
    assert (step.hyperparameters["p5"], step.metrics["m1"]) == ("0", 0.7)


def test_runs_that_autolog_makes_are_the_task_s(
    mlflow: str, tmp_path: Path, crates: Path, wait_for: Callable[..., None]
) -> None:
    (tracked,) = run(mlflow, tmp_path, crates, wait_for, AUTOLOG).runs
    assert tracked.status == "FINISHED"
    assert (tracked.parameters["C"], tracked.parameters["max_iter"]) == ("0.5", "50")
    assert {metric.name: metric.last for metric in tracked.metrics}["training_accuracy_score"] == 1.0


@pytest.mark.parametrize("store", ["database", "files"])
def test_runs_of_a_script_that_a_task_starts_are_its_own(
    mlflow: str, tmp_path: Path, crates: Path, wait_for: Callable[..., None], store: str
) -> None:
    more = {"MLFLOW_TRACKING_URI": "sqlite:///runs.db"}
    if store == "files":
        more = {"MLFLOW_TRACKING_URI": "mlruns", "MLFLOW_ALLOW_FILE_STORE": "true"}
    (tracked,) = run(mlflow, tmp_path, crates, wait_for, SCRIPT, **more).runs
    assert (tracked.name, tracked.status, tracked.metrics[0].last) == ("in a script", "FINISHED", 1.0)
    assert tracked.tags["prov_worker.task_id"]


def test_runs_on_a_tracking_server_are_read_by_its_interface(
    mlflow: str, tmp_path: Path, crates: Path, wait_for: Callable[..., None], programs: Programs
) -> None:
    address = f"http://127.0.0.1:{free_port()}"
    options = [
        "--backend-store-uri",
        f"sqlite:///{tmp_path}/server.db",
        "--artifacts-destination",
        str(tmp_path / "files"),
    ]
    command = [mlflow, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", address.rpartition(":")[2], *options]
    with open(tmp_path / "server.log", "w") as log:
        programs.start([*command, "--workers", "1"], stdout=log, stderr=log, start_new_session=True)

    def answers() -> bool:
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=5) as response:
                return bool(response.status == 200)
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            return False

    wait_for(answers, "an answer of the server")
    training = run(mlflow, tmp_path, crates, wait_for, PROGRAM, "end", MLFLOW_TRACKING_URI=address)
    assert training.absent == []
    runs = {tracked.name: tracked for tracked in training.runs}
    assert (len(training.runs), runs["failing"].status, runs["last"].status) == (26, "FAILED", "KILLED")
    metrics = {metric.name: metric for metric in runs["run-3"].metrics}
    assert [metrics[f"m{index}"].last for index in range(6)] == [0.7 * index for index in range(6)]
    assert (metrics["m1"].values, metrics["m1"].steps) == ([0.5, 0.9, 0.7], [0, 1, 2])
    assert runs["run-3"].source == address
