"""Old crates go, whole or not at all; what is sealed, being written or not asked for stays."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from prov_worker.crate.check import check_crate
from prov_worker.crate.packs.writer import PackWriter
from prov_worker.crate.reader import StepCrate
from prov_worker.crate.sources import find_sources
from prov_worker.crate.staging import remove_leftovers
from prov_worker.run.assembly.assemble import assemble
from prov_worker.run.assembly.model import Options
from prov_worker.spool.paths import spool_dir
from prov_worker.testing import CrateFactory, task_id
from prov_worker.testing.crates import START_NS

Run = Callable[..., tuple[int, str, str]]
#: Hours since the tasks of the factory began.
AGE_H = int((time.time_ns() - START_NS) / 3.6e12)


@pytest.fixture
def factory(tmp_path: Path) -> CrateFactory:
    """Two old tasks, one of which failed, and a new one."""
    factory = CrateFactory(tmp_path / "crates")
    factory.add(1)
    factory.add(2, error="no")
    factory.add(3, offset_s=(AGE_H - 1) * 3600)
    return factory


def numbers(directory: Path) -> list[int]:
    ids = {task_id(number): number for number in range(100)}
    return sorted(ids[StepCrate.open(source).task_id] for source in find_sources(directory, pytest.fail))


def prune(prov_worker: Run, directory: Path, *more: object) -> dict[str, object]:
    code, out, err = prov_worker("prune", directory, "--older-than", "24h", "--json", *more)
    assert (code, err) == (0, "")
    return json.loads(out)  # type: ignore[no-any-return]


@pytest.mark.parametrize("packed", [False, True])
def test_nothing_goes_without_yes_and_nothing_unsealed_without_a_word(
    prov_worker: Run, factory: CrateFactory, packed: bool
) -> None:
    directory = factory.directory
    if packed:
        assert prov_worker("pack", directory)[0] == 0
    shown = prune(prov_worker, directory, "--unsealed")
    assert len(shown["crates"]) == 2  # type: ignore[arg-type]
    assert shown["free_bytes"] > 2000  # type: ignore[operator]
    assert numbers(directory) == [1, 2, 3]
    kept = prune(prov_worker, directory, "--yes")
    assert (kept["crates"], kept["kept_unsealed"]) == ([], 2)
    assert numbers(directory) == [1, 2, 3]
    assert len(prune(prov_worker, directory, "--unsealed", "--status", "failed", "--yes")["crates"]) == 1  # type: ignore[arg-type]
    assert numbers(directory) == [1, 3]
    prune(prov_worker, directory, "--unsealed", "--yes")
    assert numbers(directory) == [3]
    assert all(check_crate(source) == [] for source in find_sources(directory, pytest.fail))
    assert [name for name in os.listdir(directory) if name.startswith(".")] == []


def test_what_is_sealed_in_a_run_crate_may_go(prov_worker: Run, factory: CrateFactory, tmp_path: Path) -> None:
    run = tmp_path / "RUN.crate"
    assemble([factory.directory / f"{task_id(1)}.crate"], run, Options())
    done = prune(prov_worker, factory.directory, "--sealed-in", run, "--yes")
    assert (len(done["crates"]), done["kept_unsealed"]) == (1, 1)  # type: ignore[arg-type]
    assert numbers(factory.directory) == [2, 3]
    (run / "README.md").write_text("changed")
    code, _, err = prov_worker("prune", factory.directory, "--older-than", "1d", "--sealed-in", run, "--yes")
    assert code == 2
    assert err.startswith(f"prov-worker: {run}: is not as it was sealed: README.md: ")
    assert numbers(factory.directory) == [2, 3]


@pytest.mark.parametrize("packed", [False, True])
def test_a_crate_that_is_not_as_it_was_sealed_stays(
    prov_worker: Run, factory: CrateFactory, tmp_path: Path, packed: bool
) -> None:
    directory, run = factory.directory, tmp_path / "RUN.crate.zip"
    factory.add(4)
    assemble([directory], run, Options(zip=True))
    changed, more = directory / f"{task_id(1)}.crate", directory / f"{task_id(4)}.crate"
    (file := changed / "data" / "hardware.json").unlink()
    file.write_text("{}")
    (more / "note.txt").write_text("of nobody else")
    if packed:
        assert prov_worker("pack", directory)[0] == 0
    code, out, err = prov_worker("prune", directory, "--older-than", "24h", "--sealed-in", run, "--yes", "--json")
    assert code == 1
    assert [task_id(2) in crate for crate in json.loads(out)["crates"]] == [True]
    named = [line.split(": ", 2) for line in err.splitlines()]
    assert [(Path(where.replace("!", "/")).name, problem) for _, where, problem in named] == [
        (changed.name, "data/hardware.json: is not as it was sealed; the crate is kept"),
        (more.name, "note.txt: is not as it was sealed; the crate is kept"),
    ]
    assert numbers(directory) == [1, 3, 4]


@pytest.mark.parametrize("kind", ["empty", "pipe", "link", "directory"])
@pytest.mark.parametrize("yes", [[], ["--yes"]])
def test_an_archive_is_a_new_file(
    prov_worker: Run, factory: CrateFactory, tmp_path: Path, kind: str, yes: list[str]
) -> None:
    archive = tmp_path / "old.crates.zip"
    if kind == "empty":
        archive.touch()
    elif kind == "pipe":
        os.mkfifo(archive)
    elif kind == "link":
        archive.symlink_to(tmp_path / "nowhere")
    else:
        archive.mkdir()
    before = archive.lstat()
    code, out, err = prov_worker("prune", factory.directory, "--older-than", "0d", "--archive", archive, *yes)
    assert (code, out) == (2, "")
    assert err.startswith(f"prov-worker: {archive}: ")
    assert err.count("\n") == 1
    assert "--overwrite" not in err
    assert archive.lstat() == before
    assert numbers(factory.directory) == [1, 2, 3]


def test_an_archive_takes_a_copy_once_and_two_crates_of_one_name_apart(
    prov_worker: Run, factory: CrateFactory, tmp_path: Path
) -> None:
    assert prov_worker("pack", factory.directory, "--keep")[0] == 0
    changed = factory.directory / f"{task_id(1)}.crate" / "note.txt"
    changed.write_text("of the directory alone")
    archive = tmp_path / "old.crates.zip"
    prune(prov_worker, factory.directory, "--archive", archive, "--yes")
    assert set(numbers(factory.directory)) == {3}
    assert sorted(numbers(archive)) == [1, 1, 2]
    notes = [name for source in find_sources(archive, pytest.fail) for name in source.names() if name == "note.txt"]
    assert notes == ["note.txt"]


def test_what_cannot_be_read_back_from_an_archive_stays(
    prov_worker: Run, factory: CrateFactory, tmp_path: Path
) -> None:
    pack = Path(prov_worker("pack", factory.directory)[1].splitlines()[0])
    with zipfile.ZipFile(pack) as zipped:
        member = next(
            info for info in zipped.infolist() if info.filename.endswith(f"{task_id(1)}.crate/data/hardware.json")
        )
    with pack.open("r+b") as stream:
        stream.seek(member.header_offset + 180)
        stream.write(bytes(20))
    command = ("prune", factory.directory, "--older-than", "24h", "--archive", tmp_path / "old.crates.zip", "--yes")
    code, _, err = prov_worker(*command)
    assert code == 1
    assert f"{pack}!{task_id(1)}.crate: data/hardware.json: cannot be read" in err
    assert numbers(factory.directory) == [1, 3]


@pytest.mark.parametrize("packed", [False, True])
def test_what_goes_into_an_archive_is_there_byte_for_byte(
    prov_worker: Run, factory: CrateFactory, tmp_path: Path, packed: bool
) -> None:
    before = tmp_path / "before"
    shutil.copytree(factory.directory, before)
    if packed:
        assert prov_worker("pack", factory.directory)[0] == 0
    archive = tmp_path / "old.crates.zip"
    prune(prov_worker, factory.directory, "--archive", archive, "--yes")
    assert numbers(factory.directory) == [3]
    assert numbers(archive) == [1, 2]
    assert prov_worker("unpack", archive, "-o", tmp_path / "out")[0] == 0
    for path in before.rglob("*"):
        if path.is_file() and task_id(3) not in str(path):
            assert (tmp_path / "out" / path.relative_to(before)).read_bytes() == path.read_bytes()
    code, _, err = prov_worker("prune", factory.directory, "--older-than", "1d", "--archive", archive)
    assert code == 2
    assert "already exists" in err


def test_a_pack_that_grows_is_left_alone(prov_worker: Run, factory: CrateFactory) -> None:
    writer = PackWriter(factory.directory)
    writer.append("a.crate", [], None, START_NS)
    shown = prune(prov_worker, factory.directory, "--unsealed", "--yes")
    assert shown["growing"] == [str(writer.closed_path)]
    assert writer.part.exists()
    writer.close()


def test_links_are_left_alone_and_not_counted(prov_worker: Run, factory: CrateFactory, tmp_path: Path) -> None:
    real = factory.directory / f"{task_id(1)}.crate"
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / real.name).symlink_to(real.rename(tmp_path / real.name))
    pack = Path(prov_worker("pack", factory.directory)[1].splitlines()[0])
    (linked / pack.name).symlink_to(pack)
    before = pack.read_bytes()
    shown = prune(prov_worker, linked, "--unsealed", "--yes")
    assert (shown["crates"], shown["free_bytes"], shown["free_inodes"]) == ([], 0, 0)
    assert sorted(path.is_symlink() for path in linked.iterdir()) == [True, True]
    assert pack.read_bytes() == before


@pytest.mark.parametrize("inside", ["", "steps"])
def test_a_sealed_run_is_one_line(prov_worker: Run, factory: CrateFactory, tmp_path: Path, inside: str) -> None:
    run = tmp_path / "RUN.crate"
    assemble([factory.directory], run, Options())
    names = sorted(str(path) for path in run.rglob("*"))
    code, _, err = prov_worker("prune", run / inside, "--older-than", "1h", "--unsealed", "--yes")
    assert code == 2
    assert err.count("\n") == 1
    assert "a run crate is sealed: nothing of it goes" in err
    assert sorted(str(path) for path in run.rglob("*")) == names


def test_an_age_that_is_none_is_one_line(prov_worker: Run, factory: CrateFactory) -> None:
    code, _, err = prov_worker("prune", factory.directory, "--older-than", "soon")
    assert code == 2
    assert err == "prov-worker: --older-than: expected hours, days or weeks, such as 12h, 30d or 2w; got 'soon'\n"


def test_old_journals_of_finished_tasks_go_and_files_count_once(prov_worker: Run, factory: CrateFactory) -> None:
    closed = Path(spool_dir(str(factory.directory)), "closed")
    closed.mkdir(parents=True, mode=0o700)
    closed.parent.chmod(0o700)
    for name, age_s in (("old.jsonl", 90_000), ("new.jsonl", 0)):
        (closed / name).write_bytes(bytes(8192))
        os.utime(closed / name, (time.time() - age_s,) * 2)
    os.link(closed / "old.jsonl", closed / "other-name.jsonl")
    shown = prune(prov_worker, factory.directory)
    assert shown["journals"] == [str(closed / "old.jsonl"), str(closed / "other-name.jsonl")]
    assert shown["free_inodes"] == 1
    (closed / "keeps.jsonl").hardlink_to(closed / "old.jsonl")
    os.utime(closed / "keeps.jsonl", (0, 0))
    prune(prov_worker, factory.directory, "--yes")
    assert sorted(path.name for path in closed.iterdir()) == ["new.jsonl"]


@pytest.mark.faults
def test_one_that_is_killed_while_it_rewrites_loses_and_doubles_nothing(
    factory: CrateFactory, prov_worker: Run
) -> None:
    for number in range(4, 60):
        factory.add(number, offset_s=(AGE_H - 1) * 3600 if number % 2 else 0)
    assert prov_worker("pack", factory.directory)[0] == 0
    young = [number for number in range(3, 60) if number % 2]
    command = [sys.executable, "-m", "prov_worker", "prune", factory.directory, "--older-than", "24h"]
    for number in range(8):
        with subprocess.Popen([*command, "--unsealed", "--yes"], stdout=subprocess.DEVNULL) as process:
            time.sleep(0.35 + 0.05 * number)
            process.kill()
        assert set(young) <= set(numbers(factory.directory))
        assert len(numbers(factory.directory)) == len(set(numbers(factory.directory)))
    prune(prov_worker, factory.directory, "--unsealed", "--yes")
    remove_leftovers(factory.directory)
    assert numbers(factory.directory) == young
    assert len(os.listdir(factory.directory)) == 1
