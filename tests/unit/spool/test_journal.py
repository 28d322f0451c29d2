"""The journal: appending where user code interferes, and following what was appended."""

from __future__ import annotations

import json
import os
import resource
from pathlib import Path

import pytest

from prov_worker.spool.journal import JournalReader, JournalWriter, mentions


def line(number: int) -> bytes:
    return json.dumps({"t": "end", "number": number}).encode() + b"\n"


def numbers(path: Path) -> list[int]:
    reader = JournalReader(str(path))
    return [line["number"] for line in reader.read() if "number" in line]


@pytest.fixture
def writer(tmp_path: Path) -> JournalWriter:
    return JournalWriter(str(tmp_path / "spool" / "j.jsonl"), str(tmp_path / "back" / "j.jsonl"))


def test_what_is_written_is_read(writer: JournalWriter) -> None:
    for number in range(5):
        writer.write(line(number))
    path = Path(writer.path)
    assert numbers(path) == [0, 1, 2, 3, 4]
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    writer.close()
    writer.close()


def test_a_closed_descriptor_is_opened_again(writer: JournalWriter) -> None:
    writer.write(line(0))
    os.close(writer._fd)
    writer.write(line(1))
    assert numbers(Path(writer.path)) == [0, 1]
    writer.close()


def test_a_descriptor_that_is_another_file_by_now_is_neither_written_nor_closed(
    writer: JournalWriter, tmp_path: Path
) -> None:
    writer.write(line(0))
    number = writer._fd
    other = os.open(tmp_path / "user.txt", os.O_RDWR | os.O_CREAT)
    os.dup2(other, number)
    try:
        writer.write(line(1))
        assert numbers(Path(writer.path)) == [0, 1]
        assert (tmp_path / "user.txt").read_bytes() == b""
        assert os.fstat(number).st_ino == os.fstat(other).st_ino
    finally:
        writer.close()
        os.close(other)
        os.close(number)


def test_a_journal_made_again_says_first_what_later_lines_need(writer: JournalWriter) -> None:
    writer.remember(b'{"t":"worker"}\n', first=True)
    writer.remember(b'{"t":"function","k":1}\n')
    writer.write(line(0))
    reader = JournalReader(writer.path)
    assert [line["t"] for line in reader.read()] == ["worker", "function", "end"]
    Path(writer.path).unlink()
    writer.write(line(1))
    assert [line["t"] for line in reader.read()] == ["worker", "function", "end"]
    writer.remember(b'{"t":"function","k":2}\n')
    assert [line.get("k") for line in reader.read()] == [2]
    writer.close()


def test_where_the_journal_cannot_be_lines_go_to_the_fallback(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    writer = JournalWriter(str(tmp_path / "file" / "j.jsonl"), str(tmp_path / "back" / "j.jsonl"))
    writer.remember(b'{"t":"worker"}\n', first=True)
    writer.write(line(7))
    assert [line["t"] for line in JournalReader(writer.fallback).read()] == ["worker", "end"]
    assert writer.target == writer.fallback
    writer.close()


def test_where_neither_can_be_the_error_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    writer = JournalWriter(str(tmp_path / "file" / "j"), str(tmp_path / "file" / "k"))
    with pytest.raises(OSError, match="File exists|Not a directory"):
        writer.write(line(1))


@pytest.mark.parametrize("how", ["moved", "directory moved", "replaced", "removed"])
def test_a_path_that_is_no_longer_the_file_gets_a_new_one(writer: JournalWriter, how: str) -> None:
    path = Path(writer.path)
    writer.remember(line(0), first=True)
    writer.begun = line(1)
    writer.write(line(1))
    if how == "moved":
        path.rename(path.with_name("away"))
    elif how == "directory moved":
        path.parent.rename(path.parent.with_name("away"))
    elif how == "replaced":
        path.with_name("other").touch()
        path.with_name("other").rename(path)
    else:
        path.unlink()
    writer.look()
    writer.write(line(2))
    writer.look()
    writer.write(line(3))
    assert numbers(path) == [0, 1, 2, 3]
    writer.close()


def test_a_limit_on_file_sizes_is_lifted_for_a_line_and_stands_again(writer: JournalWriter) -> None:
    writer.write(line(0))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
    try:
        writer.write(line(1))
        assert resource.getrlimit(resource.RLIMIT_FSIZE) == (10, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    writer.write(line(2))
    assert numbers(Path(writer.path)) == [0, 1, 2]
    writer.close()


def test_a_torn_line_waits_for_its_end(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    path.write_bytes(line(0) + line(1)[:7])
    reader = JournalReader(str(path))
    assert [line["number"] for line in reader.read()] == [0]
    with path.open("ab") as file:
        file.write(line(1)[7:] + line(2))
    assert [line["number"] for line in reader.read()] == [1, 2]
    assert reader.problems == 0


@pytest.mark.parametrize("limit", [1, 7, 64])
def test_a_journal_is_read_in_parts_of_any_size(tmp_path: Path, limit: int) -> None:
    path = tmp_path / "j.jsonl"
    path.write_bytes(b"".join(line(number) for number in range(20)))
    reader, values = JournalReader(str(path)), []
    while reader.offset < path.stat().st_size:
        values += [line["number"] for line in reader.read(limit)]
    assert values == list(range(20))


def test_lines_that_are_no_objects_are_counted_and_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    path.write_bytes(
        b"junk\n" + line(0) + b"\xff\xfe\n[1]\n\n" + b"[" * 100_000 + b"\n" + bytes(50) + line(1) + bytes(9) + b"\n"
    )
    reader = JournalReader(str(path))
    assert [line["number"] for line in reader.read()] == [0, 1]
    assert reader.problems == 4


def test_a_journal_that_became_shorter_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    path.write_bytes(line(0) + line(1))
    reader = JournalReader(str(path))
    assert len(list(reader.read())) == 2
    with path.open("r+b") as file:
        file.truncate(0)
        file.write(line(5))
    assert [line["number"] for line in reader.read()] == [5]


def test_a_missing_journal_has_no_lines(tmp_path: Path) -> None:
    assert list(JournalReader(str(tmp_path / "none")).read()) == []


def test_a_text_is_found_wherever_it_stands(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    for before in (0, 1, (1 << 20) - 3, 1 << 20):
        path.write_bytes(b"x" * before + b"needle" + b"y" * 10)
        assert mentions(str(path), "needle")
        assert not mentions(str(path), "needles")
    assert not mentions(str(tmp_path / "none"), "needle")
