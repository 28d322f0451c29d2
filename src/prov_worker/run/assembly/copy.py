"""Copies one step crate into a run crate, byte for byte, or raises what is wrong with it.

Every file is hashed as it is taken, and compared with what the crate says of it. Bytes are shared with the source
if the file system can (a clone, else a hard link) and copied in blocks otherwise: no file is ever read whole.
"""

from __future__ import annotations

import errno
import itertools
import os
import re
import shutil
import stat
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from prov_worker.crate import vocabulary as v
from prov_worker.crate.bounds import MAX_FILE_BYTES, MAX_FILES
from prov_worker.crate.reader import StepCrate
from prov_worker.crate.sources import DirectorySource, PackSource, Source, digest
from prov_worker.errors import CrateError
from prov_worker.files import sha256_of, sha256_of_file
from prov_worker.humanize import plural

_ODD = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
_BLOCK = 1 << 20
#: ``ioctl`` request that shares the blocks of one file with another (linux/fs.h).
_FICLONE = 0x40049409
_NO_SHARING = (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EACCES, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)


@dataclass(slots=True)
class CopiedCrate:
    """What was taken of a crate.

    Attributes:
        manifest: relative path, sha256 and size of each file, sorted by path.
    """

    manifest: list[tuple[str, str, int]] = field(default_factory=list)

    @property
    def size_bytes(self) -> int:
        """Size of all files."""
        return sum(size for _, _, size in self.manifest)


class FileCopier:
    """Brings files to a directory: cloned, hard linked or copied, whichever works first.

    A file is linked only if nobody else may write it: whoever can write its other name would change a sealed run.

    Args:
        copy: always copy.
    """

    def __init__(self, *, copy: bool = False) -> None:
        self._ways: list[Callable[[DirectorySource, str, str], bool]] = [] if copy else [_clone, _link]

    def place(self, source: DirectorySource, relative: str, target: str) -> str:
        """Bring one file of a crate to ``target``, which must not exist.

        Returns:
            Hex sha256 of the content at ``target``.

        Raises:
            CrateError: the file cannot be opened.
            OSError: it cannot be read or written.
        """
        for way in tuple(self._ways):
            try:
                if way(source, relative, target):
                    return sha256_of_file(target)
            except OSError as error:
                if error.errno == errno.EMLINK:
                    continue  # this one file has too many names
                if error.errno not in (*_NO_SHARING, errno.EINVAL, errno.ENOTTY):
                    raise
                # This pair of file systems cannot do it: not asked again.
                self._ways.remove(way)
        with source.open(relative) as stream, open(target, "xb") as out:
            return sha256_of(stream, out)


def _clone(source: DirectorySource, relative: str, target: str) -> bool:
    import fcntl

    with source.open(relative) as stream, open(target, "xb") as out:
        try:
            fcntl.ioctl(out.fileno(), _FICLONE, stream.fileno())
        except OSError:
            os.unlink(target)
            raise
    return True


def _link(source: DirectorySource, relative: str, target: str) -> bool:
    """Return link a file; return whether it was: not a file, or of a crate, that another user owns or may write."""
    if os.lstat(source.path).st_uid != os.geteuid() or not _is_own(f"{source.path}/{relative}"):
        return False
    os.link(f"{source.path}/{relative}", target)
    if _is_own(target):
        return True
    os.unlink(target)  # it was replaced in between
    return False


def _is_own(path: str) -> bool:
    status = os.lstat(path)
    return stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o022


def copy_crate(
    source: Source, crate: StepCrate, target: Path, copier: FileCopier, max_file_bytes: int = MAX_FILE_BYTES
) -> CopiedCrate:
    """Take all files of a crate to a directory, and compare them with what the crate says of them.

    Args:
        source: where the crate lies.
        crate: the same, read.
        target: directory to make; it must not exist, its parent must.
        copier: brings the files.
        max_file_bytes: a larger file is refused; 0 for no limit.

    Raises:
        CrateError: a file is missing, too large, not plain or other than the crate says; nothing is left at ``target``.
        OSError: the target cannot be written.
    """
    files = _files_to_take(source, crate, max_file_bytes)
    copied_crate = CopiedCrate()
    os.mkdir(target)
    try:
        made = {""}
        for relative, size in files:
            parent = relative.rpartition("/")[0]
            if parent not in made:
                os.makedirs(target / parent, exist_ok=True)
                made.add(parent)
            copied_crate.manifest.append((relative, _bring(source, relative, f"{target}/{relative}", copier), size))
        _compare(source, crate, copied_crate)
    except BaseException:
        shutil.rmtree(target, ignore_errors=True)
        raise
    return copied_crate


def inspect_crate(
    source: PackSource, crate: StepCrate, metadata_sha256: str | None, max_file_bytes: int = MAX_FILE_BYTES
) -> CopiedCrate:
    """Return what :func:`copy_crate` would, without a target: for what is copied later as it is stored.

    Args:
        source: where the crate lies; bytes of a pack stay as they are.
        crate: the same, read.
        metadata_sha256: digest of its metadata, as they were read; None takes it here.
        max_file_bytes: a larger file is refused; 0 for no limit.

    Raises:
        CrateError: a file is missing, too large, not plain or other than the crate says.
    """
    files = _files_to_take(source, crate, max_file_bytes)
    digests = {v.METADATA_FILE: metadata_sha256}
    copied_crate = CopiedCrate(
        [(relative, digests.get(relative) or digest(source, relative)[0], size) for relative, size in files]
    )
    _compare(source, crate, copied_crate)
    return copied_crate


def _files_to_take(source: Source, crate: StepCrate, max_file_bytes: int) -> list[tuple[str, int]]:
    """Return path and size of all files of a crate, sorted.

    Raises:
        CrateError: there are too many, or one is too large, or has an odd name or another size than the crate says.
    """
    files = sorted(itertools.islice(source.files(), MAX_FILES + 1))
    if len(files) > MAX_FILES:
        raise CrateError(source.where, f"more than {MAX_FILES:,} files")
    for relative, size in files:
        if _ODD.search(relative):
            raise CrateError(source.where, "a name with control characters or without UTF-8 form", repr(relative))
        if max_file_bytes and size > max_file_bytes:
            problem = f"{plural(size, 'byte')}, more than the {max_file_bytes:,} that a file may have"
            raise CrateError(source.where, problem, relative)
    _compare_sizes(source, crate, dict(files))
    return files


def _bring(source: Source, relative: str, target: str, copier: FileCopier) -> str:
    if isinstance(source, DirectorySource):
        try:
            return copier.place(source, relative, target)
        except OSError as error:
            # One of two files is at fault: if it is the one that is read, this crate alone is left out.
            _need_readable(source, relative)
            raise error
    try:
        with source.open(relative) as stream, open(target, "xb") as out:
            return sha256_of(stream, out)
    except (zipfile.BadZipFile, EOFError, RuntimeError, NotImplementedError) as error:
        raise CrateError(source.where, f"cannot be unpacked: {error}", relative) from None
    except (OSError, CrateError):
        raise
    except Exception as error:
        # zlib.error, lzma.LZMAError and whatever else a damaged zip provokes
        raise CrateError(source.where, f"cannot be unpacked: {error}", relative) from None


def _need_readable(source: DirectorySource, relative: str) -> None:
    try:
        with source.open(relative) as stream:
            while stream.read(_BLOCK):
                pass
    except OSError as error:
        raise CrateError(f"{source.where}/{relative}", f"cannot be read: {error.strerror or error}") from None


def _other_size(stated: int, size: int) -> str:
    return f"the crate says {plural(stated, 'byte')}, the file has {size:,}"


def _compare_sizes(source: Source, crate: StepCrate, sizes: dict[str, int]) -> None:
    """Refuse what differs in size before anything of it is read."""
    for file in crate.files:
        size = sizes.get(file.relative)
        if file.relative != v.METADATA_FILE and size is not None and file.size_bytes not in (None, size):
            raise CrateError(source.where, _other_size(file.size_bytes, size), file.id)


def _compare(source: Source, crate: StepCrate, copied_crate: CopiedCrate) -> None:
    copied = {relative: (digest, size) for relative, digest, size in copied_crate.manifest}
    for file in crate.files:
        relative = file.relative
        if relative == v.METADATA_FILE:
            continue
        if relative not in copied:
            raise CrateError(source.where, "listed in the crate and missing", file.id)
        digest, size = copied[relative]
        if file.size_bytes is not None and file.size_bytes != size:
            raise CrateError(source.where, _other_size(file.size_bytes, size), file.id)
        if file.sha256 is not None and file.sha256 != digest:
            raise CrateError(source.where, f"the crate says sha256 {file.sha256}, the file has {digest}", file.id)
