"""The summary of a step crate: one attempt at one task in a few fields.

Units are in the names, as in :mod:`prov_worker.model`. A summary is plain data, which
:mod:`prov_worker.crate.summary_reader` reads; the crate stays the truth.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from prov_worker.accelerators import UNKNOWN_GPUS, NodeGpus
from prov_worker.attempt import AttemptId
from prov_worker.counters import Counter

GENERATED = "generated"
USED = "used"


@dataclass(slots=True)
class StepValue:
    """An argument or a result, as its crate describes it.

    Attributes:
        id: of the entity in the step crate, such as ``#input-n``.
        name: parameter name, or ``return``.
        value: number, boolean or text; if the value was not recorded, a stand-in such as ``<int>``.
        type: qualified type name; None if the crate does not say.
        size_bytes: size of the data.
        length: number of items.
        sha256: hex digest of the data.
        recorded: false if ``value`` is a stand-in.
    """

    id: str
    name: str
    value: str | int | float | bool | None = None
    type: str | None = None
    size_bytes: int | None = None
    length: int | None = None
    sha256: str | None = None
    recorded: bool = True


@dataclass(slots=True)
class FileRef:
    """A file that a step used or generated, in its crate or by reference.

    Attributes:
        id: of the entity in the step crate.
        path: path in the crate, or as the step named it.
        role: ``used`` or ``generated``.
        size_bytes, sha256: None if the crate does not say.
        inside: whether the file lies in the crate.
        declared: whether the step itself said so, rather than the recorder having found the file.
    """

    id: str
    path: str
    role: str
    size_bytes: int | None = None
    sha256: str | None = None
    inside: bool = False
    declared: bool = False


@dataclass(slots=True)
class RunStep:
    """One attempt at one task: what reports, exports and indexes need of it.

    Attributes:
        key: unique in the run, stable: name of the crate without its suffix, ``<task_id>`` or
            ``<task_id>.attempt-N``.
        crate: path of the step crate, a directory or a zip file; in a zip of several, ``many.zip!task.crate``.
        crate_id: id of the crate in its run, ``steps/<name>.crate/``; the same for a plain directory.
        task_id: Globus Compute task id.
        attempt: number of the attempt, from 1.
        latest: whether no later attempt at the task is known.
        status: ``completed`` or ``failed``.
        error: one line; None for a completed step.
        failure_kind: as of :class:`prov_worker.model.Failure`; None for a completed step.
        failure_type: type of the exception.
        failure_signal: such as ``SIGKILL``.
        start_ns: nanoseconds since the epoch; None if its crate names no start: no worker began the task.
        end_ns: nanoseconds since the epoch.
        wall_s: seconds from start to end.
        cpu_s: CPU seconds of the worker and its children; None if unknown.
        peak_rss_bytes: largest resident memory.
        cpu_max_percent, cpu_mean_percent: of samples; 100 is one logical CPU.
        gpu_max_percent: by GPU (``0``, ``1`` …), largest sample of its use.
        gpu_mean_percent: by GPU, mean of its use.
        gpu_memory_max_bytes: by GPU.
        read_bytes, written_bytes: storage traffic of the worker.
        function: name of the function.
        function_id: absolute id of the function in the crate.
        function_sha256: identifies its code; None if unknown.
        function_doc: description of the function.
        module: module of the function.
        endpoint_id, endpoint_name: of the endpoint that was submitted to; None if the crate does not say.
        user_endpoint_id: of the one that it started for the user; None if there is none.
        host: node; pid, thread, rank, pool, block: of the worker.
        user: account that ran the task.
        cpus_allowed: number of logical CPUs that the worker might use.
        cpu_affinity: these CPUs, as in cpuset(7).
        gpus_visible: number of accelerators that the worker might use; None if no variable restricted them.
        node_cpus: logical CPUs of the node. node_memory_bytes: its memory, the control group's limit if lower.
        node_memory_total_bytes: its memory, whatever the limit.
        node_gpus: number of GPUs of the node, without instances of them. cpu_model, gpu_model: their models.
        gpus: how the GPUs of the node are counted.
        environment: recorded environment variables and facts of the scheduler, by name.
        scheduler_job: id of the batch job.
        container: image of the worker.
        software_sha256: of the bill of materials of its environment; None if the crate names none.
        versions: of software, by name; ``python`` among them.
        arguments, results: described values.
        files: used and generated.
        annotations: what user code noted, by key.
        notes: remarks of the recorder.
        part_key: what the library calls the step that gave it out, such as the key of a Dask task; None for a task.
        part_of: id of the task that the step is a part of. needs: ids of the steps whose results it takes.
        training_runs: number of runs that experiment trackers know of it.
        hyperparameters, metrics: of its runs, by name: of several runs, the first that has it; the last value of each.
        models: names of the models that it trained.
        samples, samples_expected: how many samples of the task were taken and due; None if none.
        has_series: whether ``data/resource_usage.json`` is there.
        has_plot: whether the crate holds a plot.
        metadata_sha256: of the crate's metadata file.
        metadata_bytes: its size.
        usage: all totals, key to number, as :attr:`prov_worker.crate.reader.StepCrate.usage` has them.
    """

    key: str
    crate: str
    crate_id: str
    task_id: str
    attempt: int
    status: str
    end_ns: int
    function: str
    function_id: str
    latest: bool = True
    error: str | None = None
    failure_kind: str | None = None
    failure_type: str | None = None
    failure_signal: str | None = None
    start_ns: int | None = None
    wall_s: float | None = None
    cpu_s: float | None = None
    peak_rss_bytes: int | None = None
    cpu_max_percent: float | None = None
    cpu_mean_percent: float | None = None
    gpu_max_percent: dict[str, float] = field(default_factory=dict)
    gpu_mean_percent: dict[str, float] = field(default_factory=dict)
    gpu_memory_max_bytes: dict[str, float] = field(default_factory=dict)
    read_bytes: int | None = None
    written_bytes: int | None = None
    function_sha256: str | None = None
    function_doc: str | None = None
    module: str | None = None
    endpoint_id: str | None = None
    endpoint_name: str | None = None
    user_endpoint_id: str | None = None
    host: str | None = None
    pid: int | None = None
    thread: int | None = None
    rank: str | None = None
    pool: str | None = None
    block: str | None = None
    user: str | None = None
    cpus_allowed: int | None = None
    cpu_affinity: str | None = None
    gpus_visible: int | None = None
    node_cpus: int | None = None
    node_memory_bytes: int | None = None
    node_memory_total_bytes: int | None = None
    node_gpus: int = 0
    cpu_model: str | None = None
    gpu_model: str | None = None
    gpus: NodeGpus = UNKNOWN_GPUS
    environment: dict[str, str] = field(default_factory=dict)
    scheduler_job: str | None = None
    container: str | None = None
    software_sha256: str | None = None
    versions: dict[str, str] = field(default_factory=dict)
    arguments: list[StepValue] = field(default_factory=list)
    results: list[StepValue] = field(default_factory=list)
    files: list[FileRef] = field(default_factory=list)
    annotations: dict[str, str | int | float | bool] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    part_key: str | None = None
    part_of: str | None = None
    needs: list[str] = field(default_factory=list)
    training_runs: int = 0
    hyperparameters: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    models: list[str] = field(default_factory=list)
    samples: int | None = None
    samples_expected: int | None = None
    has_series: bool = False
    has_plot: bool = False
    metadata_sha256: str | None = None
    metadata_bytes: int | None = None
    usage: dict[str, float | int | str] = field(default_factory=dict)

    @property
    def worker(self) -> str:
        """Name of the worker process: ``<host>/<pid>``, with the thread if tasks share a process."""
        name = f"{self.host or 'unknown'}/{self.pid if self.pid is not None else '?'}"
        return name if self.thread is None else f"{name}/{self.thread}"

    @property
    def began_ns(self) -> int:
        """When it began; its end if its crate names no start."""
        return self.end_ns if self.start_ns is None else self.start_ns

    @property
    def attempt_id(self) -> AttemptId:
        """Which attempt this is."""
        return AttemptId(self.task_id, self.attempt, self.began_ns)

    def counter(self, counter: Counter) -> float | int | None:
        """Return what the attempt used by a counter; None if its crate does not say."""
        value = self.usage.get(counter.key)
        return integer(value) if counter.kind == "int" else number(value)

    @property
    def cpu_percent(self) -> float | None:
        """Mean CPU use, 100 is one logical CPU: by CPU time if the worker could count it, else by the samples."""
        if self.cpu_s is not None and self.wall_s:
            return 100 * self.cpu_s / self.wall_s
        return self.cpu_mean_percent

    def figures(self) -> dict[str, Any]:
        """Return what fits into a row of a table of tasks.

        Returns:
            ``status``, ``reason`` (first line of the error, None for a completed attempt), ``seconds``, ``samples``,
            ``cpu_percent`` and ``peak_rss_bytes``; None is not known.
        """
        return {
            "status": self.status,
            "reason": self.error.splitlines()[0] if self.error else None,
            "seconds": self.wall_s,
            "samples": 0 if self.samples is None and not self.has_series else self.samples,
            "cpu_percent": self.cpu_percent,
            "peak_rss_bytes": self.peak_rss_bytes,
        }

    @property
    def failed(self) -> bool:
        """Whether the attempt failed."""
        return self.status != "completed"


def number(value: Any) -> float | None:
    """Return a number of a crate as such; None if it is none."""
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def integer(value: Any) -> int | None:
    """Return a whole number of a crate, of at most 63 bits, which is what tables and databases can hold, or None."""
    try:
        whole = None if value is None or isinstance(value, bool) else int(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return whole if whole is None or abs(whole) < 1 << 63 else None
