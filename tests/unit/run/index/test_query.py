"""Questions to an index: filters, SQL, and what is refused."""

from __future__ import annotations

import shutil
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("duckdb")
pytest.importorskip("pyarrow")

import pyarrow.parquet as pq

from prov_worker.errors import InputError
from prov_worker.model import Column, Series, TaskSeries, Usage, Value
from prov_worker.run.api import open_run
from prov_worker.run.export import EXPORTERS
from prov_worker.run.index.build import index
from prov_worker.run.index.query import Index, duration_s, moment, size_bytes
from prov_worker.run.report.model_builder import gather
from prov_worker.run.selection import Filters
from support.indexes import keys


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


def test_order_and_limit(indexed: Path) -> None:
    with Index(indexed) as opened:
        assert [row[0] for row in opened.ask(Filters(), ["wall_s"], ["wall_s"], 2).rows] == [0.5, 1.0]
        assert [row[0] for row in opened.ask(Filters(), ["function"], ["-function"], 1).rows] == ["total"]
        with pytest.raises(InputError, match=r"^no column 'wal_s'; did you mean 'wall_s'\?$"):
            opened.ask(Filters(), sort=["wal_s"])
        with pytest.raises(InputError, match=r"^query: no table 'task'; did you mean 'tasks'\?$"):
            opened.sql("SELECT * FROM task")
        with pytest.raises(InputError, match="^query: no table 'zzz'; there are tasks, arguments, files"):
            opened.sql("SELECT * FROM zzz")
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
    crate = crates.add(1)
    index([crates.directory])
    shutil.rmtree(crate)
    index([crates.directory], prune=True)
    assert keys(crates.directory) == []


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
