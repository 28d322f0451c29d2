"""One look at a folder: what changes its signature, what is unfinished, what cannot be read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from prov_worker.trigger import scan


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "run1"
    (path / "sub" / "deep").mkdir(parents=True)
    (path / "a").write_text("a")
    (path / "sub" / "deep" / "b").write_text("bb")
    return path


def test_a_change_of_any_kind_changes_the_signature(folder: Path) -> None:
    signatures = [scan.take(str(folder)).signature]

    def change(*, content: bool = True) -> None:
        tree = scan.take(str(folder))
        assert tree.signature not in signatures
        signatures.append(tree.signature)

    (folder / "sub" / "deep" / "b").write_text("bbb")  # size
    change()
    os.utime(folder / "a", ns=(1, 1))  # mtime
    change()
    (folder / "sub" / "c").write_text("")  # a path
    change()
    os.rename(folder / "a", folder / "z")  # a name
    change()
    (folder / "empty").mkdir()  # a directory
    change()
    (folder / "new").write_text("z")
    os.utime(folder / "new", ns=(1, 1))
    change()
    os.replace(folder / "new", folder / "z")  # another inode, same size and time
    os.utime(folder / "z", ns=(1, 1))
    change()
    assert scan.take(str(folder)).signature == signatures[-1]


def test_content_does_not_depend_on_inodes(folder: Path, tmp_path: Path) -> None:
    before = scan.take(str(folder))
    twin = tmp_path / "twin"
    (twin / "sub" / "deep").mkdir(parents=True)
    for name in ("a", "sub/deep/b"):
        (twin / name).write_bytes((folder / name).read_bytes())
        os.utime(twin / name, ns=((folder / name).stat().st_atime_ns, (folder / name).stat().st_mtime_ns))
    after = scan.take(str(twin))
    assert (before.content == after.content, before.signature == after.signature) == (True, False)


def test_loops_of_links_are_links(folder: Path) -> None:
    (folder / "loop").symlink_to(folder)
    (folder / "self").symlink_to("self")
    tree = scan.take(str(folder))
    assert [(entry.path, entry.link) for entry in tree.entries if entry.link is not None] == [
        ("loop", str(folder)),
        ("self", "self"),
    ]


def test_what_rsync_has_not_renamed_is_unfinished_until_its_file_is_newer(folder: Path) -> None:
    (folder / "sub" / ".data.h5.Ab3xY9").write_text("half")
    assert scan.take(str(folder)).unfinished == ("sub/.data.h5.Ab3xY9",)
    (folder / "sub" / "data.h5").write_text("whole")
    assert scan.take(str(folder)).unfinished == ()
    assert scan.take(str(folder)).has("*.h5")
    (folder / ".hidden").write_text("is no file of rsync's")
    assert scan.take(str(folder)).unfinished == ()


def test_a_file_is_a_folder_of_one(folder: Path) -> None:
    tree = scan.take(str(folder / "a"))
    assert [(entry.path, entry.size_bytes) for entry in tree.entries] == [("a", 1)]
    assert not scan.is_unchanged(tree)


def test_the_quick_look_sees_what_comes_and_goes(folder: Path) -> None:
    tree = scan.take(str(folder))
    assert scan.is_unchanged(tree)
    (folder / "sub" / "deep" / "c").write_text("")
    assert not scan.is_unchanged(tree)


def test_a_directory_that_cannot_be_read_is_named(folder: Path) -> None:
    """Not even by root, who may read what others may not: its path is longer than the system takes."""
    place = os.open(folder, os.O_RDONLY)
    for _ in range(20):
        os.mkdir("d" * 250, dir_fd=place)
        inner = os.open("d" * 250, os.O_RDONLY, dir_fd=place)
        os.close(place)
        place = inner
    os.close(place)
    with pytest.raises(scan.UnreadableError, match="dd: File name too long"):
        scan.take(str(folder))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_directory_that_may_not_be_read_is_named(folder: Path) -> None:
    (folder / "sub").chmod(0)
    try:
        with pytest.raises(scan.UnreadableError, match="sub: Permission denied"):
            scan.take(str(folder))
    finally:
        (folder / "sub").chmod(0o700)


def test_what_is_gone_has_vanished(tmp_path: Path) -> None:
    with pytest.raises(scan.VanishedError):
        scan.take(str(tmp_path / "none"))
