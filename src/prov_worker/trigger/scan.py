"""What lies in a folder, in one number that changes if anything does.

Links are taken as links, so that no loop of them matters. rsync writes ``.NAME.XXXXXX`` and renames it at the end; one
that is left of an rsync that was killed says that the folder is not whole, until a later one has brought ``NAME``.
"""

from __future__ import annotations

import errno
import fnmatch
import hashlib
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass

#: rsync(1): the temporary name of a file that is being written.
_TEMPORARY = re.compile(r"\.(?P<name>.+)\.[A-Za-z0-9]{6}\Z", re.DOTALL)
#: A folder went away while it was read, or changed: it is looked at again.
_PASSING = (errno.ENOENT, errno.ENOTDIR)


class UnreadableError(Exception):
    """A folder, or a directory in it, that cannot be read; the message names it and says why."""


class VanishedError(Exception):
    """Something went away while it was read: the folder changes."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of a folder.

    Attributes:
        path: below the folder.
        size_bytes: its size.
        modified_ns: its mtime, nanoseconds since the epoch.
        inode: its number.
        changed_ns: its ctime.
        link: where a link leads; None for a file.
    """

    path: str
    size_bytes: int
    modified_ns: int
    inode: int
    changed_ns: int
    link: str | None = None


@dataclass(frozen=True, slots=True)
class Tree:
    """A folder at one look.

    Attributes:
        signature: changes with every path, size, mtime and inode.
        content: the same without inodes, which a file system that comes back may number otherwise.
        entries: its files and links, sorted by path.
        directories: each directory with its mtime and inode, the folder itself first.
        unfinished: files that rsync has not finished.
    """

    signature: str
    content: str
    entries: tuple[Entry, ...]
    directories: tuple[tuple[str, int, int], ...]
    unfinished: tuple[str, ...] = ()

    @property
    def size_bytes(self) -> int:
        """Size of all files."""
        return sum(entry.size_bytes for entry in self.entries)

    def has(self, pattern: str) -> bool:
        """Return whether a file's path, or its name, matches a pattern."""
        return any(
            fnmatch.fnmatchcase(entry.path, pattern) or fnmatch.fnmatchcase(os.path.basename(entry.path), pattern)
            for entry in self.entries
        )


def take(path: str) -> Tree:
    """Look at a folder, or at a file, which is a folder of one.

    Raises:
        UnreadableError: it, or a directory in it, cannot be read.
        VanishedError: something went away meanwhile.
    """
    directories: list[tuple[str, int, int]] = []
    entries = sorted(_entries(path, directories), key=lambda entry: entry.path)
    signature, content = hashlib.sha256(), hashlib.sha256()
    for name, _, _ in sorted(directories):
        line = os.fsencode(f"d\0{name[len(path) + 1 :]}\n")
        signature.update(line)
        content.update(line)
    for entry in entries:
        line = os.fsencode(f"f\0{entry.path}\0{entry.size_bytes}\0{entry.modified_ns}\0{entry.link}\n")
        content.update(line)
        signature.update(line + b"%d\n" % entry.inode)
    return Tree(
        signature.hexdigest(), content.hexdigest(), tuple(entries), tuple(directories), tuple(_unfinished(entries))
    )


def _entries(path: str, directories: list[tuple[str, int, int]]) -> Iterator[Entry]:
    try:
        status = os.stat(path)
    except OSError as error:
        raise _error(path, error) from None
    if not stat.S_ISDIR(status.st_mode):
        yield _entry(os.path.basename(path), status)
        return
    waiting = [path]
    for directory in waiting:
        try:
            here = os.stat(directory, follow_symlinks=directory == path)
            directories.append((directory, here.st_mtime_ns, here.st_ino))
            with os.scandir(directory) as children:
                for child in children:
                    if child.is_dir(follow_symlinks=False):
                        waiting.append(child.path)
                        continue
                    status = child.stat(follow_symlinks=False)
                    link = os.readlink(child.path) if stat.S_ISLNK(status.st_mode) else None
                    yield _entry(child.path[len(path) + 1 :], status, link)
        except OSError as error:
            raise _error(directory, error) from None


def _entry(path: str, status: os.stat_result, link: str | None = None) -> Entry:
    return Entry(path, status.st_size, status.st_mtime_ns, status.st_ino, status.st_ctime_ns, link)


def _error(path: str, error: OSError) -> Exception:
    if error.errno in _PASSING:
        return VanishedError(path)
    return UnreadableError(f"{error.filename or path}: {error.strerror}")


def _unfinished(entries: list[Entry]) -> Iterator[str]:
    changed = {entry.path: entry.changed_ns for entry in entries}
    for entry in entries:
        directory, name = os.path.split(entry.path)
        match = _TEMPORARY.match(name)
        if match is not None and changed.get(os.path.join(directory, match["name"]), -1) < entry.changed_ns:
            yield entry.path


def is_unchanged(tree: Tree) -> bool:
    """Return whether no directory of a folder has changed since: nothing came, went, or was renamed in it.

    Cheap: a file that is written in place is not seen.
    """
    for number, (path, modified_ns, inode) in enumerate(tree.directories):
        try:
            status = os.stat(path, follow_symlinks=number == 0)
        except OSError:
            return False
        if (status.st_mtime_ns, status.st_ino) != (modified_ns, inode):
            return False
    return bool(tree.directories)  # none: a file
