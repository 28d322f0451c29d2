"""PyTorch itself under recorded steps: optimizers, models and layers; also of a task that is killed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from prov_worker.crate.reader import StepCrate
from prov_worker.crate.training import training_of
from prov_worker.run.api import open_run
from prov_worker.training import Training
from support.commands import run_program

pytestmark = [pytest.mark.long, pytest.mark.torch, pytest.mark.timeout(600)]
PROGRAM = """
import os, sys, time
import prov_worker

@prov_worker.step
def train(end):
    import torch
    torch.manual_seed(7)
    torch.use_deterministic_algorithms(True)

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = torch.nn.Linear(8, 16), torch.nn.Linear(16, 1)
            self.second.bias.requires_grad_(False)

        def forward(self, x):
            return self.second(torch.relu(self.first(x)))

    net, other = Net(), torch.nn.Linear(2, 1)
    adam, sgd = torch.optim.Adam(net.parameters()), torch.optim.SGD(other.parameters())
    for number in range(2000):
        adam.zero_grad()
        net(torch.ones(4, 8)).sum().backward()
        adam.step()
        if number < 10:
            other(torch.ones(2)).sum().backward()
            sgd.step()
    if end == "raise":
        torch.nn.Linear(2, 2)(torch.ones(3))
    if end == "kill":
        time.sleep(2.2)
        adam.step()
        os.kill(os.getpid(), 9)

@prov_worker.step
def nothing():
    return 1

try:
    train(sys.argv[1])
except RuntimeError:
    pass
nothing()
"""


def run(
    torch: str, tmp_path: Path, crates: Path, wait_for: Callable[..., None], end: str, mode: str
) -> dict[str, Training]:
    (tmp_path / "program.py").write_text(PROGRAM)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PROV_WORKER")}
    environment |= {"PROV_WORKER": "1", "PROV_WORKER_CRATE_DIR": str(crates), "PROV_WORKER_PLOTS": "none"}
    environment["PROV_WORKER_CAPTURE"] = f"torch={mode}"
    run_program(torch, "program.py", end, cwd=tmp_path, env=environment, timeout=500)
    count = 1 if end == "kill" else 2
    wait_for(lambda: len(list(crates.glob("*.crate"))) == count, "the crates")
    steps = {step.function: step for step in open_run(crates).steps()}
    assert "nothing" not in steps or steps["nothing"].models == []
    (crate,) = (path.parent.parent for path in crates.glob("*.crate/data/training.json"))
    assert StepCrate.open(crate).task_id == steps["train"].task_id
    assert steps["train"].models == ["Net", "Linear"]
    return {"train": training_of(StepCrate.open(crate).source)}


@pytest.mark.parametrize("end", ["end", "raise", "kill"])
def test_steps_of_each_optimizer_are_counted(
    torch: str, tmp_path: Path, crates: Path, wait_for: Callable[..., None], end: str
) -> None:
    training = run(torch, tmp_path, crates, wait_for, end, "steps")["train"]
    net, linear = training.models
    assert (net.name, net.optimizer, net.steps) == ("Net", "Adam", 2001 if end == "kill" else 2000)
    assert (net.parameters, net.trainable, net.dtypes, net.devices) == (161, 160, ["float32"], ["cpu"])
    assert (linear.name, linear.optimizer, linear.steps, linear.parameters) == ("Linear", "SGD", 10, 3)
    assert 0 < (net.step_seconds_low or 0) <= (net.step_seconds or 0) <= (net.step_seconds_high or 0)
    assert net.counts == sorted(net.counts)
    assert net.offsets_s == sorted(net.offsets_s)
    assert len(net.counts) <= 513
    assert training.conditions["torch seed"] == "7"
    assert training.conditions["torch deterministic algorithms"] is True
    assert training.layers == []


def test_calls_of_layers_are_timed_by_class_also_if_one_raises(
    torch: str, tmp_path: Path, crates: Path, wait_for: Callable[..., None]
) -> None:
    training = run(torch, tmp_path, crates, wait_for, "raise", "layers")["train"]
    layers = {layer.name: layer for layer in training.layers}
    assert layers["Net"].calls == 2000
    assert layers["Linear"].calls == 4000 + 10 + 1
    assert 0 < layers["Linear"].seconds < layers["Net"].seconds + 1


LIGHTNING = """
import lightning, torch
import prov_worker

class Epochs(lightning.Callback):
    def on_train_epoch_end(self, trainer, module):
        values = {name: float(value) for name, value in trainer.callback_metrics.items()}
        prov_worker.annotate(epoch=trainer.current_epoch, **values)

class Fit(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)

    def training_step(self, batch, index):
        loss = self.layer(batch).square().mean()
        self.log("loss", loss)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

@prov_worker.step
def train():
    data = torch.utils.data.DataLoader(torch.ones(8, 2), batch_size=4)
    trainer = lightning.Trainer(max_epochs=5, accelerator="cpu", logger=False, enable_checkpointing=False,
                                enable_progress_bar=False, callbacks=[Epochs()])
    trainer.fit(Fit(), data)

train()
"""
ACCELERATE = """
import accelerate, torch
import prov_worker

@prov_worker.step
def train():
    accelerator = accelerate.Accelerator(cpu=True)
    model = torch.nn.Linear(2, 1)
    data = torch.utils.data.DataLoader(torch.ones(8, 2), batch_size=4)
    model, optimizer, data = accelerator.prepare(model, torch.optim.SGD(model.parameters(), lr=0.1), data)
    for epoch in range(5):
        for batch in data:
            loss = model(batch).square().mean()
            accelerator.backward(loss)
            optimizer.step()
            optimizer.zero_grad()
        prov_worker.annotate(epoch=epoch, loss=loss.item())

train()
"""


@pytest.mark.parametrize(("library", "program"), [("lightning", LIGHTNING), ("accelerate", ACCELERATE)])
def test_epochs_of_trainers_are_curves_beside_the_steps(
    torch: str, tmp_path: Path, crates: Path, wait_for: Callable[..., None], library: str, program: str
) -> None:
    if run_program(torch, "-c", f"import {library}").returncode:
        pytest.skip(f"no {library} beside PyTorch; make torch")
    (tmp_path / "program.py").write_text(program)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PROV_WORKER")}
    environment |= {"PROV_WORKER": "1", "PROV_WORKER_CRATE_DIR": str(crates), "PROV_WORKER_PLOTS": "none"}
    done = run_program(torch, "program.py", cwd=tmp_path, env=environment, timeout=500)
    assert done.returncode == 0, done.stderr
    wait_for(lambda: list(crates.glob("*.crate")), "the crate")
    (crate,) = crates.glob("*.crate")
    training = training_of(StepCrate.open(crate).source)
    (tracked,), (model,) = training.runs, training.models
    losses = {metric.name: metric for metric in tracked.metrics}["loss"]
    assert (tracked.tool, losses.steps) == ("annotate", [0, 1, 2, 3, 4])
    assert (losses.values[-1] or 0) < (losses.values[0] or 0)
    assert (model.optimizer, model.steps) == ("SGD", 10)
