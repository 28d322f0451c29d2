"""PyTorch: steps of optimizers, the models that they train, and what a result depends on.

By two of PyTorch's global hooks, which are there once ``torch`` has been imported: after each step of an optimizer, a
count and a look at the clock; before a call of a layer, until the model is known (of ``layers``, for all calls).
Nothing here waits for a device: what a hook looks at is in the process's memory already.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from types import ModuleType
from typing import Any

from prov_worker.capture import CAPTURES, Library
from prov_worker.capture_settings import LAYERS, Capture
from prov_worker.interruptions import is_own
from prov_worker.recorder.context import running
from prov_worker.recorder.current_task import RunningTask, current_task
from prov_worker.recorder.errors import log_internal_error
from prov_worker.recorder.libraries import ENDINGS
from prov_worker.spool.captures import write_capture
from prov_worker.training import LayerTime, TrainedModel, Training

#: PyTorch's modules that have the hooks; not all of them are attributes of the packages that they are in.
_OPTIMIZERS, _MODULES = "torch.optim.optimizer", "torch.nn.modules.module"
#: How often what is known is written down while a task runs, should its process be killed.
FLUSH_NS = 2_000_000_000
#: Points of the steps over time; as many again, and every second is dropped.
MAX_POINTS = 512
_MAX_MODELS = 64
_MAX_LAYERS = 1000
_clock_ns = time.perf_counter_ns


class _Optimizer:
    """Steps of one optimizer in one task."""

    __slots__ = ("counts", "high_ns", "last_ns", "low_ns", "model", "offsets_ns", "stride", "total_ns")

    def __init__(self, model: TrainedModel) -> None:
        self.model = model
        self.last_ns = 0
        self.total_ns = 0
        self.low_ns = 1 << 62
        self.high_ns = 0
        self.stride = 1
        self.offsets_ns: list[int] = []
        self.counts: list[int] = []

    def step(self, now_ns: int) -> None:
        """Count a step."""
        model = self.model
        count = model.steps = model.steps + 1
        if self.last_ns:
            took_ns = now_ns - self.last_ns
            self.total_ns += took_ns
            if took_ns < self.low_ns:
                self.low_ns = took_ns
            if took_ns > self.high_ns:
                self.high_ns = took_ns
        self.last_ns = now_ns
        if not count % self.stride:
            self.offsets_ns.append(now_ns)
            self.counts.append(count)
            if len(self.counts) > MAX_POINTS:
                self.stride *= 2
                del self.offsets_ns[::2], self.counts[::2]

    def described(self, start_ns: int) -> TrainedModel:
        """Return the model, with what its steps took; ``start_ns`` is the start of the task on the same clock."""
        model = self.model
        if model.steps > 1:
            model.step_seconds = self.total_ns / (model.steps - 1) / 1e9
            model.step_seconds_low, model.step_seconds_high = self.low_ns / 1e9, self.high_ns / 1e9
        model.offsets_s = [round((offset_ns - start_ns) / 1e9, 6) for offset_ns in self.offsets_ns]
        model.counts = list(self.counts)
        return model


class _Layers(dict[type, list[int]]):
    """Calls of layers and their time, ns, by class.

    Attributes:
        over: the task has ended; what comes later belongs to another one.
    """

    over = False


_NO_LAYERS = _Layers()
_NO_LAYERS.over = True


class _Task:
    """What PyTorch does in one task."""

    def __init__(self, here: RunningTask) -> None:
        self.running = here
        self.start_ns = _clock_ns() - (time.time_ns() - here.attempt.start_ns)
        self.flushed_ns = _clock_ns()
        self.optimizers: dict[int, _Optimizer] = {}
        self.layers = _Layers()
        self.seen: list[Any] = []


class _Calls(threading.local):
    """Layers that are being called in this thread: class and start of each, and where their times go."""

    def __init__(self) -> None:
        self.stack: list[tuple[Any, int]] = []
        self.layers = _NO_LAYERS


class Watch:
    """Watches PyTorch in a worker.

    Args:
        torch: the module.
        layers: whether calls of layers are timed.
    """

    def __init__(self, torch: Any, layers: bool) -> None:
        self._torch = torch
        self._layers = layers
        self._tasks: dict[Any, _Task] = {}
        self._calls = _Calls()
        self._handle: Any = None
        self._peaks: dict[int, int] = {}
        self._lock = threading.Lock()

    def begin(self) -> None:
        """Put the hooks in place."""
        sys.modules[_OPTIMIZERS].register_optimizer_step_post_hook(self._stepped)
        if self._layers:
            modules: Any = sys.modules[_MODULES]
            modules.register_module_forward_pre_hook(self._enters)
            # called as well if the layer raises
            modules.register_module_forward_hook(self._leaves, always_call=True)
        else:
            self._await_model()

    def _await_model(self) -> None:
        """Look at the next call of a layer: the outermost is the model."""
        if self._handle is None and not self._layers:
            self._handle = sys.modules[_MODULES].register_module_forward_pre_hook(self._sees_model)

    # -- hooks: called by PyTorch in the task's own code -----------------------------------------------------------

    def _stepped(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        try:
            task = self._task_of()
            if task is None:
                return
            entry = task.optimizers.get(id(optimizer))
            now_ns = _clock_ns()
            if entry is None:
                if len(task.optimizers) >= _MAX_MODELS:
                    return
                entry = task.optimizers[id(optimizer)] = _Optimizer(self._describe(task, optimizer))
                self._await_model()
            entry.step(now_ns)
            if now_ns - task.flushed_ns > FLUSH_NS:
                task.flushed_ns = now_ns
                self._write(task)
        except Exception as error:
            if not is_own(error):
                raise
            log_internal_error("a step of a PyTorch optimizer")

    def _sees_model(self, module: Any, args: Any) -> None:
        try:
            handle, self._handle = self._handle, None
            if handle is not None:
                handle.remove()
            task = self._task_of()
            if task is not None and len(task.seen) < _MAX_MODELS:
                task.seen.append(_Model(module))
        except Exception as error:
            if not is_own(error):
                raise
            log_internal_error("a PyTorch model")

    def _enters(self, module: Any, args: Any) -> None:
        calls = self._calls
        stack = calls.stack
        if not stack or calls.layers.over:
            self._enters_task(calls, module)
        stack.append((module, _clock_ns()))

    def _enters_task(self, calls: _Calls, module: Any) -> None:
        """Find the task of this thread: once per call of a model, and not for each of its layers."""
        try:
            task = self._task_of()
            if task is None:
                calls.layers = _NO_LAYERS
                return
            calls.layers = task.layers
            outermost = not calls.stack
            if outermost and len(task.seen) < _MAX_MODELS and not any(seen.is_(module) for seen in task.seen):
                task.seen.append(_Model(module))
        except Exception as error:
            if not is_own(error):
                raise
            log_internal_error("a PyTorch model")

    def _leaves(self, module: Any, args: Any, output: Any) -> None:
        now_ns = _clock_ns()
        calls = self._calls
        stack = calls.stack
        while stack:
            entered, began_ns = stack.pop()
            if entered is module:
                layers = calls.layers
                times = layers.get(type(module))
                if times is not None:
                    times[0] += 1
                    times[1] += now_ns - began_ns
                elif not layers.over and len(layers) < _MAX_LAYERS:
                    layers[type(module)] = [1, now_ns - began_ns]
                return

    # ---------------------------------------------------------------------------------------------------------------

    def ended(self, recorder: Any) -> None:
        """Write down what is known when a task has ended."""
        task = self._tasks.pop(recorder, None) or self._tasks.pop(None, None)
        self._calls.stack.clear()
        if task is None:
            return
        task.layers.over = True
        if task.running.attempt != recorder.attempt_id:
            return
        self._write(task, at_end=True)
        self._await_model()

    def _task_of(self) -> _Task | None:
        """Return the state of this thread's task; in a thread that a task started, of the only one there is."""
        recorder = running.task
        task = self._tasks.get(recorder)
        if task is not None:
            return task
        if recorder is None and self._tasks:
            return next(iter(self._tasks.values())) if len(self._tasks) == 1 else None
        task_here = current_task()
        if task_here is None:
            return None
        with self._lock:
            return self._tasks.setdefault(recorder, _Task(task_here))

    @staticmethod
    def _describe(task: _Task, optimizer: Any) -> TrainedModel:
        model = TrainedModel("torch", optimizer=type(optimizer).__name__, pid=os.getpid())
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        first = {id(parameter) for parameter in parameters}
        model.parameters = model.trainable = sum(parameter.numel() for parameter in parameters)
        model.dtypes = sorted({str(parameter.dtype).removeprefix("torch.") for parameter in parameters})
        model.devices = sorted({str(parameter.device) for parameter in parameters})
        for seen in reversed(task.seen):
            if not first.isdisjoint(seen.parameters):
                model.name, model.parameters, model.trainable = seen.name, seen.count, seen.trainable
                break
        return model

    def _write(self, task: _Task, at_end: bool = False) -> None:
        layers: dict[str, list[int]] = {}
        for kind, (calls, total_ns) in tuple(task.layers.items()):  # other threads add to it
            times = layers.setdefault(kind.__name__, [0, 0])
            times[0] += calls
            times[1] += total_ns
        training = Training(
            models=[entry.described(task.start_ns) for entry in task.optimizers.values()],
            layers=[LayerTime(name, calls, total_ns / 1e9) for name, (calls, total_ns) in layers.items()],
            conditions=self._conditions(),
        )
        trained = {model.name for model in training.models}
        training.models += [
            TrainedModel("torch", seen.name, parameters=seen.count, trainable=seen.trainable, pid=os.getpid(),
                         dtypes=seen.dtypes, devices=seen.devices)
            for seen in task.seen
            if seen.name not in trained
        ]  # fmt: skip
        if at_end:
            training.peak_device_bytes = self._peak_bytes()
        write_capture(task.running.runtime, task.running.attempt, "torch", training.to_dict())

    def _conditions(self) -> dict[str, str | int | float | bool]:
        torch = self._torch
        conditions: dict[str, str | int | float | bool] = {
            "torch": str(torch.__version__),
            "torch seed": str(torch.initial_seed()),
            "torch deterministic algorithms": bool(torch.are_deterministic_algorithms_enabled()),
            "torch threads": int(torch.get_num_threads()),
        }
        if torch.version.cuda or torch.version.hip:
            conditions["torch CUDA" if torch.version.cuda else "torch HIP"] = str(
                torch.version.cuda or torch.version.hip
            )
            conditions["torch cuDNN deterministic"] = bool(torch.backends.cudnn.deterministic)
            conditions["torch cuDNN benchmark"] = bool(torch.backends.cudnn.benchmark)
            conditions["torch TF32"] = bool(torch.backends.cuda.matmul.allow_tf32)
        return conditions

    def _peak_bytes(self) -> dict[str, int]:
        """Return most memory that tensors took in this task, by device; only if it is more than in all tasks before."""
        cuda = self._torch.cuda
        if not cuda.is_initialized():
            return {}
        peaks = {}
        for device in range(cuda.device_count()):
            peak = int(cuda.max_memory_allocated(device))
            if peak > self._peaks.get(device, 0):
                peaks[f"cuda:{device}"] = self._peaks[device] = peak
        return peaks


class _Model:
    """A model that was called, described at once: it is not kept."""

    __slots__ = ("_id", "count", "devices", "dtypes", "name", "parameters", "trainable")

    def __init__(self, module: Any) -> None:
        inner = getattr(module, "_orig_mod", None) or getattr(module, "module", None)
        named = inner if inner is not None and hasattr(inner, "parameters") else module
        parameters = list(named.parameters())
        self._id = id(module)
        self.name = type(named).__name__
        self.parameters = {id(parameter) for parameter in parameters}
        sizes = [(0 if _is_lazy(parameter) else parameter.numel(), parameter.requires_grad) for parameter in parameters]
        self.count = sum(size for size, _ in sizes)
        self.trainable = sum(size for size, trainable in sizes if trainable)
        self.dtypes = sorted({str(parameter.dtype).removeprefix("torch.") for parameter in parameters})
        self.devices = sorted({str(parameter.device) for parameter in parameters})

    def is_(self, module: Any) -> bool:
        """Return whether it is a module."""
        return self._id == id(module)


def _is_lazy(parameter: Any) -> bool:
    return type(parameter).__name__ == "UninitializedParameter"


def arrive(module: ModuleType, capture: Capture) -> str | None:
    """Watch PyTorch from now on; returns why that cannot be."""
    torch: Any = sys.modules["torch"]
    hooked = (_OPTIMIZERS, "register_optimizer_step_post_hook"), (_MODULES, "register_module_forward_pre_hook")
    if not all(hasattr(sys.modules.get(module), name) for module, name in hooked):
        return f"release {getattr(torch, '__version__', 'unknown')} lacks hooks of optimizers or of layers"
    watch = Watch(torch, capture.torch == LAYERS)
    watch.begin()
    ENDINGS.append(watch.ended)
    return None


CAPTURES.add("torch", Library(arrive=arrive))
