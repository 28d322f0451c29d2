"""An index made of crates, and brought up to date."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("duckdb")
pytest.importorskip("pyarrow")

import pyarrow.parquet as pq

from prov_worker.cli.main import run as cli
from prov_worker.crate import graph
from prov_worker.crate.reader import StepCrate
from prov_worker.errors import InputError
from prov_worker.run.index import store
from prov_worker.run.index.build import index
from prov_worker.run.index.mapping import map_processes
from prov_worker.run.index.pieces import Piece
from prov_worker.run.index.query import Index
from prov_worker.run.index.read import read_batch
from prov_worker.run.index.record import read_record
from prov_worker.run.index.store import IndexStore, partition_of
from prov_worker.run.index.tables import TABLES
from support.indexes import everything, keys


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


def test_equal_lines_of_crates_change_no_row(
    workflow_crates: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directories = [workflow_crates.directory, Path(__file__).parents[3] / "data/0.1.0/crates"]
    by_line = index(directories, tmp_path / "by-line.index")
    monkeypatch.setattr(graph, "_LINES", Unread())
    whole = index(directories, tmp_path / "whole.index")
    assert by_line.total == whole.total > 6
    assert (by_line.problems, whole.problems) == ([], [])
    assert everything(by_line.index) == everything(whole.index)


class Unread:
    """Leaves each document to the reader of whole ones."""

    def entities(self, data: bytes) -> None:
        return None


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


@pytest.mark.parametrize("name", ["empty", "empty.crate"])
def test_what_has_no_crates_is_refused_and_leaves_no_index(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(InputError, match="no step crates"):
        index([tmp_path / name])
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize("metadata", [None, "{"])
def test_without_a_crate_that_can_be_read_there_is_no_index(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], metadata: str | None
) -> None:
    crate = tmp_path / "crates" / "1.crate"
    crate.mkdir(parents=True)
    if metadata is not None:
        (crate / "ro-crate-metadata.json").write_text(metadata)
    assert cli(["run", "index", str(crate.parent)]) == 1
    output = capsys.readouterr()
    assert str(crate) in output.err
    assert output.out == "no step crate could be read; nothing was written\n"
    assert os.listdir(tmp_path) == ["crates"]
    assert cli(["run", "query", str(crate.parent)]) == 2


def test_the_last_crate_of_an_index_may_go(crates: Any) -> None:
    crate = crates.add(1)
    assert index([crates.directory]).total == 1
    shutil.rmtree(crate)
    assert (index([crates.directory]).total, index([crates.directory], prune=True).total) == (1, 0)


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


def test_several_processes_read_the_same(workflow_crates: Any, indexed: Path, tmp_path: Path) -> None:
    index([workflow_crates.directory], tmp_path / "i", mapper=map_processes(2))
    query = "SELECT * FROM tasks ORDER BY key"
    with Index(indexed) as first, Index(tmp_path / "i") as other:
        assert list(first.sql(query).rows) == list(other.sql(query).rows)


def test_a_piece_says_what_it_could_not_read(crates: Any, tmp_path: Path) -> None:
    batch = read_batch(Piece([str(crates.add(1)), str(tmp_path / "nothing.zip")]))
    assert len(batch.steps) == 1
    assert batch.problems[0].where == str(tmp_path / "nothing.zip")


def test_the_files_of_one_version_have_the_same_columns(workflow_crates: Any, indexed: Path) -> None:
    assert read_record(indexed).uniform
    workflow_crates.add(91)
    index([workflow_crates.directory])
    assert read_record(indexed).uniform
