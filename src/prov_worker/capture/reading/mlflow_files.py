"""MLflow's store of plain files, ``mlruns/<experiment>/<run>``; see ``mlflow/store/tracking/file_store.py``.

Each parameter, tag and metric is a file; a line of a metric is ``<ms> <value> <step>``. ``meta.yaml`` is flat.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from urllib.parse import unquote, urlsplit

from prov_worker.capture.reading.clock import Deadline
from prov_worker.capture.reading.mlflow_values import NAME_TAG, PARENT_TAG, logged_value, nanoseconds
from prov_worker.training import MAX_PAIRS, MAX_RUNS, Metric, TrackedRun

#: ``RunStatus`` of MLflow's messages, by number.
_STATUS = {"1": "RUNNING", "2": "SCHEDULED", "3": "FINISHED", "4": "FAILED", "5": "KILLED"}
_TEXT_BYTES = 64 << 10
_METRIC_BYTES = 64 << 20


def read(store: str, tags: Mapping[str, str], deadline: Deadline) -> list[TrackedRun]:
    """Return the runs that have all the tags, as :func:`prov_worker.capture.reading.mlflow_sqlite.read` does.

    Args:
        store: a path, or ``file:`` and a path.
        tags: as there.
        deadline: for all of it.

    Raises:
        OSError: there is no such directory, or it took too long.
        ValueError: a file says what MLflow does not write.
    """
    root = unquote(urlsplit(store).path) if store.startswith("file:") else store
    runs: list[TrackedRun] = []
    (first, value), *others = tags.items()
    for experiment in sorted(os.listdir(root)):
        directory = os.path.join(root, experiment)
        for name in _directories(directory):
            deadline.check()
            run = os.path.join(directory, name)
            if _text(os.path.join(run, "tags", first)) != value or len(runs) >= MAX_RUNS:
                continue
            if all(_text(os.path.join(run, "tags", tag)) in (None, text) for tag, text in others):
                runs.append(_run(run, _flat(os.path.join(directory, "meta.yaml")).get("name"), deadline))
    return sorted(runs, key=lambda run: (run.start_ns or 0, run.id))


def _run(directory: str, experiment: str | None, deadline: Deadline) -> TrackedRun:
    meta = _flat(os.path.join(directory, "meta.yaml"))
    tags = {key: _text(path) or "" for key, path in _files(os.path.join(directory, "tags"))}
    metrics = []
    for key, path in _files(os.path.join(directory, "metrics")):
        deadline.check()
        points = sorted(_points(path), key=lambda point: (point[0], point[2], point[1]))
        metrics.append(Metric.of(key, points))
    return TrackedRun(
        tool="mlflow",
        id=meta.get("run_id") or os.path.basename(directory),
        name=meta.get("run_name") or tags.get(NAME_TAG),
        status=_STATUS.get(meta.get("status", ""), meta.get("status")),
        parent=tags.get(PARENT_TAG),
        experiment=experiment,
        user=meta.get("user_id"),
        start_ns=_time(meta.get("start_time")),
        end_ns=_time(meta.get("end_time")),
        artifacts=meta.get("artifact_uri"),
        parameters={key: _text(path) or "" for key, path in _files(os.path.join(directory, "params"))},
        tags=tags,
        metrics=metrics,
    )


def _directories(path: str) -> list[str]:
    try:
        with os.scandir(path) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    except NotADirectoryError:
        return []


def _files(root: str) -> Iterator[tuple[str, str]]:
    """Return keys and paths of the files below a directory: a key may hold slashes."""
    count = 0
    for directory, _, names in os.walk(root):
        for name in sorted(names):
            count += 1
            if count > MAX_PAIRS:
                return
            path = os.path.join(directory, name)
            yield os.path.relpath(path, root), path


def _points(path: str) -> Iterator[tuple[int, float, int]]:
    with open(path, "rb") as file:
        for line in file.read(_METRIC_BYTES).split(b"\n"):
            fields = line.split()
            if len(fields) >= 2:
                step = int(fields[2]) if len(fields) > 2 else 0
                yield step, logged_value(float(fields[1])), int(fields[0]) * 1_000_000


def _text(path: str) -> str | None:
    try:
        with open(path, "rb") as file:
            return file.read(_TEXT_BYTES).decode("utf-8", "replace").removesuffix("\n")
    except (FileNotFoundError, NotADirectoryError):
        return None


def _time(text: str | None) -> int | None:
    return nanoseconds(int(text)) if text and text.isdecimal() else None


def _flat(path: str) -> dict[str, str]:
    """Return what a flat YAML file says, as MLflow writes it: one key per line, texts plain or quoted."""
    values = {}
    for line in (_text(path) or "").splitlines():
        key, colon, value = line.partition(": ")
        if colon and value not in ("null", "''"):
            quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
            values[key] = value[1:-1].replace("''", "'") if quoted else value
    return values
