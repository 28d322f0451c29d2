"""Members of a pack are read where they lie, and compared with what the pack says of them."""

from __future__ import annotations

import hashlib
import os
import zipfile
from pathlib import Path

import pytest

from prov_worker.crate.packs.members import PackMembers

TEXT = b"0123456789" * 50


@pytest.fixture
def pack(tmp_path: Path) -> tuple[PackMembers, dict[str, zipfile.ZipInfo], Path]:
    path = tmp_path / "pack.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("stored", TEXT, zipfile.ZIP_STORED)
        archive.writestr("deflated", TEXT, zipfile.ZIP_DEFLATED)
        archive.writestr("x" * 500, TEXT, zipfile.ZIP_STORED)
        infos = {info.filename[:10]: info for info in archive.infolist()}
    members = PackMembers()
    members._descriptor = os.open(path, os.O_RDONLY)
    return members, infos, path


@pytest.mark.parametrize("name", ["stored", "deflated", "x" * 10])
def test_content_and_digest(pack: tuple[PackMembers, dict[str, zipfile.ZipInfo], Path], name: str) -> None:
    members, infos, _ = pack
    assert members.open(infos[name]).read() == TEXT
    for _again in range(2):
        assert members.digest(infos[name]) == (hashlib.sha256(TEXT).hexdigest(), len(TEXT))


@pytest.mark.parametrize("name", ["stored", "deflated"])
def test_a_damaged_member(pack: tuple[PackMembers, dict[str, zipfile.ZipInfo], Path], name: str) -> None:
    members, infos, path = pack
    at = infos[name].header_offset + 30 + len(name) + 3
    with path.open("r+b") as stream:
        stream.seek(at)
        stream.write(b"\xff\xff")
    with pytest.raises(zipfile.BadZipFile):
        members.open(infos[name])
    with pytest.raises(zipfile.BadZipFile):
        members.digest(infos[name])


def test_no_member_begins_or_ends_where_one_should(
    pack: tuple[PackMembers, dict[str, zipfile.ZipInfo], Path],
) -> None:
    members, infos, path = pack
    infos["deflated"].header_offset += 1
    with pytest.raises(zipfile.BadZipFile, match="no member begins where one should"):
        members.stored(infos["deflated"])
    os.truncate(path, infos["x" * 10].header_offset + 600)
    with pytest.raises(zipfile.BadZipFile, match="no member lies where one should"):
        members.stored(infos["x" * 10])


def test_a_method_that_packs_do_not_have(pack: tuple[PackMembers, dict[str, zipfile.ZipInfo], Path]) -> None:
    members, infos, _ = pack
    infos["stored"].compress_type = zipfile.ZIP_LZMA
    with pytest.raises(NotImplementedError, match="compression method 14"):
        members.open(infos["stored"])
