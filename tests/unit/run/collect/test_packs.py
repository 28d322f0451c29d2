"""Packs that are collected, closed and growing."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from prov_worker.crate import vocabulary as v
from prov_worker.crate.packs.format import Packed
from prov_worker.crate.packs.writer import PackWriter
from prov_worker.crate.sources import find_sources
from prov_worker.run.collect.rsync import Collected, Options, collect
from prov_worker.run.collect.transfer import damaged
from prov_worker.testing import CrateFactory

pytestmark = pytest.mark.skipif(shutil.which("rsync") is None, reason="no rsync (on Debian: apt-get install rsync)")


@pytest.fixture
def made(tmp_path: Path) -> list[Path]:
    factory = CrateFactory(tmp_path / "made")
    return [factory.add(number) for number in range(6)]


@pytest.fixture
def site(tmp_path: Path) -> Path:
    path = tmp_path / "site"
    path.mkdir()
    return path


def append(writer: PackWriter, crates: list[Path], damage: bool = False) -> None:
    for crate in crates:
        files = [("data/hardware.json", Packed.of((crate / "data/hardware.json").read_bytes() + b" " * damage))]
        metadata = Packed.of((crate / v.METADATA_FILE).read_bytes())
        writer.append(crate.name, [*files, (v.METADATA_FILE, metadata)], None, 10**18)


def keys(directory: Path) -> list[str]:
    return sorted(source.key for source in find_sources(directory, pytest.fail))


def gather(site: Path, home: Path, **options: bool) -> Collected:
    return collect([str(site)], home, Options(**options))


def test_a_growing_pack_comes_piece_by_piece_and_is_replaced_when_it_is_closed(
    site: Path, made: list[Path], tmp_path: Path
) -> None:
    home = tmp_path / "home"
    writer = PackWriter(site)
    for number in range(1, 4):
        append(writer, made[2 * number - 2 : 2 * number])
        done = gather(site, home)
        assert (done.problems, len(done.new), done.known) == ([], 2, 2 * number - 2)
        assert len(keys(home)) == 2 * number
    assert gather(site, home).new == []
    path = writer.close()
    assert path is not None
    done = gather(site, home)
    assert (done.problems, done.new, done.known) == ([], [], 6)
    assert [entry.name for entry in home.iterdir()] == [path.name]
    assert (home / path.name).read_bytes() == path.read_bytes()
    assert gather(site, home).known == 6
    assert damaged(home) == (6, [])


def test_a_closed_pack_is_removed_at_its_source_when_it_is_home(site: Path, made: list[Path], tmp_path: Path) -> None:
    home = tmp_path / "home"
    writer = PackWriter(site)
    append(writer, made)
    assert gather(site, home, dry_run=True).new == [writer.part.name]
    assert not home.exists()
    writer.close()
    done = gather(site, home, move=True)
    assert (len(done.new), done.moved, done.problems) == (6, 6, [])
    assert list(site.iterdir()) == []
    assert len(keys(home)) == 6


def test_a_pack_with_a_crate_that_is_not_what_it_says_does_not_come(
    site: Path, made: list[Path], tmp_path: Path
) -> None:
    home = tmp_path / "home"
    writer = PackWriter(site)
    append(writer, made[:2])
    assert len(gather(site, home).new) == 2
    append(writer, made[2:], damage=True)
    done = gather(site, home)
    assert len(done.problems) == 1
    assert "nothing of it was kept" in done.problems[0].message
    assert len(keys(home)) == 2
    writer.close()
    assert len(gather(site, home).problems) == 1
    assert len(keys(home)) == 2


def test_what_is_here_and_lacks_at_the_source_is_kept(site: Path, made: list[Path], tmp_path: Path) -> None:
    home = tmp_path / "home"
    writer = PackWriter(site)
    append(writer, made)
    path = writer.close()
    assert path is not None
    assert len(gather(site, home).new) == 6
    path.unlink()
    shorter = PackWriter(site)
    append(shorter, made[:2])
    assert shorter.close() == path
    done = gather(site, home)
    assert [problem.message.split(",")[0] for problem in done.problems] == [f"lacks crates of {home / path.name}"]
    assert len(keys(home)) == 6
