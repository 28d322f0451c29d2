"""Files of an index that are damaged: named, repaired from the crates, or said to be lost."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("duckdb")
pytest.importorskip("pyarrow")


from prov_worker.run.index.build import index
from prov_worker.run.index.query import Index, IndexDamageError
from prov_worker.run.index.tables import TABLES
from support.indexes import everything


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
