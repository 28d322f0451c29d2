from __future__ import annotations

import fcntl
import json
import os
import shutil
import sqlite3
import zipfile
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("duckdb")
pytest.importorskip("pyarrow")

import pyarrow.parquet as pq

from prov_worker.crate.reader import StepCrate
from prov_worker.errors import InputError
from prov_worker.model import Column, Series, TaskSeries, Usage, Value, Worker
from prov_worker.run.api import open_run
from prov_worker.run.export import EXPORTERS
from prov_worker.run.index import store
from prov_worker.run.index.build import default_index, index
from prov_worker.run.index.query import Index, IndexDamageError, duration_s, moment, size_bytes
from prov_worker.run.index.read import map_processes, read_batch
from prov_worker.run.index.record import OUTDATED, read_record
from prov_worker.run.index.store import IndexStore, partition_of
from prov_worker.run.index.tables import TABLES
from prov_worker.run.report.model_builder import gather
from prov_worker.run.selection import Filters


def keys(path: Path, **filters: Any) -> list[str]:
    with Index(path) as opened:
        return [
            row[0].partition("-8000-")[2].lstrip("0") or "0" for row in opened.ask(Filters(**filters), ["key"]).rows
        ]


@pytest.fixture
def indexed(workflow_crates: Any) -> Path:
    index([workflow_crates.directory])
    return default_index(workflow_crates.directory)


def test_tables_say_what_the_crates_say(workflow_crates: Any, indexed: Path) -> None:
    with Index(indexed) as opened:
        rows = {
            row[0]: row[1:]
            for row in opened.sql("SELECT crate, task_id, attempt, status, wall_s, error FROM tasks").rows
        }
    assert len(rows) == 6
    for path, row in rows.items():
        crate = StepCrate.open(path)
        assert row == (crate.task_id, crate.attempt, crate.status, crate.wall_time_s, crate.error)


def test_files_lie_in_partitions_that_other_engines_read(indexed: Path) -> None:
    (path,) = (indexed / "tasks").rglob("*.parquet")
    assert path.relative_to(indexed).as_posix().startswith("tasks/day=2026-09-21/endpoint=3f2b7b0e-")
    table = pq.read_table(indexed / "tasks")  # as a data set, its partitions as columns
    assert table.num_rows == 6
    assert {"day", "endpoint", "start", "peak_rss_bytes"} <= set(table.column_names)
    assert str(pq.read_schema(path).field("start").type) == "timestamp[us, tz=UTC]"


def test_days_are_those_of_utc() -> None:
    assert partition_of(1_790_035_199_999_999_999, "") == "day=2026-09-21/endpoint=unknown"
    assert partition_of(1_790_035_200_000_000_000, "a/b") == "day=2026-09-22/endpoint=a%2Fb"


def test_a_second_time_reads_nothing(workflow_crates: Any, indexed: Path) -> None:
    result = index([workflow_crates.directory])
    assert (result.read, result.unchanged, result.total) == (0, 6, 6)


def test_only_new_and_changed_crates_are_read(workflow_crates: Any, indexed: Path) -> None:
    workflow_crates.add(8, "late", offset_s=50)
    crate = sorted(workflow_crates.directory.glob("*.crate"))[0]
    path = crate / "ro-crate-metadata.json"
    document = json.loads(path.read_text())
    for entity in document["@graph"]:
        if entity["@id"] == "#usage-wall":
            entity["value"] = 99.5
    path.write_text(json.dumps(document))
    os.utime(sorted(workflow_crates.directory.glob("*.crate"))[1] / "ro-crate-metadata.json")  # touched, not changed
    result = index([workflow_crates.directory])
    assert (result.read, result.unchanged, result.total) == (2, 5, 7)
    with Index(indexed) as opened:
        assert list(opened.sql("SELECT count(*), count(DISTINCT crate), max(wall_s) FROM tasks").rows) == [(7, 7, 99.5)]


def test_a_later_attempt_moves_the_earlier_one(crates: Any) -> None:
    crates.add(1, attempt=1, error="first")
    index([crates.directory])
    crates.add(1, attempt=2, offset_s=5)
    index([crates.directory])
    with Index(crates.directory) as opened:
        rows = list(opened.sql("SELECT attempt, status, latest FROM tasks ORDER BY attempt").rows)
    assert rows == [(1, "failed", False), (2, "completed", True)]


def test_crates_that_are_gone_stay_unless_pruned(workflow_crates: Any, indexed: Path) -> None:
    shutil.rmtree(sorted(workflow_crates.directory.glob("*.crate"))[0])
    assert index([workflow_crates.directory]).total == 6
    result = index([workflow_crates.directory], prune=True)
    assert (result.removed, result.total) == (1, 5)
    with Index(indexed) as opened:
        assert list(opened.sql("SELECT count(*) FROM tasks").rows) == [(5,)]


def test_pruning_leaves_other_directories_alone(crates: Any, make_crates: Any, tmp_path: Path) -> None:
    crates.add(1)
    make_crates(tmp_path / "crates-2").add(2)
    target = tmp_path / "both.index"
    index([crates.directory], target)
    assert index([tmp_path / "crates-2"], target, prune=True).total == 2


def test_zips_are_read_where_they_are(crates: Any) -> None:
    crate = crates.add(1)
    with zipfile.ZipFile(crates.directory / f"{crate.name}.zip", "w") as archive:
        for path in crate.rglob("*"):
            archive.write(path, path.relative_to(crate))
    shutil.rmtree(crate)
    assert index([crates.directory]).read == 1
    result = index([crates.directory])
    assert (result.read, result.unchanged) == (0, 1)


def test_damage_is_named_and_the_rest_indexed(crates: Any) -> None:
    crates.add(1)
    bad = crates.add(2) / "ro-crate-metadata.json"
    bad.write_text("{")
    result = index([crates.directory])
    assert (result.read, [problem.where for problem in result.problems]) == (1, [str(bad.parent)])


def test_one_writer_at_a_time(crates: Any, tmp_path: Path) -> None:
    crates.add(1)
    target = tmp_path / "i"
    index([crates.directory], target)
    with (target / ".lock").open() as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        with pytest.raises(InputError, match="another process"):
            index([crates.directory], target)


def test_what_an_interrupted_writer_left_is_finished_or_undone(workflow_crates: Any, indexed: Path) -> None:
    (path,) = (indexed / "tasks").rglob("part-*.parquet")
    hidden = path.with_name(f".{path.name}")
    path.rename(hidden)  # committed, and not yet renamed
    shutil.copy(hidden, path.with_name("part-00000099.parquet"))  # written, and never committed
    assert index([workflow_crates.directory]).total == 6
    assert [file.name for file in (indexed / "tasks").rglob("*.parquet")] == [path.name]
    with Index(indexed) as opened:
        assert list(opened.sql("SELECT count(*) FROM tasks").rows) == [(6,)]


def flip(part: Path) -> None:
    data = bytearray(part.read_bytes())
    data[len(data) // 3] ^= 8
    part.write_bytes(data)


DAMAGE = {
    "gone": Path.unlink,
    "empty": lambda part: part.write_bytes(b""),
    "cut": lambda part: part.write_bytes(part.read_bytes()[:100]),
    "longer": lambda part: part.write_bytes(part.read_bytes() + b"x"),
    "another": lambda part: part.write_text("no Parquet"),
}


def everything(path: Path) -> dict[str, list[Any]]:
    with Index(path) as opened:
        return {table: sorted(map(repr, opened.sql(f"SELECT * FROM {table}").rows)) for table in TABLES}


@pytest.mark.parametrize("table", list(TABLES))
@pytest.mark.parametrize("damage", list(DAMAGE))
def test_a_damaged_part_is_named_by_query_and_repaired_by_index(
    workflow_crates: Any, indexed: Path, damage: str, table: str
) -> None:
    workflow_crates.add(8, "read", offset_s=100_000)  # another day: another part, which stays as it is
    index([workflow_crates.directory])
    before = everything(indexed)
    part = min((indexed / table).rglob("part-*.parquet"))
    DAMAGE[damage](part)
    with pytest.raises(IndexDamageError, match="gone or damaged.*run index .*crates$") as caught:
        Index(indexed)
    assert str(part) in str(caught.value)
    result = index([workflow_crates.directory])
    assert (result.repaired, result.read, result.unchanged, result.total, result.problems) == ([part], 6, 1, 7, [])
    assert everything(indexed) == before
    assert index([workflow_crates.directory]).repaired == []


def test_a_changed_byte_is_found_by_the_next_index(workflow_crates: Any, indexed: Path) -> None:
    before = everything(indexed)
    part = next((indexed / "tasks").rglob("part-*.parquet"))
    flip(part)
    assert index([workflow_crates.directory]).repaired == [part]
    assert everything(indexed) == before


def test_all_directories_of_an_index_are_repaired(workflow_crates: Any, make_crates: Any, tmp_path: Path) -> None:
    other = make_crates(tmp_path / "others")
    crate = other.add(9, "zipped")
    with zipfile.ZipFile(other.directory / f"{crate.name}.zip", "w") as archive:
        for path in crate.rglob("*"):
            archive.write(path, path.relative_to(crate))
    shutil.rmtree(crate)
    target = tmp_path / "both"
    index([workflow_crates.directory, other.directory], target)
    before = everything(target)
    next((target / "tasks").rglob("part-*.parquet")).unlink()
    with pytest.raises(IndexDamageError, match="run index DIR -o"):
        Index(target)
    assert index([other.directory], target).total == 7
    assert everything(target) == before


def test_what_a_damaged_part_held_of_crates_that_are_gone_is_said_to_be_lost(
    workflow_crates: Any, indexed: Path
) -> None:
    shutil.rmtree(sorted(workflow_crates.directory.glob("*.crate"))[0])
    next((indexed / "arguments").rglob("part-*.parquet")).unlink()
    result = index([workflow_crates.directory])
    assert [str(problem) for problem in result.problems] == [
        f"{indexed}: 1 of the crates in its damaged files is gone: what these files held of them is lost"
    ]
    with Index(indexed) as opened:
        assert list(opened.sql("SELECT count(*) FROM tasks").rows) == [(6,)]
        assert list(opened.sql("SELECT count(*) > 0 FROM arguments").rows) == [(True,)]


def test_a_crate_that_cannot_be_read_again_is_named_and_leaves_the_index(workflow_crates: Any, indexed: Path) -> None:
    bad = sorted(workflow_crates.directory.glob("*.crate"))[0]
    (bad / "ro-crate-metadata.json").write_text("{")
    next((indexed / "files").rglob("part-*.parquet")).unlink()
    for _ in range(2):
        result = index([workflow_crates.directory])
        assert ([problem.where for problem in result.problems], result.total) == ([str(bad)], 5)
    with Index(indexed) as opened:
        assert list(opened.sql("SELECT count(*) FROM tasks").rows) == [(5,)]


def test_mending_that_was_interrupted_is_not_taken_for_an_index(workflow_crates: Any, indexed: Path) -> None:
    before = everything(indexed)
    next((indexed / "tasks").rglob("part-*.parquet")).unlink()

    def interrupted(*_: Any) -> Any:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        index([workflow_crates.directory], mapper=interrupted)
    with pytest.raises(IndexDamageError, match="6 crates have to be read again"):
        Index(indexed)
    index([workflow_crates.directory])
    assert everything(indexed) == before


def set_version(directory: Path, number: int) -> None:
    with closing(sqlite3.connect(directory / "seen.sqlite", isolation_level=None)) as db:
        db.execute(f"PRAGMA user_version = {number}")


def test_an_index_of_an_earlier_version_is_told(workflow_crates: Any, indexed: Path) -> None:
    set_version(indexed, 1)
    with pytest.raises(InputError, match="another version"):
        index([workflow_crates.directory])
    with pytest.raises(InputError, match="another version"):
        Index(indexed)


def test_a_directory_that_is_named_twice_is_read_once(workflow_crates: Any, indexed: Path, tmp_path: Path) -> None:
    assert index([workflow_crates.directory] * 2, tmp_path / "i").read == 6
    assert everything(tmp_path / "i") == everything(indexed)


def test_a_crate_that_lies_there_twice_counts_once(workflow_crates: Any, indexed: Path, tmp_path: Path) -> None:
    with Index(indexed) as opened:
        before = {
            table: sorted(map(repr, opened.sql(f"SELECT * EXCLUDE (crate) FROM {table}").rows)) for table in TABLES
        }
    shutil.copytree(workflow_crates.directory, tmp_path / "copies")
    both = [workflow_crates.directory, tmp_path / "copies"]
    result = index(both)
    assert (result.read, result.total, result.duplicates) == (6, 6, 6)
    with Index(indexed) as opened:
        for table in TABLES:
            rows = opened.sql(f"SELECT * EXCLUDE (crate) FROM {table}").rows
            assert sorted(map(repr, rows)) == before[table]
        assert list(opened.sql("SELECT count(*), count(DISTINCT key) FROM tasks").rows) == [(6, 6)]
    # Where the one that counted is gone, the other one does.
    kept = {path for (path,) in Index(indexed).sql("SELECT crate FROM tasks").rows}
    shutil.rmtree(Path(min(kept)).parent)
    result = index(
        [directory for directory in both if directory.is_dir()] + [Path(min(kept)).parent.parent], indexed, prune=True
    )
    assert (result.total, result.duplicates) == (6, 0)
    assert len(keys(indexed)) == 6


def test_an_error_while_writing_changes_nothing(workflow_crates: Any, indexed: Path, monkeypatch: Any) -> None:
    before = sorted(path.name for path in indexed.rglob("part-*"))
    workflow_crates.add(8, "late", offset_s=50)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(IndexStore, "_write", full)  # a full disk cannot be had in a test
    with pytest.raises(OSError, match="No space"):
        index([workflow_crates.directory])
    monkeypatch.undo()
    assert sorted(path.name for path in indexed.rglob("part-*")) == before
    assert index([workflow_crates.directory]).read == 1


def test_many_small_parts_become_one(crates: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(store, "MAX_PARTS", 3)
    for number in range(6):
        crates.add(number)
        index([crates.directory])
    with Index(crates.directory) as opened:
        assert list(opened.sql("SELECT count(*), count(DISTINCT key) FROM tasks").rows) == [(6, 6)]
        assert len(list((opened.path / "tasks").rglob("part-*"))) <= 3


def test_something_else_is_no_index(crates: Any, tmp_path: Path) -> None:
    crates.add(1)
    target = tmp_path / "i"
    target.mkdir()
    (target / "seen.sqlite").write_text("no database, but long enough to look like a file of something else")
    with pytest.raises(InputError, match="no record of an index"):
        index([crates.directory], target)
    with pytest.raises(InputError, match="has no index; make one with"):
        Index(crates.directory)
    with pytest.raises(InputError, match="no such index"):
        Index(tmp_path / "nowhere")


def test_a_damaged_record_is_one_line_and_removing_it_helps(crates: Any) -> None:
    for number in range(60):
        crates.add(number)
    index([crates.directory])
    record = default_index(crates.directory) / "seen.sqlite"
    before = everything(crates.directory)
    data = bytearray(record.read_bytes())
    for at in range(8192, len(data), 4096):
        data[at : at + 200] = b"\xff" * 200
    record.write_bytes(data)
    for ask in (lambda: Index(crates.directory), lambda: index([crates.directory])):
        with pytest.raises(InputError, match="seen.sqlite: no record of an index: .*; remove it, and index again"):
            ask()
    record.unlink()
    assert index([crates.directory]).read == 60
    assert everything(crates.directory) == before


def test_several_processes_read_the_same(workflow_crates: Any, indexed: Path, tmp_path: Path) -> None:
    index([workflow_crates.directory], tmp_path / "i", mapper=map_processes(2))
    query = "SELECT * FROM tasks ORDER BY key"
    with Index(indexed) as first, Index(tmp_path / "i") as other:
        assert list(first.sql(query).rows) == list(other.sql(query).rows)


def test_a_piece_says_what_it_could_not_read(crates: Any, tmp_path: Path) -> None:
    batch = read_batch([str(crates.add(1)), str(tmp_path / "nothing.zip")])
    assert len(batch.steps) == 1
    assert batch.problems[0].where == str(tmp_path / "nothing.zip")


# -- questions -------------------------------------------------------------------------------------------------------


def test_filters(workflow_crates: Any, make_crates: Any) -> None:
    other = make_crates(workflow_crates.directory, host="gpu-node")
    other.add(9, "train", offset_s=100, wall_s=60, endpoint_id=None, endpoint_name=None)
    index([workflow_crates.directory])
    where = workflow_crates.directory
    assert keys(where, status="failed") == ["1.attempt-1", "4"]
    assert keys(where, status="failed", latest=True) == ["4"]
    assert keys(where, function=("to*", "merge")) == ["2", "3", "4"]
    assert keys(where, host=("gpu-*",)) == ["9"]
    assert keys(where, endpoint=("laptop",), function=("train",)) == []
    assert keys(where, task=("7a171870-b038-4174-8000-000000000001",)) == ["1.attempt-1", "1"]
    assert keys(where, error="NOTHING to merge") == ["4"]
    assert keys(where, error="valueerror", function=("read",)) == ["1.attempt-1"]
    assert keys(where, min_wall_s=2) == ["9"]
    assert keys(where, max_wall_s=0.5) == ["1.attempt-1"]
    assert keys(where, min_cpu_s=50) == ["9"]
    assert keys(where, min_rss_bytes=101 << 20) == []
    assert len(keys(where, max_rss_bytes=100 << 20)) == 7
    assert keys(where, gpu=True) == keys(where, gpu=False) == []
    begin = datetime.fromtimestamp(1_790_000_000, timezone.utc)
    assert keys(where, since=begin.replace(second=begin.second + 6)) == ["4", "9"]
    assert keys(where, until=begin.replace(second=begin.second + 1)) == ["0", "1.attempt-1"]


def gpu_series(**percent: float) -> TaskSeries:
    """Samples of the GPUs of a node, such as ``gpu0=80``."""
    columns = {
        f"{name}_utilization_percent": Column("percent", [value, value], subject=f"gpu:{name[3:]}")
        for name, value in percent.items()
    }
    return TaskSeries(gpu=Series(0.5, [0.5, 1.0], columns, 2, 2, 0.5))


@pytest.fixture
def gpu_crates(crates: Any) -> Path:
    """Crates of a worker with GPUs 0 and 1 beside a busy neighbour with GPU 2; the third has no sample."""
    worker = Worker("node01", 1, accelerators={"CUDA_VISIBLE_DEVICES": "0,1"})
    for number, series in (
        (1, gpu_series(gpu0=80.0, gpu1=3.0, gpu2=99.0)),
        (2, gpu_series(gpu0=0.0, gpu1=4.0, gpu2=99.0)),
        (3, None),
    ):
        crates.add(number, series=series, worker=worker)
    directory: Path = crates.directory
    return directory


def test_gpus(gpu_crates: Path) -> None:
    index([gpu_crates])
    assert keys(gpu_crates, gpu=True) == ["1"]
    assert keys(gpu_crates, gpu=False) == ["2"], "nothing is known of the third"
    assert keys(gpu_crates, min_gpu_percent=50) == ["1"], "what the neighbour did does not count"


def test_tables_index_and_page_count_gpus_alike(gpu_crates: Path) -> None:
    pd = pytest.importorskip("pandas")
    index([gpu_crates])
    run = open_run(gpu_crates)
    table = {row.key: row.gpus_used for row in run.tasks().itertuples()}
    with Index(gpu_crates) as opened:
        indexed = dict(opened.ask(Filters(), ["key", "gpus_used"]).rows)
    page = {row.key: row.gpus.used for row in gather(run).rows}
    assert page == indexed == {key: None if used is pd.NA else used for key, used in table.items()}
    assert list(page.values()) == [1, 0, None]


@pytest.mark.parametrize("version", OUTDATED)
def test_an_index_by_earlier_rules_answers_and_is_made_of_the_crates_again(
    gpu_crates: Path, tmp_path: Path, version: int
) -> None:
    index([gpu_crates])
    gone = tmp_path / "gone"
    shutil.copytree(sorted(gpu_crates.iterdir())[0], gone / "00000000-0000-4000-8000-000000000009.crate")
    metadata = gone / "00000000-0000-4000-8000-000000000009.crate" / "ro-crate-metadata.json"
    metadata.write_text(metadata.read_text() + "\n")  # another content
    index([gone], default_index(gpu_crates))
    shutil.rmtree(gone)
    set_version(default_index(gpu_crates), version)
    assert len(keys(gpu_crates)) == 4
    again = index([gpu_crates])
    assert (again.read, again.unchanged, again.total, again.problems) == (3, 0, 4, [])
    assert index([gpu_crates]).unchanged == 3


def test_reading_again_by_new_rules_can_be_interrupted(gpu_crates: Path) -> None:
    index([gpu_crates])
    set_version(default_index(gpu_crates), 2)

    def interrupted(function: Any, batches: Any) -> Any:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        index([gpu_crates], mapper=interrupted)
    assert len(keys(gpu_crates)) == 3
    assert index([gpu_crates]).read == 3
    assert index([gpu_crates]).unchanged == 3


def test_order_and_limit(indexed: Path) -> None:
    with Index(indexed) as opened:
        assert [row[0] for row in opened.ask(Filters(), ["wall_s"], ["wall_s"], 2).rows] == [0.5, 1.0]
        assert [row[0] for row in opened.ask(Filters(), ["function"], ["-function"], 1).rows] == ["total"]
        with pytest.raises(InputError, match="no column 'x; DROP TABLE tasks'"):
            opened.ask(Filters(), ["x; DROP TABLE tasks"])


def test_values_are_never_part_of_the_query(crates: Any) -> None:
    crates.add(1, "it's; DROP VIEW tasks")
    index([crates.directory])
    assert keys(crates.directory, function=("it's; DROP VIEW tasks",)) == ["1"]
    assert keys(crates.directory, function=("' OR '1'='1",)) == []
    assert len(keys(crates.directory)) == 1


def test_sql_and_its_errors(indexed: Path) -> None:
    with Index(indexed) as opened:
        query = "SELECT function, sum(cpu_s) FROM tasks JOIN arguments USING (key) WHERE name = 'scale' GROUP BY 1"
        ((function, cpu_s),) = opened.sql(query).rows
        assert (function, round(cpu_s, 2)) == ("total", 1.82)
        with pytest.raises(InputError, match="query: "):
            opened.sql("SELECT nonsense")
        assert opened.frame("SELECT start FROM tasks")["start"].dt.tz is not None


def test_a_time_with_a_zone_is_handed_over_or_refused_before_the_first_row(indexed: Path) -> None:
    import duckdb

    query = "SELECT TIMESTAMPTZ '2026-11-28 20:24:18.5+00' AS moment FROM tasks"
    expected = datetime(2026, 11, 28, 20, 24, 18, 500_000, timezone.utc)
    with Index(indexed) as opened:
        try:
            duckdb.sql(query.removesuffix(" FROM tasks")).fetchall()
        except duckdb.Error:
            with pytest.raises(InputError, match="now\\(\\)::TIMESTAMP"):
                opened.sql(query)
        else:
            assert list(opened.sql(query).rows) == [(expected,)] * 6
        assert next(opened.sql("SELECT start FROM tasks LIMIT 1").rows)[0].tzinfo is None


def test_no_parquet_holds_what_is_no_number(crates: Any, tmp_path: Path) -> None:
    """Statistics of a column are undefined with NaN, and DuckDB leaves out rows by them."""
    nan = float("nan")
    columns = {"cpu_percent": Column("percent", [nan, 50.0]), "rss_bytes": Column("byte", [1 << 20, 1 << 20])}
    crates.add(
        1,
        arguments=[Value("ratio", "float", value=nan), Value("limit", "float", value=float("inf"))],
        result=Value("return", "float", value=nan),
        usage=Usage(cpu_user_s=nan, cpu_system_s=nan),
        series=TaskSeries(Series(0.05, [0.05, 0.1], columns, 2, 2, 0.05)),
    )
    crates.add(2, usage=Usage(cpu_user_s=1.0, cpu_system_s=1.0))
    torn = crates.add(3)
    metadata = torn / "ro-crate-metadata.json"
    metadata.write_text(metadata.read_text().replace('"value":1.0', '"value":NaN', 1))
    done = index([crates.directory], tmp_path / "x.index")
    assert [problem.where for problem in done.problems] == [str(torn)]
    run = open_run(crates.directory)
    EXPORTERS["parquet"].write(run, tmp_path / "samples.parquet")
    paths = [*(tmp_path / "x.index").rglob("*.parquet"), *tmp_path.glob("samples*")]
    assert len(paths) >= 3
    for path in paths:
        for name, column in zip(*(lambda table: (table.column_names, table.columns))(pq.read_table(path)), strict=True):
            if "double" in str(column.type):
                assert not any(value is not None and value != value for value in column.to_pylist()), (path, name)
    with Index(tmp_path / "x.index") as opened:
        assert [row[0] for row in opened.sql("SELECT cpu_s FROM tasks WHERE cpu_s >= 2").rows] == [2.0]


def test_an_endpoint_goes_by_any_of_its_ids(crates: Any, tmp_path: Path) -> None:
    core, user = "e8478edc-1619-4e8c-b092-c04a0b9e70d2", "ca240b00-7c51-44b8-8d2a-1b0f0c4f4c11"
    crates.add(1, endpoint_id=user, endpoint_name=f"uep.{core}.{user}")
    crates.add(2)
    index([crates.directory], tmp_path / "x.index")
    with Index(tmp_path / "x.index") as opened:
        for name in (core, user):
            rows = opened.ask(Filters(endpoint=(name,)), ["endpoint_id", "user_endpoint_id"]).rows
            assert list(rows) == [(core, user)]


def test_times_have_one_unit_in_all_data_frames(workflow_crates: Any, indexed: Path) -> None:
    with Index(indexed) as opened:
        frame = opened.frame("SELECT * FROM tasks ORDER BY key")
    tasks = open_run(workflow_crates.directory).tasks().sort_values("key").reset_index(drop=True)
    for name in ("start", "end"):
        assert str(frame[name].dtype) == str(tasks[name].dtype) == "datetime64[us, UTC]"
        assert list(frame[name]) == list(tasks[name])
        assert [value.value for value in frame[name].dt.as_unit("ns")] == [
            number // 1000 * 1000 for number in frame[f"{name}_ns"]
        ]


@pytest.mark.parametrize(
    "query, message",
    [
        ("COPY tasks TO '{out}/x.csv'", "COPY"),
        ("COPY tasks TO '{index}/x.csv'", "COPY"),
        ("EXPLAIN ANALYZE COPY tasks TO '{index}/x.csv'", "EXPLAIN"),
        ("ATTACH '{out}/x.db'", "ATTACH"),
        ("EXPORT DATABASE '{out}/x'", "EXPORT"),
        ("CREATE TABLE mine AS SELECT 1", "CREATE"),
        ("DROP VIEW tasks", "DROP"),
        ("SET enable_external_access = true", "SET"),
        ("INSTALL httpfs", "LOAD"),
        ("SELECT 1; SELECT 2", "2 statements; ask one at a time"),
        ("SELECT * FROM read_text('{out}/secret')", "Permission Error"),
        ("SELECT * FROM glob('{out}/*')", "Permission Error"),
        ("SELECT * FROM '{out}/secret.csv'", "query: "),
    ],
)
def test_a_question_only_reads_the_index(indexed: Path, tmp_path: Path, query: str, message: str) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "secret").write_text("secret")
    (out / "secret.csv").write_text("a\n1\n")
    before = sorted(indexed.rglob("*"))
    with Index(indexed) as opened:
        for ask in (opened.sql, opened.frame):
            with pytest.raises(InputError, match=message):
                ask(query.format(out=out, index=indexed))
        assert len(list(opened.sql("FROM tasks;").rows)) == 6
    assert sorted(path.name for path in out.iterdir()) == ["secret", "secret.csv"]
    assert sorted(indexed.rglob("*")) == before


@pytest.mark.parametrize("query", ["SUMMARIZE tasks", "DESCRIBE tasks", "SHOW TABLES", "WITH a AS (FROM tasks) FROM a"])
def test_questions_of_other_words(indexed: Path, query: str) -> None:
    with Index(indexed) as opened:
        assert list(opened.sql(query).rows)


def test_an_index_in_a_directory_of_any_name(workflow_crates: Any, tmp_path: Path, monkeypatch: Any) -> None:
    odd = tmp_path / "it's [a] * name?"
    odd.mkdir()
    monkeypatch.chdir(odd)
    index([workflow_crates.directory], Path("mine"))
    assert len(keys(Path("mine"))) == len(keys(odd / "mine")) == 6


def test_an_index_of_nothing_answers_nothing(crates: Any) -> None:
    (crates.add(1) / "ro-crate-metadata.json").write_text("{")
    index([crates.directory])
    assert keys(crates.directory) == []


def test_the_record_is_a_database_of_its_own(indexed: Path) -> None:
    with closing(sqlite3.connect(indexed / "seen.sqlite")) as db:
        assert db.execute("SELECT count(*) FROM seen").fetchone() == (6,)


@pytest.mark.parametrize("text, seconds", [("90", 90), ("250ms", 0.25), ("1.5m", 90), ("2h", 7200), ("1d", 86_400)])
def test_durations(text: str, seconds: float) -> None:
    assert duration_s(text) == seconds


@pytest.mark.parametrize(
    "text, size", [("1048576", 1 << 20), ("500MB", 5e8), ("1.5GiB", 1.5 * (1 << 30)), ("2G", 2 << 30), ("10 b", 10)]
)
def test_sizes(text: str, size: float) -> None:
    assert size_bytes(text) == size


@pytest.mark.parametrize(
    "parse, text", [(duration_s, "soon"), (size_bytes, "-1"), (size_bytes, "1PB"), (moment, "noon")]
)
def test_what_is_no_quantity(parse: Any, text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        parse(text)


def test_times_without_offset_are_utc() -> None:
    assert moment("2026-11-20") == datetime(2026, 11, 20, tzinfo=timezone.utc)
    assert moment("2026-11-20T01:00+01:00") == moment("2026-11-20T00:00Z")


def test_an_index_of_a_version_with_fewer_counters_is_read_and_goes_on(
    workflow_crates: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its files have no column for a counter; those that are made from now on have one."""
    fewer = {name: kind for name, kind in TABLES["tasks"].items() if name != "written_bytes"}
    with monkeypatch.context() as version:
        version.setitem(TABLES, "tasks", fewer)
        index([workflow_crates.directory])
    path = default_index(workflow_crates.directory)
    query = "SELECT count(*), count(written_bytes), sum(written_bytes) FROM tasks"
    with Index(path) as opened:
        assert list(opened.sql(query).rows) == [(6, 0, None)]
    assert not read_record(path).uniform
    workflow_crates.add(90, usage=Usage(read_bytes=7, written_bytes=512))
    index([workflow_crates.directory])
    with Index(path) as opened:
        assert list(opened.sql(query).rows) == [(7, 1, 512)]
        assert list(opened.ask(Filters(), ["read_bytes", "written_bytes"], ["-written_bytes"], 1).rows) == [(7, 512)]
    monkeypatch.setattr(store, "MAX_PARTS", 1)
    workflow_crates.add(91, usage=Usage(written_bytes=1024))
    index([workflow_crates.directory])
    with Index(path) as opened:
        assert list(opened.sql(query).rows) == [(8, 2, 1536)]
    assert len(list((path / "tasks").rglob("*.parquet"))) == 1, "one file of both kinds"


def test_the_files_of_one_version_have_the_same_columns(workflow_crates: Any, indexed: Path) -> None:
    assert read_record(indexed).uniform
    workflow_crates.add(91)
    index([workflow_crates.directory])
    assert read_record(indexed).uniform
