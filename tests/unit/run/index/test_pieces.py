"""Crates are read in pieces: each of them in one, also while their pack grows."""

from __future__ import annotations

from pathlib import Path

import pytest

from prov_worker.crate import vocabulary as v
from prov_worker.crate.packs import format as form
from prov_worker.crate.packs.conversion import pack
from prov_worker.crate.packs.writer import PackWriter
from prov_worker.run.index.build import index
from prov_worker.run.index.mapping import map_processes
from prov_worker.run.index.pieces import Piece, pieces
from prov_worker.testing import CrateFactory


def test_each_crate_of_a_pack_is_in_one_piece(workflow_crates: CrateFactory, tmp_path: Path) -> None:
    pack(workflow_crates.directory, tmp_path / "packs", keep=True, progress=lambda done, total: None)
    (path,) = map(str, (tmp_path / "packs").glob("*.zip"))
    cut = list(pieces([path, "a", "b", "c"], cut=True, per_piece=2))
    assert cut[-2:] == [Piece(["a", "b"]), Piece(["c"])]
    assert {piece.parts for piece in cut[:-2]} == {len(cut) - 2}
    keys = [source.key for piece in cut[:-2] for source in piece.sources(pytest.fail)]
    whole = [source.key for source in next(pieces([path], cut=False)).sources(pytest.fail)]
    assert sorted(keys) == sorted(whole)
    assert len(set(keys)) == len(keys) > 5


def test_a_part_holds_what_it_held_while_its_pack_grows(tmp_path: Path) -> None:
    writer = PackWriter(tmp_path)
    first: list[set[str]] = [set()] * 4
    for number in range(40):
        content = form.Packed.of(b"{%d}" % number)
        writer.append(v.crate_name(f"task-{number}"), [(v.METADATA_FILE, content)], None, 0)
        if number % 10 == 9:
            parts = [Piece([str(writer.closed_path)], part, 4) for part in range(4)]
            second = [{source.key for source in part.sources(pytest.fail)} for part in parts]
            assert all(before <= after for before, after in zip(first, second, strict=True))
            assert sum(map(len, second)) == number + 1
            first = second
    writer.close()


def test_a_pack_that_no_process_can_read_is_named_once(workflow_crates: CrateFactory, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    pack(workflow_crates.directory, tmp_path / "packs", keep=True, progress=lambda done, total: None)
    (path,) = (tmp_path / "packs").glob("*.zip")
    path.write_bytes(b"no zip" * 1_000_000)
    result = index([tmp_path / "packs"], tmp_path / "i", mapper=map_processes(2))
    assert [problem.where for problem in result.problems] == [str(path)]
