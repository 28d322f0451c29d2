"""Where crates are: directories, zip files, run crates; and what each of them gives to a reader."""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from prov_worker.crate.check import check_crate
from prov_worker.crate.reader import StepCrate
from prov_worker.crate.sources import (
    DirectorySource,
    ZipSource,
    candidates,
    digest,
    find_sources,
    in_zip,
    read,
    read_end,
    run_sources,
    source_of,
)
from prov_worker.crate.summary_reader import open_step
from prov_worker.crate.unpack import Unpacked
from prov_worker.errors import CrateError
from prov_worker.testing import CrateFactory

METADATA = "ro-crate-metadata.json"


@pytest.fixture
def crates(tmp_path: Path) -> Path:
    """Two crates, the second of which failed."""
    factory = CrateFactory(tmp_path / "crates")
    factory.add(1, sampled=True)
    factory.add(2, error="no")
    return factory.directory


def pack(directory: Path, target: Path, prefix: str = "") -> Path:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(directory.rglob("*")):
            archive.write(path, f"{prefix}{path.relative_to(directory)}")
    return target


@pytest.fixture
def many(crates: Path, tmp_path: Path) -> Path:
    return pack(crates, tmp_path / "many.zip")


def wheres(path: Path) -> list[str]:
    refused: list[str] = []
    places = [source.where for source in find_sources(path, lambda where, error: refused.append(where))]
    assert refused == []
    return places


def test_a_directory_and_a_zip_of_it_give_the_same_steps(crates: Path, many: Path) -> None:
    names = sorted(path.name for path in crates.iterdir())
    assert wheres(crates) == [f"{crates}/{name}" for name in names]
    assert wheres(many) == [f"{many}!{name}" for name in names]
    steps = [open_step(source)[0] for path in (crates, many) for source in find_sources(path, pytest.fail)]
    for step in steps:
        step.crate = ""
    assert steps[:2] == steps[2:]


def test_run_crates_are_their_steps(crates: Path, tmp_path: Path) -> None:
    run = tmp_path / "R.crate"
    shutil.copytree(crates, run / "steps")
    (run / METADATA).write_text('{"@graph": []}')
    packed = pack(run, tmp_path / "R.zip")
    inside = pack(run, tmp_path / "S.zip", "R.crate/")
    names = sorted(path.name for path in crates.iterdir())
    assert wheres(run) == [f"{run}/steps/{name}" for name in names]
    assert wheres(packed) == [f"{packed}!steps/{name}" for name in names]
    assert wheres(inside) == [f"{inside}!R.crate/steps/{name}" for name in names]
    assert [source.where for source in run_sources(run)] == [str(run)]
    assert [source.where for source in run_sources(packed)] == [str(packed)]
    assert [source.where for source in run_sources(inside)] == [f"{inside}!R.crate"]
    assert list(run_sources(crates)) == []


def test_a_zip_lives_as_long_as_its_sources(many: Path) -> None:
    sources = list(find_sources(many, pytest.fail))
    opened = len(os.listdir("/proc/self/fd"))
    assert [StepCrate.open(source).status for source in reversed(sources)] == ["failed", "completed"]
    assert StepCrate.open(sources[0]).series().task is not None
    del sources
    assert len(os.listdir("/proc/self/fd")) == opened - 1


def test_one_crate_of_a_zip_has_a_name(crates: Path, many: Path) -> None:
    for name in wheres(many):
        assert source_of(name).where == name
        assert source_of(source_of(name).location).where == f"{many.absolute()}!{name.partition('!')[2]}"
        assert wheres(Path(name)) == [name]
    with pytest.raises(CrateError, match=r"many\.zip: more than one crate; name one, such as .*many\.zip!7a171870"):
        source_of(many)
    with pytest.raises(CrateError, match=r"many\.zip!none: no such crate in the zip"):
        source_of(f"{many}!none")
    with pytest.raises(CrateError, match=r"gone\.zip!none: no such crate"):
        source_of(f"{many.with_name('gone.zip')}!none")


def test_an_exclamation_mark_may_stand_in_any_name(crates: Path, tmp_path: Path) -> None:
    odd = tmp_path / "a!b"
    odd.mkdir()
    crate = shutil.copytree(next(crates.iterdir()), odd / "x!.crate")
    assert in_zip(crate) is None
    assert source_of(crate) == DirectorySource(crate, follow=True)
    packed = pack(odd, odd / "c!d.zip")
    assert source_of(f"{packed}!x!.crate").key == "x!"


@pytest.mark.parametrize("kind", ["directory", "zip"])
def test_what_a_source_tells(crates: Path, many: Path, kind: str) -> None:
    path = sorted(crates.iterdir())[1]
    source = DirectorySource(path) if kind == "directory" else source_of(f"{many}!{path.name}")
    names = sorted(str(file.relative_to(path)) for file in path.rglob("*") if file.is_file())
    assert sorted(source.names()) == names
    assert dict(source.files()) == {name: (path / name).stat().st_size for name in names}
    metadata = (path / METADATA).read_bytes()
    assert read(source, METADATA) == metadata
    assert read_end(source, METADATA, 10) == (metadata[-10:], False)
    assert read_end(source, METADATA, len(metadata)) == (metadata, True)
    assert digest(source, "logs/traceback.txt")[1] == source.size("logs/traceback.txt")
    assert source.key == path.name.removesuffix(".crate")
    with pytest.raises(CrateError, match=f"{path.name}/{METADATA}: larger than 100 bytes"):
        read(source, METADATA, 100)
    for call in (source.open, source.size):
        with pytest.raises(CrateError, match=f"{path.name}/none: "):
            call("none")


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 200_000])
def test_a_file_is_read_whole_within_its_limit(tmp_path: Path, size: int) -> None:
    data = os.urandom(size)
    (tmp_path / "file").write_bytes(data)
    source = DirectorySource(tmp_path)
    assert read(source, "file", size) == read(source, "file", size + 1) == data
    for limit in {0, 100, size - 1} & set(range(size)):
        with pytest.raises(CrateError, match=f"larger than {limit:,} bytes"):
            read(source, "file", limit)


def test_links_are_refused_unless_they_are_followed(crates: Path, tmp_path: Path) -> None:
    path = next(crates.iterdir())
    (path / METADATA).rename(tmp_path / "metadata")
    (path / METADATA).symlink_to(tmp_path / "metadata")
    assert StepCrate.open(path).attempt == 1, "who looks at his own crates may link"
    with pytest.raises(CrateError, match="cannot be read"):
        open_step(DirectorySource(path))
    with pytest.raises(CrateError, match="a link"):
        list(DirectorySource(path).files())


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-300])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def shared(path: Path) -> None:
    """Two members that are the same bytes, with space for both in the file."""
    data = bytearray(path.read_bytes())
    last = data.rindex(b"PK\1\2")
    before = data.rindex(b"PK\1\2", 0, last)
    data[last + 42 : last + 46] = data[before + 42 : before + 46]
    path.write_bytes(data)


def nested(path: Path) -> None:
    """A member that begins within another's bytes."""
    data = bytearray(path.read_bytes())
    last = data.rindex(b"PK\1\2")
    before = data.rindex(b"PK\1\2", 0, last)
    offset = int.from_bytes(data[before + 42 : before + 46], "little")
    data[last + 42 : last + 46] = (offset + 40).to_bytes(4, "little")
    path.write_bytes(data)


def new_version(path: Path) -> None:
    """The directory asks for a version of the format that is not known."""
    data = bytearray(path.read_bytes())
    data[data.rindex(b"PK\1\2") + 6] = 148
    path.write_bytes(data)


def no_text(path: Path) -> None:
    """A name in the directory that says it is UTF-8, and is not."""
    data = bytearray(path.read_bytes())
    at = data.rindex(b"PK\1\2")
    data[at + 9] |= 8
    data[at + 46] = 0xFF
    path.write_bytes(data)


def no_crate(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "x")


def no_name(path: Path) -> None:
    """A member whose name begins with a zero byte, where Python ends names: it has none."""
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("x", "y")
    data = bytearray(path.read_bytes())
    data[data.rindex(b"PK\1\2") + 46] = 0
    path.write_bytes(data)


@pytest.mark.parametrize("damage", [cut, empty, shared, nested, new_version, no_text, no_crate, no_name])
def test_a_damaged_zip_is_one_error_that_names_it(many: Path, damage: Callable[[Path], None]) -> None:
    damage(many)
    refused: list[tuple[str, str]] = []
    assert list(find_sources(many, lambda where, error: refused.append((where, str(error))))) == []
    ((where, message),) = refused
    assert where == str(many)
    assert message.startswith(f"{many}: ")
    assert "\n" not in message


@pytest.fixture
def torn(many: Path) -> ZipSource:
    """A crate of a zip in which every content is damaged."""
    source = source_of(f"{many}!{next(iter(wheres(many))).partition('!')[2]}")
    assert isinstance(source, ZipSource)
    with zipfile.ZipFile(many) as archive:
        spans = [(info.header_offset + 30 + len(info.filename), info.compress_size) for info in archive.infolist()]
    data = bytearray(many.read_bytes())
    for start, size in spans:
        data[start : start + size] = bytes(255 - byte for byte in data[start : start + size])
    many.write_bytes(data)
    return source


def test_damaged_content_of_a_zip_is_named(torn: ZipSource) -> None:
    for call in (read, digest):
        with pytest.raises(CrateError, match=rf"\.crate/{METADATA}: cannot be (read|unpacked): "):
            call(torn, METADATA)
    (finding,) = check_crate(torn)
    assert (finding.rule, finding.where) == ("unreadable", METADATA)


def test_own_rules_find_in_a_zip_what_they_find_in_a_directory(crates: Path, tmp_path: Path) -> None:
    good, bad = sorted(crates.iterdir())
    (bad / "data" / "hardware.json").write_text('{"a": NaN}')
    (bad / "data" / "more.json").write_text("{}")
    (bad / "logs" / "traceback.txt").unlink()
    packed = pack(crates, tmp_path / "many.zip")
    for crate in (good, bad):
        assert check_crate(f"{packed}!{crate.name}") == check_crate(crate)
    assert {finding.rule for finding in check_crate(bad)} == {
        "content-size",  # and so no hash of it was taken
        "not-json",
        "unlisted",
        "missing-file",
    }
    assert check_crate(good) == []


def test_a_zip_is_unpacked_within_a_bound(crates: Path, many: Path) -> None:
    path = next(iter(sorted(crates.iterdir())))
    source = source_of(f"{many}!{path.name}")
    files = {name: size for name, size in source.files() if name != METADATA}
    with Unpacked() as unpacked:
        whole = unpacked.directory(source)
        assert whole.name == path.name
        assert {name: (whole / name).read_bytes() for name in files} == {
            name: (path / name).read_bytes() for name in files
        }
        assert unpacked.directory(DirectorySource(path)) == path
    assert not whole.parent.exists()
    with Unpacked(max_bytes=min(files.values())) as unpacked:
        bounded = unpacked.directory(source)
        assert (bounded / METADATA).read_bytes() == (path / METADATA).read_bytes()
        assert {name: (bounded / name).stat().st_size for name in files} == files
        written = sum(size for name, size in files.items() if any((bounded / name).read_bytes()))
        assert written <= min(files.values())


def test_what_cannot_be_unpacked_is_named(torn: ZipSource) -> None:
    with Unpacked() as unpacked, pytest.raises(CrateError, match=r"\.crate/.*: cannot be (read|unpacked)"):
        unpacked.directory(torn)


def test_candidates_are_sorted_and_hidden_ones_left_out(crates: Path, many: Path) -> None:
    shutil.copy(many, crates / "z.zip")
    (crates / ".tmp-x.crate").mkdir()
    (crates / "file.crate").touch()
    names = [path.name for path in candidates(crates)]
    assert names == sorted(names)
    assert {"z.zip", "file.crate"} < set(names)
    assert ".tmp-x.crate" not in names
