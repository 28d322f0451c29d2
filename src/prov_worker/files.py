"""Files: replaced whole or not at all, hashed, and locked. Standard library only: the spool's locks are from here."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING

from prov_worker import open_flags
from prov_worker.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

#: A disk, a quota or a limit says that there is no space.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_BLOCK_BYTES = 1 << 20
#: linux/fcntl.h and linux/fs.h
_AT_CWD, _RENAME_NOREPLACE, _RENAME_EXCHANGE = -100, 1, 2


def refuse_overwrite(target: Path, *, overwrite: bool, own: bytes | None = None) -> None:
    """Refuse, before any work is done, to replace what somebody may want to keep.

    Args:
        target: a file to write; an empty one, a device and a pipe hold nothing to keep.
        overwrite: replace any file.
        own: a file that has this within its first kilobyte was written by us, and is replaced.

    Raises:
        InputError: the target is there, or is a directory, or there is no directory for it.
    """
    need_file_path(target)
    if overwrite or not target.is_file() or not target.stat().st_size:
        return
    if own is not None:
        with suppress(OSError), target.open("rb") as stream:
            if own in stream.read(1024):
                return
    raise InputError(f"{target}: already exists; give another name, or --overwrite to replace it")


def need_new(target: Path) -> None:
    """Refuse, before any work is done, a file that is to be made if there is anything of its name, be it empty.

    Raises:
        InputError: there is something, or no directory for it.
    """
    need_file_path(target)
    if os.path.lexists(target):
        raise InputError(f"{target}: already exists; name a new file")


def need_file_path(target: Path) -> None:
    """Refuse a path at which no file can be written.

    Raises:
        InputError: it is a directory, or there is no directory for it.
    """
    if target.is_dir():
        raise InputError(f"{target}: is a directory; name a file")
    if not target.parent.is_dir():
        raise InputError(f"{target}: cannot be written: {target.parent} is not a directory")


def stays_in(directory: Path, relative: str) -> bool:
    """Return whether a path below a directory leads to its own place there, and not elsewhere by a link or ``..``."""
    return (directory / relative).resolve() == directory.resolve() / relative


def read_private(path: Path, kind: str, *, roots_for_group: bool = False) -> str:
    """Return the text of a file with secrets, which no other user may have written and none may read.

    Args:
        path: of a regular file.
        kind: what it holds, in the plural, for messages.
        roots_for_group: take one that root made for a group of ours to read too, as container runtimes hand secrets in.

    Raises:
        InputError: it cannot be read, is not a regular file in UTF-8, is another user's, or is open to others;
            nothing of its content is in the message.
    """
    try:
        # A FIFO would make the reader wait.
        with open(os.open(path, os.O_RDONLY | open_flags.CLOEXEC | open_flags.NONBLOCK), encoding="utf-8") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise InputError(f"{path}: {kind} are read from a regular file alone")
            by_root = roots_for_group and status.st_uid == 0
            if hasattr(os, "geteuid") and status.st_uid != os.geteuid() and not by_root:
                raise InputError(f"{path}: belongs to another user; {kind} are read from your own file alone")
            if hasattr(os, "geteuid") and stat.S_IMODE(status.st_mode) & (0o037 if by_root else 0o077):
                raise InputError(f"{path}: is open to others; {kind} want mode 0600 (chmod 600 {path})")
            return file.read()
    except OSError as error:
        raise InputError(f"{path}: {kind} cannot be read: {error.strerror}") from None
    except ValueError:
        raise InputError(f"{path}: {kind} are not text in UTF-8") from None


@contextmanager
def atomic_write(target: Path) -> Iterator[Path]:
    """Yield a path to write to, which gets the name of the target at the end; after an error nothing is left there.

    What another program has put there meanwhile is not replaced. A link is followed, as other programs do. A device or
    a pipe is written to: it is not there to be replaced.

    Raises:
        InputError: the target is a directory, is another's by now, or cannot be written; it is named.
    """
    need_file_path(target)
    final = target.resolve() if target.is_symlink() else target
    path = final.with_name(os.path.basename(_temporary(final)))
    # Asked of the target: what /dev/stdout leads to may be a pipe, which has no path of its own.
    special = target.exists() and not target.is_file()
    place = os.replace if os.path.lexists(final) else place_new
    try:
        if special:
            yield target
        else:
            yield path
            place(path, final)
    except FileExistsError:
        raise InputError(f"{target}: was made by another program meanwhile, and is not replaced") from None
    except OSError as error:
        raise InputError(f"{target}: cannot be written: {error.strerror or error}") from error
    finally:
        with suppress(OSError):  # most often it is not there any more
            path.unlink()


def write_file(path: str | os.PathLike[str], data: str | bytes, *, mode: int = 0o666, sync: bool = False) -> None:
    """Replace a file by another, whole or not at all.

    Args:
        path: the file; its directory must be there.
        data: its content; text is encoded as UTF-8, and undecodable bytes of file names stay what they are.
        mode: rights of the new file, less the umask.
        sync: have the data on disk first. A full quota of a network file system shows then, and not before.

    Raises:
        OSError: there is no space or no right; the file is as it was.
    """
    write_files({os.fspath(path): data}, mode=mode, sync=sync)


def write_files(contents: Mapping[str, str | bytes], *, mode: int = 0o666, sync: bool = False) -> None:
    """Replace several files: all are written before the first is replaced, so that a full disk leaves what was there.

    Args:
        contents: data by path, as in :func:`write_file`.
        mode: rights of the new files, less the umask.
        sync: have the data on disk first.

    Raises:
        OSError: there is no space or no right. If a file could not be written, all are as they were.
    """
    temporary = {path: _temporary(path) for path in contents}
    try:
        for path, data in contents.items():
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | open_flags.CLOEXEC
            with open(os.open(temporary[path], flags, mode), "wb") as file:
                file.write(data.encode("utf-8", "surrogateescape") if isinstance(data, str) else data)
                if sync:
                    file.flush()
                    os.fsync(file.fileno())
        for path, written in temporary.items():
            os.replace(written, path)
    except BaseException:
        for written in temporary.values():
            with suppress(OSError):
                os.unlink(written)
        raise


def _temporary(path: str | os.PathLike[str]) -> str:
    """Return a name beside a file: hidden, not another writer's, and not longer than file systems allow."""
    directory, name = os.path.split(os.fspath(path))
    hidden = os.fsdecode(os.fsencode(name)[:200])
    return os.path.join(directory, f".{hidden}.{os.getpid()}-{os.urandom(4).hex()}.part")


def write_problem(directory: str | os.PathLike[str], size: int = 8192) -> str | None:
    """Return why a file of some bytes cannot be written into a directory; None if it can."""
    path = os.path.join(directory, ".space")
    try:
        write_file(path, b"0" * size, mode=0o600, sync=True)
        os.unlink(path)
    except OSError as error:
        return error.strerror or str(error)
    return None


def sha256_of(stream: IO[bytes], copy_to: IO[bytes] | None = None) -> str:
    """Return the hex digest of the rest of a stream, which is read in blocks.

    Args:
        stream: is at its end afterwards.
        copy_to: what is read is written on to this one.
    """
    digest = hashlib.sha256()
    while block := stream.read(_BLOCK_BYTES):
        digest.update(block)
        if copy_to is not None:
            copy_to.write(block)
    return digest.hexdigest()


def sha256_of_file(path: str | os.PathLike[str]) -> str:
    """Return the hex digest of a file.

    Raises:
        OSError: it cannot be read.
    """
    with open(path, "rb") as stream:
        return sha256_of(stream)


def place_new(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> None:
    """Rename a file or directory to a name that nothing has, whoever takes the name at the same time.

    A file system that can neither rename so nor link leaves a moment in which the other's is replaced.

    Raises:
        FileExistsError: something has the name.
        OSError: it cannot be renamed.
    """
    if sys.platform == "linux" and _renameat2(source, target, _RENAME_NOREPLACE):
        return
    if not os.path.isdir(source):
        try:
            os.link(source, target, follow_symlinks=False)
        except FileExistsError:
            raise
        except (OSError, NotImplementedError):
            pass  # no links here
        else:
            os.unlink(source)
            return
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), os.fspath(target))
    os.rename(source, target)


def exchange(first: str | os.PathLike[str], second: str | os.PathLike[str]) -> bool:
    """Let two files or directories of one file system change names, both at once (renameat2(2)).

    Returns:
        Whether they did; False if the file system or the C library cannot do that.

    Raises:
        OSError: one of them is not there, or it is not allowed.
    """
    return _renameat2(first, second, _RENAME_EXCHANGE)


def _renameat2(first: str | os.PathLike[str], second: str | os.PathLike[str], flags: int) -> bool:
    import ctypes

    function = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if function is None:
        return False
    if function(_AT_CWD, os.fsencode(first), _AT_CWD, os.fsencode(second), flags) == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP):
        return False
    raise OSError(number, os.strerror(number), os.fspath(first), None, os.fspath(second))


def read_regular(path: str | os.PathLike[str], limit: int) -> bytes:
    """Return the content of a regular file, and never wait: a FIFO or a device is refused.

    Args:
        path: links are followed.
        limit: most bytes to take.

    Raises:
        OSError: it cannot be read, or is larger, or not a regular file.
    """
    descriptor = os.open(path, os.O_RDONLY | open_flags.NONBLOCK | open_flags.CLOEXEC)
    with open(descriptor, "rb") as stream:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "is not a regular file", os.fspath(path))
        if status.st_size > limit:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), os.fspath(path))
        return stream.read(limit)
