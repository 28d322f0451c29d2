"""The nouns of the product: what is known of one task, one node, and one series of samples.

Plain data on the standard library, shared by all packages. Units are in the names (``_s``, ``_ns``, ``_bytes``,
``_percent``); ``_ns`` values are integers, nanoseconds since the Unix epoch, UTC.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from prov_worker.accelerators import UNKNOWN_GPUS, NodeGpus
from prov_worker.attempt import AttemptId
from prov_worker.counters import Usage as Usage
from prov_worker.processes import host_name as host_name

if TYPE_CHECKING:
    from prov_worker.training import Training

COMPLETED = "completed"
FAILED = "failed"


@dataclass(slots=True)
class Value:
    """One argument or result of a function, described without keeping it.

    Attributes:
        name: the parameter's name; ``return`` for a result.
        type: qualified type name, such as ``int`` or ``numpy.ndarray``.
        size_bytes: size of the data (encoded text, buffer), None if it has no obvious size.
        length: number of items of a container, None otherwise.
        sha256: hex digest of the data; None if hashing would cost time or call user code. ``str`` is hashed as
            UTF-8, buffers as their bytes, plain built-in data as its pickle (protocol 4).
        value: number, boolean or truncated, redacted ``repr``; only with ``capture_arguments: values``.
    """

    name: str
    type: str
    size_bytes: int | None = None
    length: int | None = None
    sha256: str | None = None
    value: str | int | float | bool | None = None


@dataclass(slots=True)
class Function:
    """The function that a task ran.

    Attributes:
        name: ``__name__`` of the function.
        module: ``__module__``, None if it has none.
        id: Globus Compute function UUID, if the engine knows it.
        doc: first paragraph of the docstring.
        sha256: hex digest that identifies the function.
        sha256_of: what was hashed: ``syntax tree`` (of the proved source; equal on all versions of Python) or ``code``
            (the code object; equal within one minor version), each with what the function is bound to. Only digests
            of one kind are comparable. Earlier journals have ``source`` (text as registered) and ``payload``.
        source: source text that is proved to be what ran, redacted; None if there is none.
        source_absent: why there is none, and how to send it.
        strategy: identifier of Globus Compute's serialisation strategy, such as ``01``.
        size_bytes: length of the serialised function.
        kind: what the callable is, such as ``function``, ``lambda`` or ``partial of method``.
        python: implementation and minor version that the code object is of.
        payload_sha256: hex digest of the serialised function; importable ones are sent by name, whatever their code.
    """

    name: str
    module: str | None = None
    id: str | None = None
    doc: str | None = None
    sha256: str | None = None
    sha256_of: str | None = None
    source: str | None = None
    strategy: str | None = None
    size_bytes: int | None = None
    kind: str | None = None
    python: str | None = None
    payload_sha256: str | None = None
    source_absent: str | None = None


#: Kinds of failures that somebody else than the task's worker has stated.
VERDICTS = ("lost", "unknown")
#: Kinds of failures of tasks whose worker an agent ended.
ENDED_BY_AGENT = ("time_limit", "cancelled")


@dataclass(slots=True)
class Command:
    """The shell command that a task is.

    Attributes:
        template: as it was written, redacted; None if a function composed it.
        limit_s: seconds that it may take; None if there is no limit.
        run: as it ran, redacted; None if it did not end, or if arguments are not recorded.
        launcher: what starts it on the nodes of an MPI task, redacted.
        exit_status: of the shell; 124 after the time limit.
    """

    template: str | None = None
    limit_s: float | None = None
    run: str | None = None
    launcher: str | None = None
    exit_status: int | None = None


@dataclass(slots=True)
class Failure:
    """Why a task failed.

    Attributes:
        kind: ``exception`` (raised by the function), ``exit`` (the worker left by ``sys.exit`` or ``os._exit``),
            ``command`` (a shell command failed), ``signal`` (the worker was killed), ``time_limit`` and ``cancelled``
            (an agent ended the worker, as the client had asked for), ``lost`` (the engine reported the worker, manager
            or node as lost) or ``unknown`` (the record ends without a reason).
        message: one line, redacted.
        type: qualified name of the exception's type, for ``exception`` and ``lost``.
        traceback: redacted text; None if there is none.
        signal: name such as ``SIGKILL``.
        exit_status: exit status of the worker or of the command, if it is known.
    """

    kind: str
    message: str
    type: str | None = None
    traceback: str | None = None
    signal: str | None = None
    exit_status: int | None = None


@dataclass(slots=True)
class OutputFile:
    """A file that the task made in its sandbox. Without ``sha256``, ``unhashed`` says why, if that is known."""

    path: str
    size_bytes: int
    sha256: str | None = None
    unhashed: str | None = None


@dataclass(slots=True)
class Worker:
    """The process that ran the task: constant over its life but for ``cpu_affinity`` and ``accelerators``.

    Attributes:
        host: node name.
        pid: process id; ``thread`` is the native thread id if tasks share a process, else None.
        rank, pool_id, block_id: Parsl's names of the worker (``PARSL_WORKER_*``).
        cpu_affinity: allowed logical CPUs.
        accelerators: the variables of :mod:`prov_worker.accelerators` that are set.
        scheduler: the variables of :mod:`prov_worker.schedulers` that are set.
        container: image, if the worker runs in one.
        versions: ``python``, ``prov-worker``, ``parsl``, ``globus-compute-endpoint``, ``globus-compute-sdk``.
    """

    host: str
    pid: int
    thread: int | None = None
    rank: str | None = None
    pool_id: str | None = None
    block_id: str | None = None
    cpu_affinity: list[int] = field(default_factory=list)
    accelerators: dict[str, str] = field(default_factory=dict)
    scheduler: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    container: str | None = None
    versions: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Part:
    """How a step belongs to others: a task that another library gave out within a task.

    Attributes:
        library: which has given it out, such as ``dask``.
        key: what it calls the step.
        of: id of the task that uses the library; None if that is not known.
        needs: keys of the steps whose results it takes.
        steps: ids of these, as far as they are known, in the order of ``needs``.
    """

    library: str
    key: str
    of: str | None = None
    needs: list[str] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)


@dataclass(slots=True)
class TaskRecord:
    """Everything known about one attempt of a task.

    ``end_ns`` is ``start_ns`` plus a monotonic duration, so a stepped clock cannot make a task end before it began.
    If no worker is known to have ``begun`` it, ``start_ns`` is when the engine took it, and a note says so.
    ``outputs`` were found in the sandbox; ``annotations`` and the files ``used`` and ``generated``, with absolute
    paths, are what user code noted. ``command`` is the shell command that the task is; ``output`` the ends of
    standard output and standard error. ``part`` says of which task it is a part; ``training`` what libraries report
    of models and their runs. ``call`` is the serialised call, ``call_absent`` why it was not kept; both are None
    unless the settings ask for it. ``plot_absent`` is a note on a plot that should be there.
    """

    task_id: str
    attempt: int
    status: str
    start_ns: int
    end_ns: int
    function: Function
    worker: Worker
    endpoint_id: str | None = None
    endpoint_name: str | None = None
    arguments: list[Value] = field(default_factory=list)
    result: Value | None = None
    failure: Failure | None = None
    usage: Usage = field(default_factory=Usage)
    outputs: list[OutputFile] = field(default_factory=list)
    annotations: dict[str, str | int | float | bool] = field(default_factory=dict)
    used: list[OutputFile] = field(default_factory=list)
    generated: list[OutputFile] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    command: Command | None = None
    output: tuple[str, str] | None = None
    part: Part | None = None
    training: Training | None = None
    call: str | None = None
    call_absent: str | None = None
    plot_absent: str | None = None
    begun: bool = True

    @property
    def attempt_id(self) -> AttemptId:
        """Which attempt this is."""
        return AttemptId(self.task_id, self.attempt, self.start_ns)

    @property
    def is_verdict(self) -> bool:
        """Whether it was made without the word of the task's worker, and gives way to that should it come."""
        return self.failure is not None and self.failure.kind in VERDICTS

    @property
    def wall_time_s(self) -> float:
        """Seconds from start to end."""
        return (self.end_ns - self.start_ns) / 1e9


@dataclass(slots=True)
class ProbeReport:
    """What one hardware probe found.

    ``data`` is empty and ``absent`` says why if the hardware is not here; ``error`` says what went wrong if the
    probe failed. ``success`` is true in the first case: to be absent is an answer.
    """

    name: str
    success: bool
    duration_s: float
    data: dict[str, Any] = field(default_factory=dict)
    absent: str | None = None
    error: str | None = None


@dataclass(slots=True)
class HardwareSnapshot:
    """The reports of all probes of one node, taken once and shared by every task that ran there."""

    host: str
    taken_ns: int
    probes: dict[str, ProbeReport] = field(default_factory=dict)

    def data(self, probe: str) -> dict[str, Any]:
        """Return data of one probe; empty if it was not asked, absent or failed."""
        report = self.probes.get(probe)
        return report.data if report else {}

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON data, read back by :meth:`from_dict`."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> HardwareSnapshot:
        """Read what :meth:`to_dict` gave.

        Raises:
            KeyError, TypeError: the data has another shape.
        """
        probes = {name: ProbeReport(**report) for name, report in data["probes"].items()}
        return cls(host=data["host"], taken_ns=data["taken_ns"], probes=probes)


@dataclass(slots=True)
class Column:
    """One quantity of a series.

    Attributes:
        unit: ``percent``, ``byte``, ``count``, ``watt``, ``celsius``.
        mean: a value per sample; None if nothing could be read. For ``cpu_percent`` 100 is one logical CPU.
        low, high: smallest and largest value that each sample stands for; None while samples stand for themselves.
        subject: what was measured: ``task``, ``node``, ``cpu:<n>`` or ``gpu:<n>``.
        interval_s: seconds between values if they are farther apart than the samples of the series; None else.
    """

    unit: str
    mean: list[float | int | None]
    low: list[float | int | None] | None = None
    high: list[float | int | None] | None = None
    subject: str = "task"
    interval_s: float | None = None

    def extremes(self) -> tuple[float | int, float | int] | None:
        """Return smallest and largest value; None if there is no value at all."""
        low = [v for v in (self.low if self.low is not None else self.mean) if v is not None]
        high = [v for v in (self.high if self.high is not None else self.mean) if v is not None]
        return (min(low), max(high)) if low and high else None


@dataclass(slots=True)
class Series:
    """Samples over one task, columnar: ``columns[name].mean[i]`` was taken ``offset_s[i]`` after the task's start.

    Two time bases exist because a node is sampled more slowly than a task: each base is one :class:`Series`.
    ``interval_s`` is the nominal distance of samples, after any halving of the resolution; ``expected`` and
    ``longest_gap_s`` tell how complete the series is at the rate that was asked for.
    """

    interval_s: float
    offset_s: list[float]
    columns: dict[str, Column]
    expected: int | None = None
    taken: int | None = None
    longest_gap_s: float | None = None

    def __len__(self) -> int:
        return len(self.offset_s)


@dataclass(slots=True)
class Energy:
    """What was drawn while a task ran, by whomever. What is None was not counted.

    Attributes:
        span_s: seconds over which it was counted: about the task's.
        node_joules: of the whole node.
        cpu_joules: of its CPUs.
        idle_share: share of the CPUs' time in which they had nothing to do, 0 to 1.
        gpu_joules: of each GPU that counts, by its number on the node.
        gpus: how these are counted.
    """

    span_s: float
    node_joules: float | None = None
    cpu_joules: float | None = None
    idle_share: float | None = None
    gpu_joules: dict[int, float] = field(default_factory=dict)
    gpus: NodeGpus = UNKNOWN_GPUS


@dataclass(slots=True)
class TaskSeries:
    """All series of one task: of its process tree, of its node, of the GPUs; and energy. Empty ones are None."""

    task: Series | None = None
    node: Series | None = None
    gpu: Series | None = None
    energy: Energy | None = None

    def all(self) -> Iterable[tuple[str, Series]]:
        """Yield pairs of base (``task``, ``node``, ``gpu``) and series, without the empty ones."""
        for name in ("task", "node", "gpu"):
            series = getattr(self, name)
            if series is not None and len(series):
                yield name, series
