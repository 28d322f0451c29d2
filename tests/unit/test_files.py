from __future__ import annotations

import errno
import hashlib
import io
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from prov_worker.errors import InputError
from prov_worker.files import (
    FULL,
    atomic_write,
    need_new,
    place_new,
    refuse_overwrite,
    sha256_of,
    sha256_of_file,
    write_file,
    write_files,
    write_problem,
)


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


# -- files of users ---------------------------------------------------------------------------------------------------


def test_what_cannot_be_written_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="directory; name a file"), atomic_write(tmp_path):
        pass
    (tmp_path / "file").write_text("x")
    with (
        pytest.raises(InputError, match="file/report.html: cannot be written"),
        atomic_write(tmp_path / "file/report.html"),
    ):
        pass
    with pytest.raises(UnicodeEncodeError), atomic_write(tmp_path / "other") as path:
        path.write_text("half \ud800", encoding="utf-8")
    assert names(tmp_path) == ["file"]


def test_a_link_is_followed_and_what_is_no_file_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "there/file")
    with atomic_write(tmp_path / "link") as path:
        path.write_text("x")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "there/file").read_text() == "x"
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    with atomic_write(tmp_path / "pipe") as path:
        path.write_text("through")
    assert os.read(reader, 20) == b"through"
    os.close(reader)
    code = "import sys; from pathlib import Path; from prov_worker.files import atomic_write\n"
    code += "with atomic_write(Path('/dev/stdout')) as path: path.write_text('through')"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout == b"through"
    assert (tmp_path / "pipe").is_fifo()
    assert names(tmp_path) == ["link", "pipe", "there"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_a_full_disk_is_said_of_the_file(tmp_path: Path) -> None:
    def write() -> None:
        with atomic_write(tmp_path / "report.html") as path:
            path.symlink_to("/dev/full")
            path.write_text("x")

    with pytest.raises(InputError, match="report.html: cannot be written: No space left"):
        write()
    assert list(tmp_path.iterdir()) == []


def test_only_files_that_hold_something_of_others_are_kept(tmp_path: Path) -> None:
    target = tmp_path / "report.html"
    refuse_overwrite(target, overwrite=False)
    target.touch()
    refuse_overwrite(target, overwrite=False)
    target.write_bytes(b"<!-- ours -->")
    refuse_overwrite(target, overwrite=False, own=b"ours")
    refuse_overwrite(target, overwrite=True)
    with pytest.raises(InputError, match="report.html: already exists"):
        refuse_overwrite(target, overwrite=False)
    with pytest.raises(InputError, match="is a directory; name a file"):
        refuse_overwrite(tmp_path, overwrite=True)
    with pytest.raises(InputError, match="none is not a directory"):
        refuse_overwrite(tmp_path / "none" / "report.html", overwrite=True)


def test_what_another_has_written_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    target = tmp_path / "report.html"

    def write() -> None:
        with atomic_write(target) as path:
            path.write_text("mine")
            target.write_text("another's")

    with pytest.raises(InputError, match="another program"):
        write()
    assert target.read_text() == "another's"
    assert names(tmp_path) == ["report.html"]
    with atomic_write(target) as path:  # it was there, and is to be replaced
        path.write_text("mine")
    assert target.read_text() == "mine"


@pytest.mark.parametrize("platform", ["linux", "another"])
@pytest.mark.parametrize("links", [True, False])
@pytest.mark.parametrize("kind", ["file", "directory"])
def test_a_name_that_is_taken_is_not_given_to_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, platform: str, links: bool, kind: str
) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise PermissionError(errno.EPERM, "no links here")

    monkeypatch.setattr("prov_worker.files.sys.platform", platform)
    if not links:
        monkeypatch.setattr(os, "link", refuse)
    for name in ("first", "second"):
        if kind == "directory":
            (tmp_path / name).mkdir()
        else:
            (tmp_path / name).write_text(name)
    place_new(tmp_path / "first", tmp_path / "target")
    with pytest.raises(FileExistsError):
        place_new(tmp_path / "second", tmp_path / "target")
    assert names(tmp_path) == ["second", "target"]
    assert kind == "directory" or (tmp_path / "target").read_text() == "first"


def test_a_device_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    refuse_overwrite(tmp_path / "pipe", overwrite=False)
    with atomic_write(tmp_path / "pipe") as path:
        path.write_text("through")
    assert os.read(reader, 100) == b"through"
    assert (tmp_path / "pipe").is_fifo()
    os.close(reader)


def test_a_new_file_is_one_of_which_there_is_nothing(tmp_path: Path) -> None:
    need_new(tmp_path / "new")
    (tmp_path / "empty").touch()
    (tmp_path / "link").symlink_to(tmp_path / "new")
    for name in ("empty", "link"):
        with pytest.raises(InputError, match=f"{name}: already exists; name a new file"):
            need_new(tmp_path / name)


# -- files of ours ----------------------------------------------------------------------------------------------------


def test_a_file_is_replaced_with_its_rights(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    before = os.umask(0o022)
    try:
        write_file(path, "one")
        assert (path.read_text(), path.stat().st_mode & 0o777) == ("one", 0o644)
        write_file(str(path), b"\xfftwo", mode=0o600, sync=True)
        assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"\xfftwo", 0o600)
    finally:
        os.umask(before)
    write_file(path, "a name \udcff")
    assert path.read_bytes() == b"a name \xff"
    assert names(tmp_path) == ["state.json"]


def test_a_name_as_long_as_the_file_system_allows(tmp_path: Path) -> None:
    path = tmp_path / ("é" * 127)
    write_file(path, "x")
    with atomic_write(path) as written:
        written.write_text("y")
    assert path.read_text() == "y"
    assert len(names(tmp_path)) == 1


@pytest.fixture
def small_files() -> Iterator[None]:
    """Files may have a kilobyte, as on a full disk."""
    import signal

    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.usefixtures("small_files")
def test_without_room_all_files_are_as_they_were(tmp_path: Path) -> None:
    write_files({str(tmp_path / name): "old" for name in "ab"})
    with pytest.raises(OSError) as error:  # noqa: PT011 - its number is what counts
        write_files({str(tmp_path / "a"): "new", str(tmp_path / "b"): "x" * 4096})
    assert error.value.errno in FULL
    assert [(tmp_path / name).read_text() for name in "ab"] == ["old", "old"]
    assert names(tmp_path) == ["a", "b"]
    assert write_problem(tmp_path) == os.strerror(errno.EFBIG)
    assert write_problem(tmp_path, 100) is None
    assert names(tmp_path) == ["a", "b"]


def test_a_directory_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_file(tmp_path / "none" / "file", "x")
    assert write_problem(tmp_path / "none") == os.strerror(errno.ENOENT)


def test_writers_of_one_file_leave_the_whole_of_one_of_them(tmp_path: Path) -> None:
    path = tmp_path / "file"
    contents = [str(number) * 200_000 for number in range(8)]
    threads = [threading.Thread(target=write_file, args=(path, text)) for text in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_text() in contents
    assert names(tmp_path) == ["file"]


# -- digests ----------------------------------------------------------------------------------------------------------


def test_digests(tmp_path: Path) -> None:
    data = os.urandom((2 << 20) + 17)
    expected = hashlib.sha256(data).hexdigest()
    (tmp_path / "data").write_bytes(data)
    assert sha256_of_file(tmp_path / "data") == expected
    source, target = io.BytesIO(data), io.BytesIO()
    assert sha256_of(source, target) == expected
    assert (target.getvalue(), source.tell()) == (data, len(data))
    with pytest.raises(FileNotFoundError):
        sha256_of_file(tmp_path / "none")
