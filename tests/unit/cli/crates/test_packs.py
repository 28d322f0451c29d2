"""Crates into packs and back, and the commands that look at crates in packs."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from prov_worker.crate.packs.offsets import offsets_path
from prov_worker.crate.packs.writer import PackWriter
from prov_worker.crate.staging import staging_name
from prov_worker.run.api import open_run
from prov_worker.run.assembly.assemble import assemble
from prov_worker.run.assembly.model import Options
from prov_worker.run.assembly.verify import verify
from prov_worker.testing import CrateFactory, task_id

DONE = "3f2b7b0e-5f0c-4c58-9a43-0d2f4a6f1c01"
BROKEN = "3f2b7b0e-5f0c-4c58-9a43-0d2f4a6f1c02"
Run = Callable[..., tuple[int, str, str]]


def content_of(directory: Path) -> dict[str, bytes]:
    files = (path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): path.read_bytes() for path in files}


@pytest.fixture
def pack(prov_worker: Run, own_crates: Path) -> Path:
    """The one pack of both crates."""
    code, out, err = prov_worker("pack", own_crates)
    assert (code, err) == (0, "")
    return Path(out.splitlines()[0])


def reopened(pack: Path) -> Path:
    """Return a closed pack as a growing one of a writer that was killed."""
    part = pack.with_name(pack.name + ".part")
    with zipfile.ZipFile(pack) as archive:
        end = archive.start_dir
    pack.rename(part)
    with part.open("r+b") as stream:
        stream.truncate(end)
    offsets_path(part).write_bytes(b"prov_worker pack 1 elsewhere~0~1~1\n%d\n" % end)
    return part


def test_pack_and_unpack_keep_every_byte(prov_worker: Run, own_crates: Path) -> None:
    before = content_of(own_crates)
    assert prov_worker("pack", own_crates)[0] == 0
    assert [path.suffix for path in own_crates.iterdir()] == [".zip"]
    code, out, err = prov_worker("unpack", own_crates)
    assert (code, err) == (0, "")
    assert out == "2 crates unpacked\n"
    assert content_of(own_crates) == before


def test_what_is_packed_into_another_place_stays(prov_worker: Run, own_crates: Path, tmp_path: Path) -> None:
    before = content_of(own_crates)
    code, out, _ = prov_worker("pack", own_crates, "--output", tmp_path / "packs", "--json")
    assert code == 0
    assert json.loads(out)["crates"] == 2
    assert content_of(own_crates) == before
    again = json.loads(prov_worker("pack", own_crates, "--output", tmp_path / "packs", "--json")[1])
    assert (again["crates"], again["known"], again["packs"]) == (0, 2, [])
    assert prov_worker("unpack", tmp_path / "packs", "-o", tmp_path / "out")[0] == 0
    assert content_of(tmp_path / "out") == before
    assert len(list((tmp_path / "packs").iterdir())) == 1


def test_what_cannot_be_packed_is_named_and_stays(prov_worker: Run, own_crates: Path) -> None:
    (own_crates / f"{DONE}.crate" / "link").symlink_to("/etc/passwd")
    code, out, err = prov_worker("pack", own_crates)
    assert code == 1
    assert err == f"prov-worker: {own_crates}/{DONE}.crate/link: a link; a crate holds regular files\n"
    assert out.endswith("1 crate packed\n")
    assert (own_crates / f"{DONE}.crate").is_dir()


@pytest.mark.parametrize("inside", ["RUN.crate", "RUN.crate/steps", f"crates/{DONE}.crate"])
@pytest.mark.parametrize("command", ["pack", "pack -o", "unpack -o"])
def test_nothing_is_packed_or_unpacked_in_a_crate(
    prov_worker: Run, own_crates: Path, tmp_path: Path, inside: str, command: str
) -> None:
    assemble([own_crates], tmp_path / "RUN.crate", Options())
    assert prov_worker("pack", own_crates, "-o", tmp_path / "packs")[0] == 0
    before = content_of(tmp_path)
    if command == "pack":
        code, _, err = prov_worker("pack", tmp_path / inside)
    else:
        source = own_crates if command == "pack -o" else tmp_path / "packs"
        code, _, err = prov_worker(command.split()[0], source, "-o", tmp_path / inside)
    assert code == 2
    assert err.startswith(f"prov-worker: {tmp_path / inside}: a crate, and no directory of crates; ")
    assert err.count("\n") == 1
    assert content_of(tmp_path) == before


def change_a_file(crate: Path) -> str:
    """Change one byte of a file that is not the metadata, and no size; return the file's path in the crate."""
    path = sorted((crate / "data").iterdir())[0]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.unlink()  # its inode may be that of other crates
    path.write_bytes(data)
    return str(path.relative_to(crate))


def add_a_file(crate: Path) -> str:
    (crate / "note.txt").write_text("mine alone")
    return "note.txt"


def remove_a_file(crate: Path) -> str:
    path = sorted((crate / "data").iterdir())[0]
    path.unlink()
    return str(path.relative_to(crate))


def change_the_metadata(crate: Path) -> str:
    path = crate / "ro-crate-metadata.json"
    path.write_bytes(path.read_bytes() + b"\n")
    return path.name


CHANGES = [change_a_file, add_a_file, remove_a_file, change_the_metadata]


@pytest.mark.parametrize("change", CHANGES)
def test_a_directory_that_differs_from_its_packed_crate_stays(
    prov_worker: Run, own_crates: Path, change: Callable[[Path], str]
) -> None:
    pack = Path(prov_worker("pack", own_crates, "--keep")[1].splitlines()[0])
    relative = change(own_crates / f"{DONE}.crate")
    before = content_of(own_crates)
    code, out, err = prov_worker("pack", own_crates, "--json")
    done = json.loads(out)
    assert (code, done["crates"], done["known"], done["removed"]) == (1, 0, 1, 1)
    assert err == f"prov-worker: {own_crates}/{DONE}.crate: {relative}: differs from that in {pack}; left as it is\n"
    left = {name: data for name, data in before.items() if not name.startswith(BROKEN)}
    assert content_of(own_crates) == left


def test_a_directory_stays_if_its_packed_crate_is_damaged(prov_worker: Run, own_crates: Path) -> None:
    pack = Path(prov_worker("pack", own_crates, "--keep")[1].splitlines()[0])
    with zipfile.ZipFile(pack) as archive:
        member = next(info for info in archive.infolist() if info.filename.startswith(f"{DONE}.crate/data/"))
    with pack.open("r+b") as stream:
        stream.seek(member.header_offset + 200)
        stream.write(bytes(20))
    before = content_of(own_crates / f"{DONE}.crate")
    code, _, err = prov_worker("pack", own_crates)
    assert code == 1
    assert err.startswith(f"prov-worker: {own_crates}/{DONE}.crate: cannot be compared, and is left as it is: {pack}!")
    assert content_of(own_crates / f"{DONE}.crate") == before
    # and the other way: neither is what cannot be read unpacked, nor its pack removed
    (own_crates / f"{DONE}.crate").rename(own_crates.parent / "apart")
    code, out, err = prov_worker("unpack", own_crates)
    assert (code, out) == (1, "1 crate unpacked\n")
    assert f"{pack}!{DONE}.crate/" in err
    assert pack.exists()
    assert not (own_crates / f"{DONE}.crate").exists()


def test_two_directories_of_one_key_are_not_taken_for_one(prov_worker: Run, own_crates: Path) -> None:
    shutil.copytree(own_crates / f"{DONE}.crate", own_crates / DONE)
    add_a_file(own_crates / DONE)
    before = content_of(own_crates / f"{DONE}.crate")
    code, _, err = prov_worker("pack", own_crates)
    assert code == 1
    assert f"{own_crates}/{DONE}.crate: note.txt: differs from that in " in err
    assert content_of(own_crates / f"{DONE}.crate") == before


@pytest.mark.parametrize("output", [False, True])
@pytest.mark.parametrize("change", [*CHANGES, lambda crate: (crate / "ro-crate-metadata.json").write_text("{")])
def test_a_crate_is_not_unpacked_onto_another_one(
    prov_worker: Run, own_crates: Path, tmp_path: Path, change: Callable[[Path], object], output: bool
) -> None:
    pack = Path(prov_worker("pack", own_crates, "--keep")[1].splitlines()[0])
    directory = own_crates.rename(tmp_path / "out") if output else own_crates
    pack = (directory / pack.name).rename((tmp_path if output else directory) / pack.name)
    change(directory / f"{DONE}.crate")
    before = content_of(tmp_path)
    arguments = (pack, "-o", directory) if output else (pack,)
    code, out, err = prov_worker("unpack", *arguments, "--json")
    done = json.loads(out)
    assert (code, done["crates"], done["known"], done["removed"]) == (1, 0, 1, 0)
    final = directory / f"{DONE}.crate"
    assert (
        err == f"prov-worker: {pack}!{DONE}.crate: {final} is there, and is not the same; both are left as they are\n"
    )
    assert content_of(tmp_path) == before


def test_a_zip_with_more_than_crates_stays(prov_worker: Run, own_crates: Path, pack: Path) -> None:
    with zipfile.ZipFile(pack, "a") as archive:
        archive.writestr("README.txt", "not of a crate")
    code, out, err = prov_worker("unpack", pack)
    assert (code, out) == (1, "2 crates unpacked\n")
    assert err == f"prov-worker: {pack}: has 1 file of no crate; it stays\n"
    assert pack.exists()


def test_all_that_looks_at_crates_looks_into_packs(
    prov_worker: Run, own_crates: Path, crates: Path, pack: Path
) -> None:
    for growing in (False, True):
        if growing:
            reopened(pack)
        rows = json.loads(prov_worker("list", "--json", own_crates)[1])
        plain = json.loads(prov_worker("list", "--json", crates)[1])
        assert [row.pop("crate") for row in rows] == [f"{pack}!{DONE}.crate", f"{pack}!{BROKEN}.crate"]
        for row in plain:
            del row["crate"]
        assert rows == plain
        assert prov_worker("check", "--no-validator", own_crates)[:2][0] == 0
        shown = json.loads(prov_worker("show", "--json", f"{pack}!{DONE}.crate")[1])
        assert shown["task_id"] == DONE
        assert [step.task_id for step in open_run(own_crates).steps()] == [DONE, BROKEN]
        assert [step.task_id for step in open_run(pack).steps()] == [DONE, BROKEN]


def test_a_plot_of_a_crate_in_a_pack_is_written_beside_it(prov_worker: Run, pack: Path, tmp_path: Path) -> None:
    code, out, err = prov_worker("plot", "--format", "svg", "--output", tmp_path, pack)
    assert code == 1  # one of them has no samples
    assert out == f"{tmp_path}/{DONE}.svg\n"
    assert BROKEN in err


@pytest.mark.parametrize("packed", [False, True])
def test_show_takes_the_begin_of_a_task_id(prov_worker: Run, own_crates: Path, packed: bool) -> None:
    if packed:
        assert prov_worker("pack", own_crates)[0] == 0
    for arguments in ((DONE, "--dir", own_crates), (f"{own_crates}/{DONE}",), (f"{own_crates}/{DONE}.crate",)):
        code, out, err = prov_worker("show", "--json", *arguments)
        assert (code, err) == (0, "")
        assert json.loads(out)["task_id"] == DONE
    code, _, err = prov_worker("show", DONE[:8], "--dir", own_crates)
    assert code == 2
    assert err == f"prov-worker: {DONE[:8]}: fits 2 tasks in {own_crates}, such as {DONE} and {BROKEN}\n"
    code, _, err = prov_worker("show", "77", "--dir", own_crates)
    assert code == 2
    assert err == f"prov-worker: {own_crates}/77: no such crate, and no task there has an id that begins so\n"
    if not packed:
        code, _, err = prov_worker("show", DONE[:5] + "0" + DONE[6:], "--dir", own_crates)
        assert err.endswith(f"begins so; did you mean {DONE!r}?\n")


def test_show_takes_the_latest_of_several_attempts(prov_worker: Run, tmp_path: Path) -> None:
    factory = CrateFactory(tmp_path / "crates")
    factory.add(1, error="no", attempt=1)
    factory.add(1, attempt=2, offset_s=9)
    for _ in range(2):
        shown = json.loads(prov_worker("show", "--json", task_id(1)[:9], "--dir", factory.directory)[1])
        assert shown["attempt"] == 2
        earlier = json.loads(prov_worker("show", "--json", f"{task_id(1)}.attempt-1", "--dir", factory.directory)[1])
        assert earlier["attempt"] == 1
        prov_worker("pack", factory.directory)


def test_recover_makes_packs_whole(prov_worker: Run, own_crates: Path, pack: Path) -> None:
    part = reopened(pack)
    offsets_path(part).write_bytes(b"torn")
    code, out, err = prov_worker("list", own_crates)
    assert code == 1
    assert err.count("\n") == 1
    assert "torn" in err
    os.utime(part, (0, 0))
    code, out, err = prov_worker("recover", own_crates)
    assert (code, err) == (0, "")
    assert f"{pack}: 2 crates" in out
    assert prov_worker("list", own_crates)[0] == 0
    assert sorted(path.name for path in own_crates.iterdir() if not path.name.startswith(".")) == [pack.name]


@pytest.mark.parametrize("command", ["recover", "pack"])
def test_a_cut_pack_is_repaired_and_said(prov_worker: Run, own_crates: Path, pack: Path, command: str) -> None:
    with zipfile.ZipFile(pack) as archive:
        last = archive.infolist()[-1].header_offset
        sizes = sorted(info.header_offset for info in archive.infolist() if info.filename.startswith(BROKEN))
        directory = archive.start_dir
    with pack.open("r+b") as stream:
        stream.truncate(directory + 100)
    out = prov_worker(command, own_crates)[1]
    assert f"{pack}: 2 crates\n" in out  # none of them was cut
    with pack.open("r+b") as stream:
        stream.truncate(last + 10)
    code, out, err = prov_worker(command, own_crates)
    assert (code, err) == (0, "")
    assert f"{pack}: 1 crate; {last + 10 - sizes[0]:,} bytes of crates that were not complete are gone\n" in out
    assert ("repaired 1 pack with 1 crate" in out) == (command == "recover")
    code, out, _ = prov_worker(command, own_crates, "--json")
    assert (code, json.loads(out).get("repaired", [])) == (0, [])


@pytest.mark.parametrize("command", ["recover", "pack"])
@pytest.mark.parametrize("size", [0, 20, 200])
def test_a_pack_of_which_nothing_can_be_read_is_named(
    prov_worker: Run, own_crates: Path, pack: Path, command: str, size: int
) -> None:
    os.truncate(pack, size)
    code, out, err = prov_worker(command, own_crates)
    assert code == 1
    assert err.startswith(f"problem: {pack}: " if command == "recover" else f"prov-worker: {pack}: ")
    assert err.count("\n") == 1
    assert "repaired" not in out
    assert pack.stat().st_size == size


def test_links_are_left_alone(prov_worker: Run, own_crates: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    real = (own_crates / f"{DONE}.crate").rename(tmp_path / "elsewhere" / f"{DONE}.crate")
    (own_crates / real.name).symlink_to(real)
    code, out, err = prov_worker("pack", own_crates, "--json")
    assert (code, json.loads(out)["crates"]) == (1, 1)
    assert err == f"prov-worker: {own_crates / real.name}: a link; left as it is\n"
    assert (own_crates / real.name).is_symlink()
    assert real.is_dir()
    pack = Path(json.loads(out)["packs"][0])
    (tmp_path / "linked").mkdir()
    link = tmp_path / "linked" / pack.name
    link.symlink_to(pack)
    code, out, err = prov_worker("unpack", tmp_path / "linked")
    assert (code, out, err) == (1, "0 crates unpacked\n", f"prov-worker: {link}: a link; left as it is\n")
    assert link.is_symlink()
    assert prov_worker("pack", own_crates, "--json")[0] == 1
    # what is packed behind a link alone is not packed here
    assert prov_worker("unpack", pack, "-o", tmp_path / "linked")[0] == 0
    assert json.loads(prov_worker("pack", tmp_path / "linked", "--json")[1])["crates"] == 1


def test_a_crate_is_not_unpacked_behind_a_link(prov_worker: Run, own_crates: Path, tmp_path: Path) -> None:
    pack = Path(prov_worker("pack", own_crates, "--keep")[1].splitlines()[0])
    (own_crates / f"{DONE}.crate").rename(tmp_path / "real")
    (own_crates / f"{DONE}.crate").symlink_to(tmp_path / "real")
    code, out, _ = prov_worker("unpack", pack, "--json")
    done = json.loads(out)
    assert (code, done["crates"], done["known"], done["removed"]) == (1, 0, 1, 0)
    assert (own_crates / f"{DONE}.crate").is_symlink()


@pytest.mark.parametrize("command", ["pack", "unpack", "recover", "unpack -o"])
def test_what_a_killed_one_left_goes_with_the_next(
    prov_worker: Run, own_crates: Path, tmp_path: Path, command: str
) -> None:
    prov_worker("pack", own_crates, "--keep")
    directory = tmp_path / "out" if command == "unpack -o" else own_crates
    directory.mkdir(exist_ok=True)
    for name in (f"packed-{DONE}.crate", DONE):
        fields = staging_name(name).split("~")
        fields[4] = str(int(fields[4]) - 1)  # another process, which is gone
        (directory / "~".join(fields) / "data").mkdir(parents=True)
    more = ("-o", directory) if command == "unpack -o" else ()
    assert prov_worker(command.split()[0], own_crates, *more)[0] == 0
    assert [path.name for path in directory.iterdir() if path.name.startswith(".tmp-")] == []


def test_a_crate_in_a_directory_and_in_a_pack_beside_it_is_one(prov_worker: Run, own_crates: Path) -> None:
    pack = Path(prov_worker("pack", own_crates, "--keep")[1].splitlines()[0])
    directories = [str(own_crates / f"{DONE}.crate"), str(own_crates / f"{BROKEN}.crate")]
    packed = [f"{pack}!{DONE}.crate", f"{pack}!{BROKEN}.crate"]

    def listed(*paths: Path) -> list[str]:
        return [row["crate"] for row in json.loads(prov_worker("list", "--json", *paths)[1])]

    def checked() -> list[str]:
        return list(json.loads(prov_worker("check", "--no-validator", "--json", own_crates)[1]))

    assert listed(own_crates) == directories
    assert sorted(checked()) == sorted(directories)
    assert listed(pack) == packed  # what is named alone is shown
    add_a_file(own_crates / f"{DONE}.crate")
    assert listed(own_crates) == directories
    assert sorted(checked()) == sorted([*directories, packed[0]])
    change_the_metadata(own_crates / f"{DONE}.crate")
    assert sorted(listed(own_crates)) == sorted([*directories, packed[0]])


@pytest.mark.parametrize("metadata", ["{", "[]", '{"@graph": []}', ""])
def test_a_crate_with_broken_metadata_is_not_packed(prov_worker: Run, own_crates: Path, metadata: str) -> None:
    path = own_crates / f"{DONE}.crate" / "ro-crate-metadata.json"
    path.unlink()
    path.write_text(metadata)
    before = content_of(own_crates / f"{DONE}.crate")
    code, out, err = prov_worker("pack", own_crates)
    assert code == 1
    assert out.endswith("1 crate packed\n")
    assert err.startswith(f"prov-worker: {path}")
    assert err.count("\n") == 1
    assert content_of(own_crates / f"{DONE}.crate") == before


@pytest.mark.parametrize("command", ["list", "check", "show", "unpack"])
def test_a_pack_of_another_version_is_one_line(prov_worker: Run, pack: Path, command: str) -> None:
    data = pack.read_bytes()
    pack.write_bytes(data[:-1] + b"2")
    code, out, err = prov_worker(command, pack)
    assert code in (1, 2)
    assert "a pack of version 2; this release reads version 1" in out + err
    assert pack.read_bytes() == data[:-1] + b"2"


def test_a_run_crate_of_packs_is_that_of_their_directories(
    own_crates: Path, crates: Path, pack: Path, tmp_path: Path
) -> None:
    assemble([own_crates], tmp_path / "PACKED.crate", Options(name="run"))
    assemble([crates], tmp_path / "PLAIN.crate", Options(name="run"))
    assert pack.exists()
    for name in ("PACKED", "PLAIN"):
        assert verify(tmp_path / f"{name}.crate").changes == []
    assert content_of(tmp_path / "PACKED.crate" / "steps") == content_of(tmp_path / "PLAIN.crate" / "steps")


def test_pack_goes_on_behind_a_growing_pack_of_another_writer(prov_worker: Run, own_crates: Path) -> None:
    writer = PackWriter(own_crates)
    code, out, _ = prov_worker("pack", own_crates)
    assert code == 0
    assert out.endswith("2 crates packed\n")
    assert writer.close() is None
