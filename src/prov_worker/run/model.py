"""The nouns of a run: one attempt at one task in a few facts, and what flowed from one to another.

Units are in the names, as in :mod:`prov_worker.model`. Everything here is plain data that was read from a step crate;
the crate itself stays the truth.
"""

from __future__ import annotations

from dataclasses import dataclass, field

#: How a link between two steps is known.
DECLARED = "declared"  # one step said that it generated the file which the other said it used
WORKFLOW = "workflow"  # a workflow definition says so
FILE = "file"  # equal sha256 of files: inferred
VALUE = "value"  # equal sha256 of a result and an argument: inferred


@dataclass(slots=True)
class StepValue:
    """An argument or a result, as its crate describes it.

    Attributes:
        id: of the entity in the step crate, such as ``#input-n``.
        name: parameter name, or ``return``.
        value: number, boolean or text; where the value was not recorded, a stand-in such as ``<int>``.
        type: qualified type name; None where the crate does not say.
        size_bytes: size of the data.
        length: number of items.
        sha256: hex digest of the data.
        recorded: false where ``value`` is a stand-in.
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
class StepFile:
    """A file that a step used or generated, in its crate or by reference.

    Attributes:
        id: of the entity in the step crate.
        path: path in the crate, or as the step named it.
        role: ``used`` or ``generated``.
        size_bytes, sha256: None where the crate does not say.
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
        crate: path of the step crate, a directory or a zip file.
        crate_id: id of the crate in its run, ``steps/<name>.crate/``; the same for a plain directory.
        task_id: Globus Compute task id.
        attempt: number of the attempt, from 1.
        latest: whether no later attempt at the task is known.
        status: ``completed`` or ``failed``.
        error: one line; None for a completed step.
        failure_kind: ``exception``, ``exit``, ``signal``, ``lost``, ``unknown``; None for a completed step.
        failure_type: type of the exception.
        failure_signal: such as ``SIGKILL``.
        start_ns: nanoseconds since the epoch; None for a task that no worker began.
        end_ns: nanoseconds since the epoch.
        wall_s: seconds from start to end.
        cpu_s: CPU seconds of the worker and its children; None where unknown.
        peak_rss_bytes: largest resident memory.
        cpu_max_percent, cpu_mean_percent: of samples; 100 is one logical CPU.
        gpu_max_percent: by GPU (``0``, ``1`` …), largest sample of its use.
        gpu_mean_percent: by GPU, mean of its use.
        gpu_memory_max_bytes: by GPU.
        read_bytes, written_bytes: storage traffic of the worker.
        function: name of the function.
        function_id: absolute id of the function in the crate.
        function_sha256: identifies its code; None where unknown.
        function_doc: description of the function.
        module: module of the function.
        endpoint_id, endpoint_name: None where the crate does not say.
        host: node; pid, thread, rank, pool, block: of the worker.
        user: account that ran the task.
        cpus_allowed: number of logical CPUs that the worker might use.
        cpu_affinity: these CPUs, as in cpuset(7).
        gpus_visible: number of accelerators that the worker might use; None where no variable restricted them.
        node_cpus: logical CPUs of the node. node_memory_bytes: its memory, the control group's limit where lower.
        node_gpus: number of GPUs of the node. cpu_model, gpu_model: their models.
        environment: recorded environment variables and facts of the scheduler, by name.
        scheduler_job: id of the batch job.
        container: image of the worker.
        versions: of software, by name; ``python`` among them.
        arguments, results: described values.
        files: used and generated.
        annotations: what user code noted, by key.
        notes: remarks of the recorder.
        samples, samples_expected: how many samples of the task were taken and due; None where none.
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
    node_gpus: int = 0
    cpu_model: str | None = None
    gpu_model: str | None = None
    environment: dict[str, str] = field(default_factory=dict)
    scheduler_job: str | None = None
    container: str | None = None
    versions: dict[str, str] = field(default_factory=dict)
    arguments: list[StepValue] = field(default_factory=list)
    results: list[StepValue] = field(default_factory=list)
    files: list[StepFile] = field(default_factory=list)
    annotations: dict[str, str | int | float | bool] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    samples: int | None = None
    samples_expected: int | None = None
    has_series: bool = False
    has_plot: bool = False
    metadata_sha256: str | None = None
    metadata_bytes: int | None = None
    usage: dict[str, float | int | str] = field(default_factory=dict)

    @property
    def worker(self) -> str:
        """Name of the worker process: ``<host>/<pid>``, with the thread where tasks share a process."""
        name = f"{self.host or 'unknown'}/{self.pid if self.pid is not None else '?'}"
        return name if self.thread is None else f"{name}/{self.thread}"

    @property
    def failed(self) -> bool:
        """Whether the attempt failed."""
        return self.status != "completed"


@dataclass(frozen=True, slots=True)
class Link:
    """Data, or a stated order, that leads from one step to another.

    Attributes:
        source: key of the step that made the thing. target: key of the step that used it.
        via: ``declared``, ``workflow``, ``file`` or ``value``.
        what: name of the file, parameter or workflow step.
        sha256: of what flowed; None for a stated order.
        source_id, target_id: entities in the two step crates; None for a stated order.
    """

    source: str
    target: str
    via: str
    what: str
    sha256: str | None = None
    source_id: str | None = None
    target_id: str | None = None

    @property
    def inferred(self) -> bool:
        """Whether equal content alone suggests the link: equal contents by chance give false links."""
        return self.via in (FILE, VALUE)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that could not be taken, and why; the rest was.

    Attributes:
        where: path of the crate or file.
        message: one line.
    """

    where: str
    message: str

    def __str__(self) -> str:
        return self.message if self.message.startswith(self.where) else f"{self.where}: {self.message}"
