"""Central directories of packs, read at once, say what the standard library reads of them, or are left to it."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest

from prov_worker.attempt import AttemptId
from prov_worker.crate import vocabulary as v
from prov_worker.crate.packs import format as form
from prov_worker.crate.packs.central import read_central
from prov_worker.crate.packs.writer import PackWriter
from prov_worker.crate.publish import Attempt
from prov_worker.crate.sources.packs import PackFile
from prov_worker.errors import CrateError
from prov_worker.testing import task_id

START_NS = 1_790_000_000_000_000_000
FIELDS = ("filename", "date_time", "compress_type", "CRC", "file_size", "compress_size", "header_offset",
          "comment", "flag_bits", "external_attr", "internal_attr", "create_system", "extract_version")  # fmt: skip


def written(directory: Path, *names: str, extra: str = "data/ä.txt") -> Path:
    writer = PackWriter(directory)
    for number, name in enumerate(names, 1):
        attempt = Attempt(AttemptId(task_id(number), number, START_NS), START_NS + number, "")
        files = ((relative, form.Packed.of(relative.encode() * 50)) for relative in (extra, v.METADATA_FILE))
        writer.append(name, files, attempt, START_NS + number * 5_000_000_000)
    path = writer.close()
    assert path is not None
    return path


def read(path: Path) -> list[zipfile.ZipInfo] | None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return read_central(descriptor, os.fstat(descriptor).st_size)
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("window", [200, 1 << 20])
def test_members_are_those_that_the_standard_library_reads(
    tmp_path: Path, window: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prov_worker.crate.packs.central._WINDOW", window)
    path = written(tmp_path, "a.crate", "b.crate", "b.attempt-1.crate")
    infos = read(path)
    assert infos is not None
    with zipfile.ZipFile(path) as archive:
        assert [[getattr(info, field) for field in FIELDS] for info in infos] == [
            [getattr(info, field) for field in FIELDS] for info in archive.infolist()
        ]
        assert [form.stamp_in(info.extra, "t") for info in infos] == [
            form.stamp_in(info.extra, "t") for info in archive.infolist()
        ]
        assert archive.read(infos[0]) == b"data/\xc3\xa4.txt" * 50
        assert repr(infos[0])  # nothing of it is missing


def test_zips_of_other_forms_are_left_to_the_standard_library(tmp_path: Path) -> None:
    path = written(tmp_path, "a.crate")
    whole = path.read_bytes()
    at = whole.rindex(b"PK\1\2")
    for name, data in {
        "short": whole[:20],
        "cut": whole[:-1],
        "longer": whole + b"\0",
        "another comment": whole[:-1] + b"7",
        "another method": whole[: at + 10] + b"\x0c" + whole[at + 11 :],
        "no text": whole.replace("ä".encode(), b"\xff\xff"),
        "a link": whole[: at + 38] + (0o120777 << 16).to_bytes(4, "little") + whole[at + 42 :],
        "empty": b"",
    }.items():
        other = tmp_path / name
        other.write_bytes(data)
        assert read(other) is None, name
    with zipfile.ZipFile(tmp_path / "plain", "w") as archive:
        archive.writestr("a.crate/x", "x")
    assert read(tmp_path / "plain") is None


@pytest.mark.parametrize(
    ("relative", "problem"),
    [
        ("../../x", "leads outside"),
        ("a\\b", "foreign path"),
        ("x\0y", "foreign path"),
        ("a..b", ""),
        ("a:b", ""),
        (f"./{v.METADATA_FILE}", "twice"),
    ],
)
def test_names_are_judged_as_before(tmp_path: Path, relative: str, problem: str) -> None:
    path = written(tmp_path, "a.crate", extra=relative)
    if problem:
        with pytest.raises(CrateError, match=problem):
            PackFile(path)
    else:
        assert PackFile(path).infos["a.crate"][relative].file_size == 50 * len(relative)


@pytest.mark.parametrize("name", ["/a.crate", "a.crate/", "a.crate//"])
def test_absolute_and_empty_names(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, name)
    if name.startswith("/"):
        with pytest.raises(CrateError, match="absolute"):
            PackFile(path)
    else:
        assert PackFile(path).crates == []


def test_two_members_of_one_name_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "a.crate", "b.crate")
    path.write_bytes(path.read_bytes().replace(b"b.crate", b"a.crate"))
    with pytest.raises(CrateError, match="twice"):
        PackFile(path)
