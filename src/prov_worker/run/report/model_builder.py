"""Reads the steps of a run once and keeps what a report needs: rows, profiles of the nodes, packed details."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prov_worker.counters import COLUMNS
from prov_worker.crate import vocabulary as v
from prov_worker.crate.gpu_use import gpu_use
from prov_worker.crate.reader import StepCrate
from prov_worker.crate.sources import candidates
from prov_worker.crate.summary import RunStep, StepValue, number
from prov_worker.crate.training import training_of
from prov_worker.errors import CrateError
from prov_worker.humanize import clipped
from prov_worker.model import TaskSeries
from prov_worker.run.api import RunRecord
from prov_worker.run.report.downsample import points_for, thinned
from prov_worker.run.report.model import (
    Edge,
    FunctionFacts,
    Gathered,
    NodeFacts,
    Row,
)
from prov_worker.run.report.shown import Shown
from prov_worker.run.report.training import MOST_ROWS, curves, model_rows, training_rows
from prov_worker.training import Training

#: Links that the page keeps one by one; the graph of functions counts them all.
MOST_EDGES = 60_000
#: A page about more steps than this keeps the main quantities of each series alone.
FEW_STEPS = 2_000
_ERROR_CHARS = 400
_TRACEBACK_CHARS = 6_000
_VALUE_CHARS = 400
_SOURCE_CHARS = 20_000
_MOST_VALUES = 60
#: Largest text file that is read whole.
_TEXT_BYTES = 1 << 20


def gather(run: RunRecord, advance: Callable[[int], None] | None = None) -> Gathered:
    """Read a run.

    Args:
        run: the run.
        advance: called for steps that have been read.

    Raises:
        CrateError: the run's directory cannot be listed. Crates that cannot be read are in ``problems``.
    """
    gatherer = _Gatherer(run, sum(1 for _ in candidates(Path(run.path))))
    for step, crate in run.opened():
        with run.sparing(step):
            gatherer.add(step, crate)
        if advance is not None:
            advance(1)
    return gatherer.done()


class _Gatherer:
    def __init__(self, run: RunRecord, expected: int) -> None:
        self._run = run
        self._data = Gathered(run.name, str(run.path))
        self._points = points_for(expected)
        self._all_quantities = expected <= FEW_STEPS
        self._functions: dict[tuple[str, str], int] = {}
        self._nodes: dict[str, int] = {}
        self._workers: dict[str, int] = {}
        self._errors: dict[str, int] = {}
        self._shown = Shown()
        self._series_problems: list[str] = []

    def add(self, step: RunStep, crate: StepCrate) -> None:
        """Take one step."""
        data = self._data
        # First what may fail: a step of which nothing is shown leaves no trace.
        series = self._series(step)
        training = self._training(step, crate)
        gpus = gpu_use(step)
        details = None
        if self._shown.wants(step.failed, step.wall_s or 0.0, step.peak_rss_bytes):
            details = self._details(step, crate, series)
            drawn = curves(step, training, self._points)
            if drawn:
                details["training"] = drawn
        node = self._node(step)
        self._profile(data.nodes[node], series, step.began_ns)
        row = Row(
            key=step.key,
            task_id=step.task_id,
            attempt=step.attempt,
            latest=step.latest,
            failed=step.failed,
            function=self._function(step),
            node=node,
            worker=self._worker(step, node),
            start_ns=step.began_ns,
            end_ns=max(step.end_ns, step.began_ns),
            began=step.start_ns is not None,
            wall_s=step.wall_s or 0.0,
            cpu_s=step.cpu_s,
            rss_bytes=step.peak_rss_bytes,
            cpus_allowed=step.cpus_allowed,
            gpus=gpus,
            error=self._error(step),
            signal=step.failure_signal,
            block=-1,
            place=-1,
            memory_bytes=step.node_memory_bytes,
            job=step.scheduler_job,
            voluntary=_switches(step, "voluntary_switches"),
            involuntary=_switches(step, "involuntary_switches"),
            cpu_joules=number(step.usage.get("cpu-energy-joules")),
            gpu_joules=number(step.usage.get("gpu-energy-joules")),
        )
        data.rows.append(row)
        if training:
            data.training += training_rows(step, training)[: MOST_ROWS - len(data.training)]
            data.models += model_rows(step, training)[: MOST_ROWS - len(data.models)]
        if details is not None:
            self._shown.add(row, details)
        for names, name in (
            (data.users, step.user),
            (data.endpoints, step.endpoint_name or step.endpoint_id),
            (data.jobs, step.scheduler_job),
        ):
            if name:
                names[name] = None
        for counter in COLUMNS:
            value = step.counter(counter)
            if value is not None:
                data.totals[counter.name] = counter.add(data.totals.get(counter.name, 0), value)
        for name, version in step.versions.items():
            data.software[f"{name} {version}"] = None

    def done(self) -> Gathered:
        """Return what was read, with its links."""
        data = self._data
        data.shown, data.blocks = self._shown.done()
        data.rows.sort(key=lambda row: (row.start_ns, row.key))
        _mark_latest(data.rows)
        _number_by_start(data)
        _sort_nodes(data)
        self._links({row.key: row for row in data.rows}, {row.key: at for at, row in enumerate(data.shown)})
        problems = [str(problem) for problem in self._run.problems] + self._series_problems
        # Names of files are bytes, and not always text.
        data.problems = [problem.encode("utf-8", "backslashreplace").decode() for problem in problems]
        return data

    def _links(self, rows: dict[str, Row], positions: dict[str, int]) -> None:
        data = self._data
        counts: Counter[tuple[int, int, bool]] = Counter()
        for link in self._run.links():
            giver, taker = rows.get(link.source), rows.get(link.target)
            if giver is None or taker is None:
                continue
            counts[giver.function, taker.function, link.inferred] += 1
            source, target = positions.get(link.source), positions.get(link.target)
            if source is not None and target is not None and len(data.edges) < MOST_EDGES:
                data.edges.append(Edge(source, target, link.via, clipped(link.what, 120)))
            else:
                data.edges_left_out += 1
        data.flows = dict(counts)

    # What rows point to

    def _function(self, step: RunStep) -> int:
        key = (step.function, step.function_sha256 or step.function_id)
        if key not in self._functions:
            self._functions[key] = len(self._functions)
            self._data.functions.append(
                FunctionFacts(
                    step.function,
                    step.function_id,
                    step.module,
                    step.function_doc,
                    step.function_sha256,
                    self._text(step, v.SOURCE_FILE, _SOURCE_CHARS),
                )
            )
        return self._functions[key]

    def _node(self, step: RunStep) -> int:
        name = step.host or "unknown node"
        if name not in self._nodes:
            self._nodes[name] = len(self._nodes)
            self._data.nodes.append(NodeFacts(name, hardware=self._hardware(step)))
        facts = self._data.nodes[self._nodes[name]]
        facts.cpus = facts.cpus or step.node_cpus
        limits = [limit for limit in (facts.memory_bytes, step.node_memory_bytes) if limit]
        facts.memory_bytes = min(limits, default=None)
        facts.memory_total_bytes = facts.memory_total_bytes or step.node_memory_total_bytes
        facts.gpus = max(facts.gpus, step.node_gpus)
        facts.cpu_model = facts.cpu_model or step.cpu_model
        facts.gpu_model = facts.gpu_model or step.gpu_model
        return self._nodes[name]

    def _hardware(self, step: RunStep) -> list[tuple[str, str]]:
        try:
            report = self._run.hardware(step)
        except CrateError:
            return []  # a crate of another writer has no such report; what it names itself is shown
        environment = report.get("probes", {}).get("environment", {}).get("data", {})
        facts = [("Operating system", environment.get("os")), ("Kernel", environment.get("kernel"))]
        disk = report.get("disk")
        for mount in disk if isinstance(disk, list) else ():
            if isinstance(mount, dict) and mount.get("mount_point"):
                facts.append((f"Storage {mount['mount_point']}", str(mount.get("type") or mount.get("reason") or "")))
        return [(name, str(value)) for name, value in facts if value]

    def _worker(self, step: RunStep, node: int) -> int:
        if step.worker not in self._workers:
            self._workers[step.worker] = len(self._workers)
            label = "pid " + step.worker.partition("/")[2]
            self._data.workers.append((node, f"worker {step.rank}, {label}" if step.rank else label))
        return self._workers[step.worker]

    def _error(self, step: RunStep) -> int:
        if not step.failed:
            return -1
        text = clipped((step.error or "failed, without a reason").strip(), _ERROR_CHARS)
        if text not in self._errors:
            self._errors[text] = len(self._errors)
            self._data.errors.append(text)
        return self._errors[text]

    # Series and details

    def _series(self, step: RunStep) -> TaskSeries:
        try:
            return self._run.series(step)
        except CrateError as error:
            self._series_problems.append(str(error))
            return TaskSeries()

    def _training(self, step: RunStep, crate: StepCrate) -> Training:
        if v.TRAINING_FILE not in crate.entities:
            return Training()
        try:
            return training_of(self._run.source(step))
        except CrateError as error:
            self._series_problems.append(str(error))
            return Training()

    @staticmethod
    def _profile(node: NodeFacts, series: TaskSeries, start_ns: int) -> None:
        if series.node is not None:
            for name, profile, scale in (("cpu_percent", node.cpu, 100), ("memory_used_bytes", node.memory, 1)):
                column = series.node.columns.get(name)
                for offset, value in zip(series.node.offset_s, column.mean if column else (), strict=False):
                    if value is not None:
                        profile.add(start_ns + int(offset * 1e9), value / scale)
        if series.gpu is not None:
            for name, column in series.gpu.columns.items():
                if name.endswith("utilization_percent"):
                    for offset, value in zip(series.gpu.offset_s, column.mean, strict=False):
                        if value is not None:
                            node.gpu.add(start_ns + int(offset * 1e9), value)

    def _text(self, step: RunStep, relative: str, limit: int) -> str | None:
        try:
            text = self._run.read(step, relative, _TEXT_BYTES).decode("utf-8", "replace")
        except CrateError:
            return None  # a crate need not have it
        # A traceback says most at its end, a source at its begin.
        return text if len(text) <= limit else "…" + text[-limit:] if "log" in relative else text[:limit] + "…"

    def _details(self, step: RunStep, crate: StepCrate, series: TaskSeries) -> dict[str, Any]:
        """Return what the page shows of one attempt, besides its row."""
        details: dict[str, Any] = {
            "crate": step.crate_id,
            "args": [_described(argument) for argument in step.arguments[:_MOST_VALUES]],
            "results": [_described(result) for result in step.results[:_MOST_VALUES]],
            "files": [
                [file.path, file.role, file.size_bytes, (file.sha256 or "")[:16], int(file.inside)]
                for file in step.files[:_MOST_VALUES]
            ],
            "content": [[file.id, file.size_bytes] for file in crate.files[:_MOST_VALUES]],
            "usage": [
                [str(entity.get("name", key)), value, unit]
                for key, (value, unit) in crate.usage.items()
                if (entity := crate.entities.get(f"#usage-{key}", {})) is not None and value not in (0, 0.0)
            ],
            "env": [[name, clipped(str(value), 200)] for name, value in list(step.environment.items())[:_MOST_VALUES]],
            "facts": [
                [name, str(value)]
                for name, value in (
                    ("CPUs allowed", step.cpu_affinity),
                    ("Block", step.block),
                    ("Endpoint", step.endpoint_name or step.endpoint_id),
                    ("Account", step.user),
                    ("Container", step.container),
                    ("Samples", None if step.samples is None else f"{step.samples} of {step.samples_expected or '?'}"),
                )
                if value is not None
            ],
            "software": _software(step),
            "notes": [clipped(note, 300) for note in step.notes[:20]],
            "annotations": [[name, clipped(str(value), 300)] for name, value in step.annotations.items()],
        }
        if step.failed:
            details["failure"] = [step.failure_kind, step.failure_type, step.failure_signal]
            details["traceback"] = self._text(step, v.TRACEBACK_FILE, _TRACEBACK_CHARS)
        drawn = thinned(series, self._points, all_quantities=self._all_quantities)
        if drawn:
            details["series"] = drawn
        return {key: value for key, value in details.items() if value}


def _software(step: RunStep) -> list[list[str]]:
    """Return names and versions of what the attempt ran with, and the hash of the list of all of it."""
    versions = [[name, version] for name, version in list(step.versions.items())[:_MOST_VALUES]]
    bill = [["bill of materials, sha256", f"{step.software_sha256[:16]}…"]] if step.software_sha256 else []
    return versions + bill


def _described(value: StepValue) -> list[Any]:
    shown = value.value if value.recorded else None
    if isinstance(shown, str):
        shown = clipped(shown, _VALUE_CHARS)
    elif isinstance(shown, float) and (shown != shown or shown in (float("inf"), float("-inf"))):
        shown = str(shown)
    return [value.name, shown, value.type, value.size_bytes]


def _mark_latest(rows: list[Row]) -> None:
    """Mark the attempt with the highest number of each task as its latest: a directory may hold two that say so."""
    best: dict[str, Row] = {}
    for row in rows:
        other = best.get(row.task_id)
        if other is None or (row.attempt, row.end_ns) > (other.attempt, other.end_ns):
            best[row.task_id] = row
    for row in rows:
        row.latest = best[row.task_id] is row


def _number_by_start(data: Gathered) -> None:
    """Number the functions in the order in which they first ran, so that colours follow the run."""
    order = list(dict.fromkeys(row.function for row in data.rows))
    place = {old: new for new, old in enumerate(order)}
    data.functions = [data.functions[old] for old in order]
    for row in data.rows:
        row.function = place[row.function]


def _sort_nodes(data: Gathered) -> None:
    """Number the nodes by name, as people count: node-9 before node-10."""
    natural = [
        [(not part.isdigit(), int(part) if part.isdigit() else 0, part) for part in re.split(r"(\d+)", node.name)]
        for node in data.nodes
    ]
    order = sorted(range(len(data.nodes)), key=natural.__getitem__)
    place = {old: new for new, old in enumerate(order)}
    data.nodes = [data.nodes[old] for old in order]
    data.workers = [(place[node], label) for node, label in data.workers]
    for row in data.rows:
        row.node = place[row.node]


def _switches(step: RunStep, name: str) -> int | None:
    value = step.usage.get(name.replace("_", "-"))
    return value if isinstance(value, int) and not isinstance(value, bool) else None
