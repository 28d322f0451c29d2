"""MLflow's store in SQLite: read from a copy that SQLite's backup API makes, so that no writer waits for us.

Tables as in ``mlflow/store/tracking/dbmodels/models.py``; they have been the same since MLflow 1.10.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from urllib.parse import quote, unquote, urlsplit

from prov_worker.capture.reading.clock import Deadline
from prov_worker.capture.reading.mlflow_values import NAME_TAG, PARENT_TAG, logged_value, nanoseconds
from prov_worker.training import MAX_RUNS, Metric, TrackedRun

#: A larger store is not copied.
MAX_BYTES = 1 << 30
_PAGES = 4096
#: Result codes (sqlite.org/rescode.html), which the module names from Python 3.11 on.
_BUSY, _LOCKED = 5, 6
_RUNS = """
SELECT r.run_uuid, r.name, r.status, r.user_id, r.start_time, r.end_time, r.artifact_uri, e.name
FROM runs r JOIN tags t ON t.run_uuid = r.run_uuid LEFT JOIN experiments e ON e.experiment_id = r.experiment_id
WHERE t.key = ? AND t.value = ? ORDER BY r.start_time, r.run_uuid LIMIT ?
"""
_TAGS = "SELECT key, value FROM tags WHERE run_uuid = ?"
_PARAMETERS = "SELECT key, value FROM params WHERE run_uuid = ?"
# the order in which MLflow itself looks for the value that counts as the last
_METRICS = (
    "SELECT key, step, value, timestamp, is_nan FROM metrics WHERE run_uuid = ? ORDER BY key, step, timestamp, value"
)


def read(store: str, tags: Mapping[str, str], deadline: Deadline) -> list[TrackedRun]:
    """Return the runs that have all the tags.

    Args:
        store: ``sqlite:///<absolute path>``.
        tags: a run has them all, or lacks those after the first.
        deadline: for all of it.

    Raises:
        OSError: there is no such file, it is too large, or it took too long.
        ValueError: the file is not a store of MLflow, or it is damaged or locked.
    """
    path = unquote(urlsplit(store).path).removeprefix("/")
    path = path if path.startswith("/") else f"/{path}"
    try:
        with _copied(path, deadline) as database:
            return list(_runs(database, tags, deadline))
    except sqlite3.Error as error:
        raise ValueError(str(error)) from None


@contextmanager
def _copied(path: str, deadline: Deadline) -> Iterator[sqlite3.Connection]:
    size = os.stat(path).st_size
    if size > MAX_BYTES:
        raise OSError(f"its {size} bytes are more than {MAX_BYTES}")

    def progress(status: int, remaining: int, total: int) -> None:
        if not deadline.left_s:
            busy = "it was locked" if status in (_BUSY, _LOCKED) else "its copy took longer"
            raise TimeoutError(f"{busy} for {deadline.limit_s:g} s")

    with tempfile.TemporaryDirectory(prefix="prov-worker-") as directory:
        address = f"file:{quote(path)}?mode=ro"
        with closing(sqlite3.connect(address, uri=True, timeout=1)) as original:
            copy = sqlite3.connect(os.path.join(directory, "copy.db"), isolation_level=None)
            with closing(copy):
                original.backup(copy, pages=_PAGES, progress=progress, sleep=0.05)
                copy.set_progress_handler(lambda: not deadline.left_s, 10_000)
                yield copy


def _runs(database: sqlite3.Connection, wanted: Mapping[str, str], deadline: Deadline) -> Iterator[TrackedRun]:
    (first, value), *others = wanted.items()
    for row in database.execute(_RUNS, (first, value, MAX_RUNS)).fetchall():
        identifier, name, status, user, start_ms, end_ms, artifacts, experiment = row
        tags = dict(database.execute(_TAGS, (identifier,)).fetchall())
        if any(tags.get(tag, text) != text for tag, text in others):
            continue
        deadline.check()
        points: dict[str, list[tuple[int, float, int]]] = {}
        for key, step, number, time_ms, is_nan in database.execute(_METRICS, (identifier,)):
            logged = logged_value(number, bool(is_nan))
            points.setdefault(key, []).append((step, logged, time_ms * 1_000_000))
        yield TrackedRun(
            tool="mlflow",
            id=identifier,
            name=name or tags.get(NAME_TAG),
            status=status,
            parent=tags.get(PARENT_TAG),
            experiment=experiment,
            user=user,
            start_ns=nanoseconds(start_ms),
            end_ns=nanoseconds(end_ms),
            artifacts=artifacts,
            parameters=dict(database.execute(_PARAMETERS, (identifier,)).fetchall()),
            tags=tags,
            metrics=[Metric.of(key, series) for key, series in points.items()],
        )
