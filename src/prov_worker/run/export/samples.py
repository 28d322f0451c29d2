"""The samples of a run as one long table, in CSV or Parquet: see :data:`prov_worker.run.index.tables.SAMPLES`."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from typing import Any

from prov_worker import printable
from prov_worker.errors import MissingExtraError
from prov_worker.files import atomic_write
from prov_worker.run.api import RunRecord
from prov_worker.run.export import Advance, chosen_steps, exporter
from prov_worker.run.index.tables import SAMPLES, sample_rows

#: Rows that are held in memory before they are written.
BATCH = 50_000
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)

Row = tuple[Any, ...]


@exporter("csv", suffix="series.csv", counts="samples", summary="samples of all series, one row per sample", raw=True)
def write_csv(
    run: RunRecord,
    target: Path,
    *,
    tasks: set[str] | None = None,
    advance: Advance | None = None,
    raw: bool = False,
) -> int:
    """Write all samples as CSV; steps whose series cannot be read are in ``run.problems``.

    Text that a spreadsheet would run as a formula is quoted (:func:`prov_worker.printable.cell`), unless it is ``raw``.
    """
    return _write(partial(_write_csv, raw=raw), _Rows(run, tasks, advance), target)


@exporter("parquet", suffix="series.parquet", counts="samples", summary="the same as Parquet, with typed columns")
def write_parquet(
    run: RunRecord, target: Path, *, tasks: set[str] | None = None, advance: Advance | None = None
) -> int:
    """Write all samples as Parquet; steps whose series cannot be read are in ``run.problems``."""
    return _write(_write_parquet, _Rows(run, tasks, advance), target)


def _write(write: Callable[[Path, _Rows], None], rows: _Rows, target: Path) -> int:
    with atomic_write(target) as path:
        write(path, rows)
    return rows.count


class _Rows:
    """The samples of the chosen steps, one step in memory at a time; ``time`` is nanoseconds since the epoch."""

    def __init__(self, run: RunRecord, tasks: set[str] | None, advance: Advance | None) -> None:
        self._run = run
        self._tasks = tasks
        self._advance = advance
        self.count = 0

    def __iter__(self) -> Iterator[Row]:
        for step in chosen_steps(self._run, self._tasks, self._advance):
            with self._run.sparing(step):
                for row in sample_rows(step, self._run.series(step)):
                    self.count += 1
                    yield row


def _write_csv(path: Path, rows: _Rows, *, raw: bool) -> None:
    at = list(SAMPLES).index("time")
    shown: Callable[[Any], Any] = (lambda value: value) if raw else printable.cell
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(SAMPLES)
        writer.writerows((*map(shown, row[:at]), _moment(row[at]), *row[at + 1 :]) for row in rows)


def _moment(time_ns: int) -> str:
    moment = _EPOCH + timedelta(microseconds=time_ns // 1000)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f+00:00")


def _write_parquet(path: Path, rows: _Rows) -> None:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise MissingExtraError("Parquet needs pyarrow", "run", error) from None
    kinds = {"text": pa.string(), "int": pa.int64(), "float": pa.float64(), "time": pa.timestamp("ns", tz="UTC")}
    schema = pa.schema([(name, kinds[kind]) for name, kind in SAMPLES.items()])
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        held: list[Row] = []
        for row in rows:
            held.append(row)
            if len(held) >= BATCH:
                _write_batch(writer, schema, held)
                held = []
        if held:
            _write_batch(writer, schema, held)


def _write_batch(writer: Any, schema: Any, rows: list[Row]) -> None:
    import pyarrow as pa

    columns = list(zip(*rows, strict=True))
    arrays = [
        pa.array([None if value is None else float(value) for value in column], field.type)
        if field.type == pa.float64()
        else pa.array(column, field.type)
        for column, field in zip(columns, schema, strict=True)
    ]
    writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
