"""PropertyValues of one task: identity, arguments, result, environment, failure and totals."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from prov_worker.accelerator_variables import DETAILS
from prov_worker.counters import COUNTERS
from prov_worker.crate import vocabulary as v
from prov_worker.crate.endpoint import USER_ENDPOINT
from prov_worker.crate.entities import entity, frame, property_value
from prov_worker.crate.json_text import clean, one_line, ranges, safe_name, scalar, urn
from prov_worker.humanize import plural
from prov_worker.model import Command, Failure, OutputFile, TaskRecord, TaskSeries, Usage, Value, Worker

#: Of each counter the name, the id of its PropertyValue, and what stands before and after the value.
_TOTALS = tuple(
    (
        counter.name,
        f"#usage-{counter.key}",
        *frame(f"#usage-{counter.key}", counter.label, counter.unit, v.COUNTER_PROPERTIES.get(counter.name), None),
    )
    for counter in COUNTERS
)
_OF_SEEN_CHILDREN = "largest reading of the children that were looked at, four times a second: a lower bound"


class Facts:
    """Rendered PropertyValues and their ids; an id that is taken gets a number, so that no two entities share one."""

    def __init__(self, taken: set[str]) -> None:
        self.ids: list[str] = []
        self.entities: list[str] = []
        self.taken = taken

    def reserve(self, identifier: str) -> str:
        """Return an id that nothing else in the crate has."""
        unique, number = identifier, 2
        while unique in self.taken:
            unique = f"{identifier}-{number}"
            number += 1
        self.taken.add(unique)
        self.ids.append(unique)
        return unique

    def extend(self, other: Facts) -> None:
        """Add all of others."""
        self.ids += other.ids
        self.entities += other.entities

    def put(self, identifier: str, head: str, value: Any, tail: str) -> None:
        """Add a fact of which all but the value is rendered: what stands before it, with the id, and after it."""
        unique = self.reserve(identifier)
        if unique != identifier:
            head = head.replace(identifier, unique, 1)
        self.entities.append(f"{head}{scalar(value)}{tail}")

    def add(
        self,
        identifier: str,
        name: str,
        value: Any,
        unit: str | None = None,
        property_id: str | None = None,
        description: str | None = None,
    ) -> None:
        """Add a fact; one that is not known (None) is left out."""
        if value is None:
            return
        self.entities.append(
            property_value(
                self.reserve(identifier), name, value, unit=unit, property_id=property_id, description=description
            )
        )


def identity(record: TaskRecord, task_id: str, taken: set[str]) -> Facts:
    """Return what tells this attempt from every other; times to the nanosecond, as text, beside the action's own."""
    facts = Facts(taken)
    facts.add("#attempt", "attempt", record.attempt, property_id=v.NAMESPACE + "attempt")
    facts.add("#start-ns", "start, nanoseconds since the Unix epoch", _text(record.start_ns))
    facts.add("#end-ns", "end, nanoseconds since the Unix epoch", _text(record.end_ns))
    if not record.begun:
        facts.add(v.BEGUN, "whether a worker is known to have begun the task", False)
    facts.add(v.CALL_ABSENT, "why the serialised call is absent", record.call_absent)
    return facts


def _text(number: int | None) -> str | None:
    return None if number is None else str(number)


def task_id_entity(task_id: str) -> str:
    """Return the entity ``#task-id``."""
    return property_value("#task-id", "Globus Compute task id", urn(task_id), property_id=v.NAMESPACE + "taskId")


def add_failure(facts: Facts, failure: Failure) -> None:
    """Add why the task failed."""
    facts.add("#failure-kind", "kind of failure", one_line(failure.kind))
    facts.add("#failure-type", "type of exception", failure.type)
    facts.add("#failure-signal", "signal", failure.signal)
    if failure.kind != "command":  # its status is said of the command
        facts.add("#failure-exit-status", "exit status of the worker", failure.exit_status)


def add_command(facts: Facts, command: Command) -> None:
    """Add the shell command as it ran, and how it ended; its template is a fact of the tool."""
    facts.add("#command", "command as it ran", command.run)
    facts.add("#command-launcher", "launcher of the command", command.launcher)
    facts.add("#command-exit-status", "exit status of the command", command.exit_status)


def values(prefix: str, described: Iterable[Value], taken: set[str]) -> Facts:
    """Return arguments or results, each with its type and what else is known of it."""
    facts = Facts(taken)
    for value in described:
        facts.entities.append(_value(facts.reserve(prefix + safe_name(value.name)), value))
    return facts


def _value(identifier: str, described: Value) -> str:
    kind = one_line(described.type) or "unknown"
    parts = [f"type {kind}"]
    if described.size_bytes is not None:
        parts.append(plural(described.size_bytes, "byte"))
    if described.length is not None:
        parts.append(f"length {described.length}")
    shown: str | int | float
    extra = f',"additionalType":{scalar(kind)}'
    if described.value is None:
        # A PropertyValue needs a value; what stands in for one says so.
        shown, note = f"<{kind}>", "; the value was not recorded"
        extra += ',"valueRecorded":false'
    else:
        shown, note = described.value, ""
    text = property_value(identifier, one_line(described.name), shown, description=", ".join(parts) + note)
    if described.size_bytes is not None:
        extra += f',"contentSize":"{int(described.size_bytes)}"'
    if described.length is not None:
        extra += f',"numberOfItems":{int(described.length)}'
    if described.sha256:
        extra += f',"sha256":{scalar(one_line(described.sha256))}'
    return f"{text[:-1]}{extra}}}"


def declared_files(prefix: str, files: Iterable[OutputFile], verb: str, taken: set[str]) -> Facts:
    """Return files that user code named, by reference, under their absolute paths."""
    facts = Facts(taken)
    for file in files:
        properties = {
            "name": one_line(file.path.rsplit("/", 1)[-1]) or "unnamed file",
            "value": clean(file.path),
            "description": f"File that the task said it {verb}; not copied into this crate",
            "contentSize": str(int(file.size_bytes)),
            "sha256": file.sha256,
            "propertyID": v.NAMESPACE + "declaredFile",
        }
        identifier = facts.reserve(prefix + safe_name(file.path))
        facts.entities.append(entity(identifier, "PropertyValue", properties))
    return facts


def annotated(record: TaskRecord, taken: set[str]) -> Facts:
    """Return what user code noted."""
    facts = Facts(taken)
    for key, value in record.annotations.items():
        name = one_line(key) or "unnamed"
        facts.add("#annotation-" + safe_name(key), name, value, property_id=v.ANNOTATION)
    return facts


def notes(record: TaskRecord, taken: set[str]) -> Facts:
    """Return the recorder's remarks, in their order."""
    facts = Facts(taken)
    for number, note in enumerate(record.notes, 1):
        facts.add(f"#note-{number}", "note", one_line(note), property_id=v.NOTE)
    if record.plot_absent is not None:  # it has an id of its own, as it goes once a plot is added
        facts.add(v.PLOT_ABSENT, "note", one_line(record.plot_absent), property_id=v.NOTE)
    return facts


def samples(series: TaskSeries | None, taken: set[str]) -> Facts:
    """Return how completely the task was sampled; nothing if no sample of it was taken."""
    facts = Facts(taken)
    task = None if series is None else series.task
    if task is not None and len(task):
        count = len(task) if task.taken is None else task.taken
        facts.add(v.SAMPLES_TAKEN, "samples taken", count, property_id=v.NAMESPACE + "samplesTaken")
        facts.add(v.SAMPLES_EXPECTED, "samples expected", task.expected, property_id=v.NAMESPACE + "samplesExpected")
        facts.add(
            v.LONGEST_GAP,
            "longest time between two samples",
            task.longest_gap_s,
            "second",
            v.NAMESPACE + "samplesLongestGap",
        )
    return facts


def output_files(outputs: Iterable[OutputFile], taken: set[str]) -> Facts:
    """Return files that the task made, by reference: they stay where they are, so they are no Files of this crate."""
    facts = Facts(taken)
    for output in outputs:
        properties = {
            "name": one_line(output.path.rsplit("/", 1)[-1]) or "unnamed file",
            "value": clean(output.path),
            "description": "File made by the task in its sandbox; not copied into this crate"
            + (f"; no hash: {one_line(output.unhashed)}" if output.unhashed else ""),
            "contentSize": str(int(output.size_bytes)),
            "sha256": output.sha256,
        }
        identifier = facts.reserve("#output-file-" + safe_name(output.path))
        facts.entities.append(entity(identifier, "PropertyValue", properties))
    return facts


def environment(worker: Worker, account: str, user_endpoint: str | None) -> Facts:
    """Return where a task ran: worker, node, scheduler, accelerators and the recorded environment variables."""
    facts = Facts(set())
    if worker.pid:  # else nothing is known of the worker
        facts.add("#worker-host", "host of the worker", worker.host or None)
        facts.add("#worker-pid", "process id of the worker", worker.pid)
    facts.add("#worker-thread", "native thread id of the task", worker.thread)
    facts.add("#worker-user", "account that ran the task", account)
    facts.add(USER_ENDPOINT, "user endpoint, which the endpoint started for this user", user_endpoint)
    facts.add("#worker-rank", "rank of the worker", worker.rank)
    facts.add("#worker-pool", "worker pool", worker.pool_id)
    facts.add("#worker-block", "block of the worker", worker.block_id)
    facts.add("#worker-cpu-affinity", "logical CPUs that the worker may use", ranges(worker.cpu_affinity) or None)
    facts.add("#worker-container", "container", worker.container)
    seen: dict[str, str] = {}
    for source, description in (
        (_accelerators(worker, detailed=False), "accelerators that the worker may use"),
        (_accelerators(worker, detailed=True), "how accelerators are counted and shared"),
        (worker.scheduler, "set by the scheduler"),
        (worker.environment, None),
    ):
        for name, value in sorted(source.items()):
            if seen.get(name) == value:
                continue
            seen[name] = value
            facts.add("#env-" + safe_name(name), one_line(name), value, description=description)
    return facts


def usage(record: TaskRecord, rss_max: float | None, taken: set[str]) -> Facts:
    """Return totals of a task.

    Args:
        record: the task.
        rss_max: largest sample of the resident memory, which stands in if the worker's own mark is not known.
        taken: ids that are in use.
    """
    facts = Facts(taken)
    used: Usage = record.usage
    if record.begun:
        facts.add("#usage-wall", "wall time", record.wall_time_s, "second", v.NAMESPACE + "wallTime")
    facts.add("#usage-cpu", "CPU time of the worker and its children", used.cpu_s, "second", v.NAMESPACE + "cpuTime")
    peak, how = used.peak_rss_bytes, "exact: the high-water mark of the worker rose while the task ran"
    if not used.peak_rss_exact:
        how = "upper bound: high-water mark of the worker over its life"
        if used.peak_rss_sampled or rss_max is not None:
            how = "largest sample: a lower bound"
    if peak is None:
        peak, how = rss_max, "largest sample: a lower bound"  # type: ignore[assignment]
    facts.add("#usage-peak-rss", "peak resident memory", peak, "byte", v.NAMESPACE + "peakRSS", how)
    for name, identifier, head, tail in _TOTALS:
        value = getattr(used, name)
        if name == "children_peak_rss_bytes":
            how = "exact: the largest child's own high-water mark" if used.children_peak_exact else _OF_SEEN_CHILDREN
            facts.add(identifier, "peak resident memory of the largest child", value, "byte", None, how)
        elif value is not None:
            facts.put(identifier, head, value, tail)
    return facts


def _accelerators(worker: Worker, *, detailed: bool) -> dict[str, str]:
    """Return the variables that name accelerators, or those that say how they are counted."""
    return {name: value for name, value in worker.accelerators.items() if (name in DETAILS) is detailed}
