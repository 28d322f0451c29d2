"""An index's own record: of other versions, of earlier rules, damaged."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("duckdb")
pytest.importorskip("pyarrow")


from prov_worker.errors import InputError
from prov_worker.model import Usage
from prov_worker.run.index import store
from prov_worker.run.index.build import default_index, index
from prov_worker.run.index.query import Index
from prov_worker.run.index.record import OUTDATED, read_record
from prov_worker.run.index.tables import TABLES
from prov_worker.run.selection import Filters
from support.indexes import everything, keys


def set_version(directory: Path, number: int) -> None:
    with closing(sqlite3.connect(directory / "seen.sqlite", isolation_level=None)) as db:
        db.execute(f"PRAGMA user_version = {number}")


def test_an_index_of_an_earlier_version_is_told(workflow_crates: Any, indexed: Path) -> None:
    set_version(indexed, 1)
    with pytest.raises(InputError, match="another version"):
        index([workflow_crates.directory])
    with pytest.raises(InputError, match="another version"):
        Index(indexed)


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


def test_the_record_is_a_database_of_its_own(indexed: Path) -> None:
    with closing(sqlite3.connect(indexed / "seen.sqlite")) as db:
        assert db.execute("SELECT count(*) FROM seen").fetchone() == (6,)


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
