"""Packs: written, read while they grow, cut, made whole."""

from __future__ import annotations

import os
import random
import shutil
import zipfile
from pathlib import Path

import pytest

from prov_worker.attempt import AttemptId
from prov_worker.crate import vocabulary as v
from prov_worker.crate.check import check_crate, validate_profiles
from prov_worker.crate.packs import format as form
from prov_worker.crate.packs import recovery
from prov_worker.crate.packs.offsets import offsets_path
from prov_worker.crate.packs.packs import Packs
from prov_worker.crate.packs.writer import PackWriter
from prov_worker.crate.publish import Attempt
from prov_worker.crate.reader import StepCrate
from prov_worker.crate.sources import find_sources, in_zip, source_of
from prov_worker.crate.sources.packs import PackFile
from prov_worker.crate.validator.client import find_validator
from prov_worker.errors import CrateError
from prov_worker.testing import CrateFactory, task_id
from support.commands import run_program, run_python

START_NS = 1_790_000_000_000_000_000


def content_of(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes() for path in sorted(directory.rglob("*")) if path.is_file()
    }


def packed(directory: Path) -> list[tuple[str, form.Packed]]:
    content = content_of(directory)
    metadata = content.pop(v.METADATA_FILE)
    return [
        *((name, form.Packed.of(data)) for name, data in content.items()),
        (v.METADATA_FILE, form.Packed.of(metadata)),
    ]


def attempt(number: int, ordinal: int = 1, end_s: int = 1, verdict: str = "") -> Attempt:
    return Attempt(AttemptId(task_id(number), ordinal, START_NS), START_NS + end_s * 1_000_000_000, verdict)


@pytest.fixture(scope="module")
def crates(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Twelve crates of different kinds."""
    factory = CrateFactory(tmp_path_factory.mktemp("crates"))
    made = [factory.add(number, sampled=number % 2 == 0) for number in range(1, 11)]
    return [*made, factory.add(11, error="no"), factory.add(12, arguments=[])]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    path = tmp_path / "packs"
    path.mkdir()
    return path


def grown(directory: Path, crates: list[Path]) -> PackWriter:
    writer = PackWriter(directory)
    for number, crate in enumerate(crates, 1):
        writer.append(crate.name, packed(crate), attempt(number), START_NS)
    return writer


def keys(directory: Path) -> list[str]:
    refused: list[str] = []
    names = [source.key for source in find_sources(directory, lambda where, error: refused.append(str(error)))]
    assert refused == []
    return names


def test_a_pack_holds_its_crates_byte_for_byte_while_it_grows_and_closed(directory: Path, crates: list[Path]) -> None:
    writer = grown(directory, crates)
    for path in (writer.part, writer.close()):
        assert path is not None
        assert os.listdir(directory) == [path.name] or path == writer.part
        sources = {source.key: source for source in find_sources(directory, pytest.fail)}
        assert sorted(sources) == sorted(crate.name.removesuffix(".crate") for crate in crates)
        for crate in crates:
            source = sources[crate.name.removesuffix(".crate")]
            assert {name: source.open(name).read() for name in source.names()} == content_of(crate)
            assert check_crate(source) == []
            assert source.path == writer.closed_path


def test_unzip_takes_a_pack(directory: Path, crates: list[Path], tmp_path: Path) -> None:
    path = grown(directory, crates).close()
    assert path is not None
    if shutil.which("unzip"):
        assert run_program("unzip", "-tq", path).returncode == 0
        run_program("unzip", "-q", path, "-d", tmp_path / "out", check=True)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        archive.extractall(tmp_path / "other")
    for crate in crates:
        assert content_of(tmp_path / "other" / crate.name) == content_of(crate)
        if shutil.which("unzip"):
            assert content_of(tmp_path / "out" / crate.name) == content_of(crate)


def test_a_crate_that_is_not_noted_yet_is_not_seen(directory: Path, crates: list[Path]) -> None:
    writer = grown(directory, crates[:2])
    offsets = offsets_path(writer.part)
    noted = offsets.read_bytes()
    writer.append(crates[2].name, packed(crates[2]), None, START_NS)
    full = offsets.read_bytes()
    for cut in range(len(noted), len(full)):
        offsets.write_bytes(full[:cut])
        assert len(keys(directory)) == 2
    offsets.write_bytes(full)
    assert len(keys(directory)) == 3


def test_a_pack_that_is_closed_meanwhile_is_read_on_and_known_by_the_same_name(
    directory: Path, crates: list[Path]
) -> None:
    writer = grown(directory, crates)
    pack = PackFile(writer.part)
    where = next(pack.sources()).where
    writer.close()
    for source in pack.sources():
        assert StepCrate.open(source).task_id in source.key
    assert source_of(where).where == where
    assert in_zip(Path(where)) is not None


def test_a_pack_cut_at_any_byte_keeps_what_was_complete(directory: Path, crates: list[Path], tmp_path: Path) -> None:
    writer = grown(directory, crates)
    ends = [int(line) for line in offsets_path(writer.part).read_bytes().split(b"\n")[1:-1]]
    growing, noted = writer.part.read_bytes(), offsets_path(writer.part).read_bytes()
    closed = writer.close()
    assert closed is not None
    whole = closed.read_bytes()
    closed.unlink()
    chosen = random.Random(7)
    for number in range(200):
        cut = chosen.randrange(len(whole))
        complete = sum(1 for end in ends if end <= cut)
        place = tmp_path / str(number)
        place.mkdir()
        if number % 2:
            path = place / closed.name
            path.write_bytes(whole[:cut])
        else:
            path = place / writer.part.name
            path.write_bytes(growing[:cut])
            offsets_path(path).write_bytes(noted[: chosen.randrange(len(noted))])
        whole_again = recovery.make_whole(path)
        assert whole_again.crates == complete
        assert len(keys(place)) == complete if complete else True
        for crate in crates[:complete]:
            source = source_of(f"{whole_again.path}!{crate.name}")
            assert {name: source.open(name).read() for name in source.names()} == content_of(crate)
        if complete:
            with zipfile.ZipFile(place / closed.name) as archive:
                assert archive.testzip() is None
        shutil.rmtree(place)


def test_a_damaged_crate_in_the_middle_costs_itself_alone(directory: Path, crates: list[Path]) -> None:
    writer = grown(directory, crates)
    ends = [int(line) for line in offsets_path(writer.part).read_bytes().split(b"\n")[1:-1]]
    with writer.part.open("r+b") as stream:
        for at in range(ends[3] + 1, ends[4] - 1, 5):
            stream.seek(at)
            stream.write(b"\xff")
    whole = recovery.make_whole(writer.part)
    assert whole.crates == len(crates) - 1
    assert crates[4].name.removesuffix(".crate") not in keys(directory)


def test_a_crate_under_a_name_that_is_there_replaces_it(directory: Path, crates: list[Path]) -> None:
    writer = grown(directory, crates[:3])
    writer.append(crates[0].name, packed(crates[10]), attempt(1), START_NS)
    for _ in range(2):
        assert StepCrate.open(source_of(f"{writer.closed_path}!{crates[0].name}")).status == "failed"
        assert len(keys(directory)) == 3
        if writer.part.exists():
            writer.close()
    with zipfile.ZipFile(writer.closed_path) as archive:
        assert len(archive.namelist()) == len(set(archive.namelist()))


def test_nothing_is_left_of_a_pack_without_a_crate(directory: Path) -> None:
    writer = PackWriter(directory)
    assert writer.close() is None
    assert os.listdir(directory) == []


def test_a_full_disk_leaves_the_pack_as_it_was(directory: Path) -> None:
    script = (
        "import resource, signal, sys\n"
        "from pathlib import Path\n"
        "from prov_worker.crate.packs import format as form\n"
        "from prov_worker.crate.packs.writer import PackWriter\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "writer = PackWriter(Path(sys.argv[1]))\n"
        "files = [('ro-crate-metadata.json', form.Packed(0, 0, 4000, bytes(4000)))]\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, resource.RLIM_INFINITY))\n"
        "for number in range(5):\n"
        "    try:\n"
        "        writer.append(f'{number}.crate', files, None, 0)\n"
        "    except OSError:\n"
        "        pass\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))\n"
        "writer.append('after.crate', files, None, 0)\n"
        "print(len(writer), writer.part.stat().st_size == writer.size)\n"
    )
    done = run_python("-c", script, directory)
    assert done.stdout.split() == ["3", "True"], done.stderr


def test_a_pack_that_is_being_written_is_left_alone(directory: Path, crates: list[Path]) -> None:
    writer = grown(directory, crates)
    assert list(recovery.left_open(directory, quiet_s=0)) == []
    writer.close()
    assert list(recovery.left_open(directory, quiet_s=0)) == []


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda part: offsets_path(part).write_bytes(b"prov_worker pack 2 x\n10\n"), "version 2"),
        (lambda part: offsets_path(part).write_bytes(b"nonsense\n"), "torn"),
        (lambda part: offsets_path(part).write_bytes(offsets_path(part).read_bytes() + b"x\n"), "torn"),
        (lambda part: offsets_path(part).write_bytes(offsets_path(part).read_bytes() + b"1\n"), "torn"),
        (lambda part: offsets_path(part).unlink(), "missing"),
    ],
)
def test_a_bad_file_of_offsets_is_one_clear_error(
    directory: Path, crates: list[Path], change: object, problem: str
) -> None:
    writer = grown(directory, crates[:3])
    change(writer.part)
    with pytest.raises(CrateError, match=problem):
        PackFile(writer.part)


def test_a_closed_pack_of_another_version_is_refused(directory: Path, crates: list[Path]) -> None:
    path = grown(directory, crates[:3]).close()
    assert path is not None
    data = path.read_bytes()
    assert data.endswith(b"prov_worker pack 1")
    path.write_bytes(data[:-1] + b"2")
    with pytest.raises(CrateError, match="a pack of version 2; this release reads version 1"):
        PackFile(path)


def test_an_ordinary_zip_with_the_name_of_a_pack_is_read_as_one_of_crates(directory: Path, crates: list[Path]) -> None:
    with zipfile.ZipFile(directory / f"mine{form.SUFFIX}", "w") as archive:
        for name, data in content_of(crates[0]).items():
            archive.writestr(f"deep/{crates[0].name}/{name}", data)
    assert keys(directory) == [crates[0].name.removesuffix(".crate")]


def test_large_members_are_read_in_pieces(directory: Path) -> None:
    data = random.Random(1).randbytes(9 << 20)
    writer = PackWriter(directory)
    writer.append("a.crate", [("big", form.Packed.of(data)), (v.METADATA_FILE, form.Packed.of(b"{}"))], None, START_NS)
    path = writer.close()
    assert path is not None
    source = next(PackFile(path).sources())
    with source.open("big") as stream:
        assert stream.read() == data
        stream.seek(-5, os.SEEK_END)
        assert stream.read() == data[-5:]


def test_damaged_content_is_told(directory: Path, crates: list[Path]) -> None:
    path = grown(directory, crates[:1]).close()
    assert path is not None
    data = bytearray(path.read_bytes())
    data[300:310] = bytes(10)
    path.write_bytes(data)
    findings = check_crate(next(PackFile(path).sources()))
    assert findings


@pytest.mark.validator
def test_members_keep_requirements_and_recommendations(directory: Path, crates: list[Path], tmp_path: Path) -> None:
    path = grown(directory, crates).close()
    assert path is not None
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path / "out")
    if find_validator() is None:
        pytest.skip("no interpreter has roc-validator; set PROV_WORKER_VALIDATOR")
    chosen = [tmp_path / "out" / crates[number].name for number in (0, 1, 10)]
    findings = validate_profiles(chosen, "recommended")
    assert sorted(findings) == sorted(chosen)
    assert not any(findings.values())


def test_rocrate_reads_members(directory: Path, crates: list[Path], tmp_path: Path) -> None:
    rocrate = pytest.importorskip("rocrate.rocrate")
    path = grown(directory, crates[:2]).close()
    assert path is not None
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path / "out")
    for crate in crates[:2]:
        opened = rocrate.ROCrate(tmp_path / "out" / crate.name)
        assert "CreateAction" in opened.mainEntity.type


def test_a_later_attempt_is_the_one_that_counts(directory: Path, crates: list[Path]) -> None:
    packs = Packs(directory)
    packs.add(attempt(1, 1, end_s=5), packed(crates[0]))
    packs.add(attempt(1, 2, end_s=9), packed(crates[1]))
    packs.add(attempt(1, 3, end_s=7), packed(crates[2]))
    for _ in range(2):
        by_key = {source.key: source.prefix for source in find_sources(directory, pytest.fail)}
        assert by_key[task_id(1)] == f"{task_id(1)}.attempt-2.crate/"
        assert sorted(by_key) == [task_id(1), f"{task_id(1)}.attempt-1", f"{task_id(1)}.attempt-3"]
        packs.close()


def test_a_true_end_replaces_a_verdict(directory: Path, crates: list[Path]) -> None:
    packs = Packs(directory)
    packs.add(attempt(1, verdict="unknown"), packed(crates[10]))
    earlier = packs.published(attempt(1), "node01")
    assert earlier is not None
    assert earlier.verdict == "unknown"
    packs.add(attempt(1), packed(crates[0]))
    packs.close()
    assert [StepCrate.open(source).status for source in find_sources(directory, pytest.fail)] == ["completed"]


def test_a_killed_writers_pack_is_made_whole_and_what_is_in_it_is_known(directory: Path) -> None:
    script = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from prov_worker.crate.packs import format as form\n"
        "from prov_worker.crate.packs.packs import Packs\n"
        "from prov_worker.crate.publish import Attempt\n"
        "from prov_worker.model import AttemptId\n"
        "packs = Packs(Path(sys.argv[1]))\n"
        "for number in range(5):\n"
        "    files = [('ro-crate-metadata.json', form.Packed.of(b'{}' * 100))]\n"
        "    packs.add(Attempt(AttemptId(f'task-{number}', 1, 7), 9), files)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    assert run_python("-c", script, directory).returncode == -9
    assert any(name.endswith(".part") for name in os.listdir(directory))
    packs = Packs(directory)
    host = os.uname().nodename
    assert packs.published(Attempt(AttemptId("task-3", 1, 7), 9), host) is not None
    assert packs.published(Attempt(AttemptId("task-5", 1, 7), 9), host) is None
    names = os.listdir(directory)
    assert len(names) == 1
    assert names[0].endswith(form.SUFFIX)
