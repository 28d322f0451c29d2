"""What recording libraries costs, each beside the library alone: Dask, PyTorch, TensorBoard's files, and none at all.

PyTorch and TensorBoard are those of ``PROV_TEST_TORCH`` (``make torch``), the oldest Dask is that of ``PROV_TEST_DASK``
(``make dask``); rows without them say so.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.harness import (
    Bench,
    BenchmarkError,
    alternate,
    await_crates,
    crates_in,
    end_agent,
    fresh,
    median,
    quartiles,
)
from benchmarks.rows import Row, Target


def run(bench: Bench) -> list[Row]:
    """Rows for each library, and for tasks that use none."""
    torch = os.environ.get("PROV_TEST_TORCH", "")
    rows = [*_no_library(bench), *_dask(bench)]
    for measure, names in ((_torch, ("torch steps", "torch layers")), (_event_files, ("event files",))):
        try:
            if not os.path.exists(torch):
                raise BenchmarkError("PROV_TEST_TORCH names no Python; make torch")
            rows += measure(bench, torch)
        except BenchmarkError as error:
            rows += [Row(name, None, "", note=str(error)) for name in names]
    return rows


# -- no library ------------------------------------------------------------------------------------------------------


def _no_library(bench: Bench) -> list[Row]:
    crate_dir = bench.crate_dir(memory=True)
    modules = fresh("benchmarks.capture:modules_of_tasks", crate_dir=crate_dir)
    end_agent(crate_dir)
    note = "modules of prov_worker.capture in a worker after 100 tasks that use no library"
    bench.say("imports with a finder that waits for libraries")
    ours, plain = fresh("benchmarks.capture:imports", modules=bench.pick(2000, 100))
    return [
        Row("modules imported for libraries that no task uses", len(modules), "", None, Target(0), 100, note=note),
        Row(
            "first import of an empty module",
            median(ours),
            "µs",
            median(plain),
            None,
            len(ours),
            **quartiles(ours),
            note="with the finder that waits for libraries, beside one without it, by turns",
        ),
    ]


def imports(modules: int) -> tuple[list[float], list[float]]:
    """In a fresh process: µs that imports of empty modules take, with the finder in place and without."""
    import importlib
    import sys

    from prov_worker import arrivals

    arrivals.when_imported("torch", lambda module: None)
    finder = sys.meta_path.pop(0)
    times: tuple[list[float], list[float]] = ([], [])
    with tempfile.TemporaryDirectory() as directory:
        for number in range(modules):
            Path(directory, f"empty_{number}.py").touch()
        sys.path.insert(0, directory)
        sys.dont_write_bytecode = True
        for number in range(modules):
            if number % 2 == 0:
                sys.meta_path.insert(0, finder)
            began = time.perf_counter_ns()
            importlib.import_module(f"empty_{number}")
            times[number % 2].append((time.perf_counter_ns() - began) / 1e3)
            if number % 2 == 0:
                sys.meta_path.remove(finder)
    return times


def modules_of_tasks(crate_dir: str) -> list[str]:
    """In a fresh process: names of the modules that are there after tasks of no library."""
    import sys

    step = _step(crate_dir)(_noop)
    for _ in range(100):
        step()
    return [name for name in sys.modules if name.startswith("prov_worker.capture.")]


def _noop() -> None:
    return None


def _step(crate_dir: str, **settings: str) -> Any:
    os.environ |= {"PROV_WORKER": "1", "PROV_WORKER_CRATE_DIR": crate_dir, "PROV_WORKER_PLOTS": "none", **settings}
    import prov_worker

    return prov_worker.step


# -- Dask ------------------------------------------------------------------------------------------------------------

#: Tasks before those that are timed: the node's agent has started by then, and has written their crates.
_WARM_UP = 50


def _dask(bench: Bench) -> list[Row]:
    """Rows for a burst of tasks, and for tasks that follow one another for longer than their crates wait."""
    burst = _Clusters(bench.pick(1500, 100), bench.pick(7, 1), "a burst: its crates are written when it is over")
    longer = _Clusters(
        bench.pick(5000, 200),
        bench.pick(3, 1),
        "longer than crates wait: they are written beside, on the same processors",
    )
    rows = [
        *burst.rows(bench, sys.executable, "Dask, per task"),
        *longer.rows(bench, sys.executable, "Dask, per task, with crates beside"),
    ]
    oldest = os.environ.get("PROV_TEST_DASK", "")
    try:
        if not os.path.exists(oldest):
            raise BenchmarkError("PROV_TEST_DASK names no Python; make dask")
        return rows + burst.rows(bench, oldest, "Dask 2024.10, per task")
    except BenchmarkError as error:
        return [*rows, Row("Dask 2024.10, per task", None, "", note=str(error))]


@dataclass(frozen=True)
class _Clusters:
    """Clusters with recording and without, by turns.

    Attributes:
        tasks: of each.
        pairs: of clusters.
        about: when crates are written.
    """

    tasks: int
    pairs: int
    about: str

    def rows(self, bench: Bench, python: str, name: str) -> list[Row]:
        """Rows for the release of Dask that an interpreter has."""
        bench.say(f"{name}: {self.pairs} pairs of clusters, {self.tasks} tasks each")
        crate_dir = bench.crate_dir(memory=True)
        recorded = 0

        def ours() -> float:
            nonlocal recorded
            answer = fresh("benchmarks.capture:cluster", python=python, crate_dir=crate_dir, tasks=self.tasks)
            recorded += self.tasks + _WARM_UP
            await_crates(crate_dir, recorded, 300.0)  # the next cluster has the processors for itself
            end_agent(crate_dir)
            return float(answer)

        def plain() -> float:
            return float(fresh("benchmarks.capture:cluster", python=python, crate_dir=None, tasks=self.tasks))

        ours_us, plain_us = alternate(ours, plain, self.pairs)
        note = f"LocalCluster of two processes, {self.tasks} tasks of 1 ms, submission to last result; {self.about}"
        share = 100 * crates_in(crate_dir) / recorded
        return [
            Row(name, median(ours_us), "µs", median(plain_us), Target(1.05, of_ratio=True), self.pairs,
                **quartiles(ours_us), note=note),
            Row(f"{name}: tasks with a crate", share, "%", None, Target(100, at_most=False), recorded),
        ]  # fmt: skip


def cluster(crate_dir: str | None, tasks: int) -> float:
    """In a fresh process: µs per task of a cluster; recorded if there is a directory for crates."""
    from distributed import Client, LocalCluster

    if crate_dir is not None:
        os.environ |= {"PROV_WORKER": "1", "PROV_WORKER_CRATE_DIR": crate_dir, "PROV_WORKER_PLOTS": "none"}
        preload = {"preload": ["prov_worker.capture.dask"]}
        present = crates_in(crate_dir)
    else:
        preload, present = {}, 0
    options = {
        "n_workers": 2,
        "threads_per_worker": 1,
        "processes": True,
        "dashboard_address": None,
        "host": "127.0.0.1",
    }
    with LocalCluster(**options, **preload) as local, Client(local) as client:
        client.gather(client.map(_one_millisecond, range(_WARM_UP), pure=False))
        if crate_dir is not None:
            await_crates(crate_dir, present + _WARM_UP)
        began = time.perf_counter()
        client.gather(client.map(_one_millisecond, range(tasks), pure=False))
        return 1e6 * (time.perf_counter() - began) / tasks


def _one_millisecond(number: int) -> int:
    until = time.perf_counter() + 1e-3
    while time.perf_counter() < until:
        pass
    return number


# -- PyTorch ---------------------------------------------------------------------------------------------------------


def _torch(bench: Bench, python: str) -> list[Row]:
    rows = []
    rounds = bench.pick(5, 1)
    for mode, bound in (("steps", 1.01), ("layers", 1.05)):
        bench.say(f"PyTorch, {mode}")
        crate_dir = bench.crate_dir(memory=True)
        pairs: list[list[float]] = []
        for _ in range(rounds):
            pairs += fresh(
                "benchmarks.capture:training",
                python=python,
                crate_dir=crate_dir,
                mode=mode,
                pairs=bench.pick(40, 4),
                steps=bench.pick(20, 5),
            )
        end_agent(crate_dir)
        ours, plain = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        note = "a step of Adam on five linear layers, on the CPU; the hooks are taken out and put back by turns"
        target = Target(bound, of_ratio=True)
        rows.append(
            Row(f"torch {mode}", median(ours), "ms", median(plain), target, len(pairs), **quartiles(ours), note=note)
        )
    return rows


def training(crate_dir: str, mode: str, pairs: int, steps: int) -> list[list[float]]:
    """In a fresh process: ms of CPU time per step with the hooks and without, in pairs."""
    step = _step(crate_dir, PROV_WORKER_CAPTURE=f"torch={mode}")
    answer: list[list[float]] = []

    @step
    def train() -> None:
        import torch
        from torch.nn.modules import module as modules
        from torch.optim import optimizer as optimizers

        torch.set_num_threads(1)
        layers = [torch.nn.Linear(300, 300) for _ in range(5)]
        net = torch.nn.Sequential(*layers)
        adam = torch.optim.Adam(net.parameters())
        data = torch.ones(128, 300)

        def timed_ms() -> float:
            began = time.process_time()
            for _ in range(steps):
                adam.zero_grad()
                net(data).sum().backward()
                adam.step()
            return 1e3 * (time.process_time() - began) / steps

        hooks = [
            optimizers._global_optimizer_post_hooks,
            modules._global_forward_pre_hooks,
            modules._global_forward_hooks,
            modules._global_forward_hooks_always_called,
        ]

        def plain_ms() -> float:
            kept = [dict(hook) for hook in hooks]
            for hook in hooks:
                hook.clear()
            try:
                return timed_ms()
            finally:
                for hook, entries in zip(hooks, kept, strict=True):
                    hook.update(entries)

        timed_ms()
        answer.extend(map(list, zip(*alternate(timed_ms, plain_ms, pairs), strict=True)))

    train()
    return answer


# -- event files -----------------------------------------------------------------------------------------------------


def _event_files(bench: Bench, python: str) -> list[Row]:
    bench.say("event files")
    scalars, pairs = bench.pick(50_000, 2000), bench.pick(7, 1)
    ours, theirs, equal = fresh("benchmarks.capture:reading", python=python, scalars=scalars, pairs=pairs)
    note = f"{scalars} scalars of 5 tags; stock is TensorBoard's EventAccumulator without TensorFlow; equal: {equal}"
    target = Target(1 / 3, of_ratio=True)
    return [Row("event files", median(ours), "s", median(theirs), target, pairs, **quartiles(ours), note=note)]


def reading(scalars: int, pairs: int) -> tuple[list[float], list[float], bool]:
    """In a fresh process: seconds of CPU time that each reader takes for a file, and whether they say the same."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from torch.utils.tensorboard import SummaryWriter

    from prov_worker.capture.reading.clock import Deadline
    from prov_worker.capture.reading.event_file import read_events

    values: list[Any] = [None, None]
    with tempfile.TemporaryDirectory() as directory:
        with SummaryWriter(directory) as writer:
            for number in range(scalars):
                writer.add_scalar(f"tag-{number % 5}", number**0.5, number)
        (path,) = Path(directory).iterdir()

        def ours() -> float:
            began = time.process_time()
            events = read_events(str(path), Deadline(600))
            values[0] = {tag: [(step, value) for step, value, _ in points] for tag, points in events.scalars.items()}
            return time.process_time() - began

        def theirs() -> float:
            began = time.process_time()
            with contextlib.redirect_stderr(io.StringIO()):
                accumulator = EventAccumulator(str(path), size_guidance={"scalars": 0})
                accumulator.Reload()
            values[1] = {
                tag: [(event.step, event.value) for event in accumulator.Scalars(tag)]
                for tag in accumulator.Tags()["scalars"]
            }
            return time.process_time() - began

        times = alternate(ours, theirs, pairs)
    return *times, values[0] == values[1]
