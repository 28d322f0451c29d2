"""Finds whatever changed in a run crate since it was sealed: a changed, added or removed byte, file or directory.

A zip that was assembled has a seal of its own for what lies between its files; of any other, such as one packed
again, names and contents are compared.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from io import TextIOWrapper
from pathlib import Path
from typing import IO

from prov_worker import open_flags
from prov_worker.crate import vocabulary as v
from prov_worker.crate.sources import check_names, open_zip
from prov_worker.errors import CrateError, InputError
from prov_worker.files import sha256_of
from prov_worker.printable import is_text
from prov_worker.run.assembly.seal import UNLISTED, check_signature, parse_manifest, parse_seal, zip_problem
from prov_worker.run.assembly.staging import temporary_database

_MAX_SEAL_BYTES = 4096
#: zlib.error, lzma.LZMAError and whatever else a damaged zip provokes are errors of their own.
_PARSING = Exception


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that is not as it was sealed.

    Attributes:
        kind: ``changed``, ``added``, ``removed``, ``unreadable`` or ``signature``.
        path: in the run crate.
        message: one line.
    """

    kind: str
    path: str
    message: str


@dataclass(slots=True)
class Verification:
    """What verifying found.

    Attributes:
        files: number of files that were compared.
        changes: what is not as it was sealed; empty for a sound crate.
        signer: principal of the signature (with allowed signers), or fingerprint of its key; None without one.
        trusted: whether the signature is that of an allowed signer.
    """

    files: int = 0
    changes: list[Change] = field(default_factory=list)
    signer: str | None = None
    trusted: bool = False


class _Directory:
    """A run crate in a directory."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def walk(self, prefix: str = "") -> Iterator[tuple[str, str]]:
        """Yield relative path and kind of everything.

        Kinds are ``file``, ``empty`` and ``unreadable`` of directories, and ``other``.
        """
        try:
            with os.scandir(self.path / prefix) as entries:
                children = sorted(entries, key=lambda item: item.name)
        except OSError:
            yield prefix.rstrip("/") or ".", "unreadable"
            return
        if not children and prefix:
            yield prefix.rstrip("/"), "empty"
        for entry in children:
            relative = prefix + entry.name
            if entry.is_dir(follow_symlinks=False):
                yield from self.walk(relative + "/")
            else:
                yield relative, "file" if entry.is_file(follow_symlinks=False) else "other"

    def open(self, relative: str) -> IO[bytes]:
        # Not blocking: of a pipe in a file's place nothing would ever come.
        descriptor = os.open(
            self.path / relative, os.O_RDONLY | open_flags.NONBLOCK | open_flags.CLOEXEC | open_flags.NOFOLLOW
        )
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise OSError(errno.EINVAL, "not a regular file")
        return os.fdopen(descriptor, "rb")


class _Zip:
    """A run crate in a zip file."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive

    def walk(self) -> Iterator[tuple[str, str]]:
        """Walk as through a directory; members for directories with files say nothing, unless they hold something."""
        files = [info.filename for info in self._archive.infolist() if not info.is_dir()]
        above = {parent for name in files for parent in _parents(name)}
        for info in self._archive.infolist():
            if not info.is_dir():
                yield info.filename, "file"
            elif info.file_size:
                yield info.filename, "other"
            elif info.filename not in above:
                yield info.filename.rstrip("/"), "empty"

    def open(self, relative: str) -> IO[bytes]:
        try:
            return self._archive.open(relative)
        except KeyError:
            raise FileNotFoundError(2, "no such file in the zip", relative) from None


def verify(
    path: Path, allowed_signers: Path | None = None, progress: Callable[[int], None] = lambda _: None
) -> Verification:
    """Compare a run crate with its seal.

    Args:
        path: directory or zip file.
        allowed_signers: list of allowed signers (ssh-keygen(1)); if it is given, a valid signature by one of them
            must be there.
        progress: called with the number of files compared since.

    Raises:
        InputError: the path is not a run crate with a seal, or there is no such list.
    """
    if allowed_signers is not None and not allowed_signers.is_file():
        # Said before anything else: a crate without a signature would never have come to it.
        raise InputError(f"{allowed_signers}: no such list of allowed signers")
    if path.is_dir():
        return _verify(_Directory(path), path, allowed_signers, progress)
    if not path.exists():
        raise InputError(f"{path}: no such run crate")
    with open_zip(path) as archive:
        try:
            check_names(path, archive)
        except CrateError as error:
            return Verification(changes=[Change("unreadable", path.name, str(error))])
        verdict = _verify(_Zip(archive), path, allowed_signers, progress)
        problem = zip_problem(path, archive.comment)
        if problem is not None:
            verdict.changes.append(Change("changed", path.name, problem))
        return verdict


def _verify(
    tree: _Directory | _Zip, path: Path, allowed_signers: Path | None, progress: Callable[[int], None]
) -> Verification:
    verdict = Verification()
    say = verdict.changes.append
    with closing(temporary_database("CREATE TABLE file (path TEXT PRIMARY KEY, sha TEXT, seen, twice)")) as db:
        seal = _read_seal(tree, path)
        digests = {name: _digest(tree, name, say) for name in (v.METADATA_FILE, v.MANIFEST_FILE)}
        _compare_seal(seal, digests, say)
        _load_manifest(tree, db, say)
        for relative, kind in tree.walk():
            if kind == "unreadable":
                say(Change("unreadable", relative, "a directory that cannot be listed"))
                continue
            if relative in UNLISTED:
                if kind != "file":
                    say(Change("changed", relative, "not a regular file"))
                continue
            row = None
            if is_text(relative):  # a name that is no UTF-8 cannot have been sealed
                row = db.execute("SELECT sha FROM file WHERE path = ?", (relative,)).fetchone()
            if row is None:
                reason = "an empty directory that was not sealed" if kind == "empty" else "not in the manifest"
                say(Change("added", relative, reason))
                continue
            db.execute("UPDATE file SET seen = 1 WHERE path = ?", (relative,))
            if kind != "file":
                say(Change("changed", relative, "not a regular file"))
                continue
            digest = _digest(tree, relative, say)
            if digest is not None and digest != row[0]:
                say(Change("changed", relative, f"sealed with sha256 {row[0]}, the file has {digest}"))
            verdict.files += 1
            progress(1)
        for (relative,) in db.execute("SELECT path FROM file WHERE seen IS NULL ORDER BY path"):
            say(Change("removed", relative, "sealed and missing"))
    _signature(tree, seal, verdict, allowed_signers)
    return verdict


def _parents(name: str) -> Iterator[str]:
    at = name.find("/")
    while at >= 0:
        yield name[: at + 1]
        at = name.find("/", at + 1)


def _read_seal(tree: _Directory | _Zip, path: Path) -> bytes:
    try:
        with tree.open(v.SEAL_FILE) as stream:
            return stream.read(_MAX_SEAL_BYTES)
    except FileNotFoundError:
        raise InputError(f"{path}: not a run crate with a seal: {v.SEAL_FILE} is missing") from None
    except _PARSING as error:
        raise InputError(f"{path}: {v.SEAL_FILE}: cannot be read: {error}") from None


def _digest(tree: _Directory | _Zip, relative: str, say: Callable[[Change], None]) -> str | None:
    try:
        with tree.open(relative) as stream:
            return sha256_of(stream)
    except FileNotFoundError:
        say(Change("removed", relative, "sealed and missing"))
    except Exception as error:
        # zlib.error and whatever else a damaged zip provokes, too
        say(Change("unreadable", relative, f"cannot be read: {error}"))
    return None


def _compare_seal(seal: bytes, digests: dict[str, str | None], say: Callable[[Change], None]) -> None:
    try:
        sealed = parse_seal(seal)
    except ValueError as error:
        # What it does not name in this way cannot be compared with it, and so is not as sealed.
        say(Change("changed", v.SEAL_FILE, f"seals nothing: {error}"))
        return
    for name, digest in digests.items():
        if digest is not None and digest != sealed[name]:
            say(Change("changed", name, f"sealed with sha256 {sealed[name]}, the file has {digest}"))


def _load_manifest(tree: _Directory | _Zip, db: sqlite3.Connection, say: Callable[[Change], None]) -> None:
    try:
        with tree.open(v.MANIFEST_FILE) as stream:
            lines = TextIOWrapper(stream, encoding="utf-8", newline="\n")
            db.executemany(
                "INSERT INTO file (path, sha) VALUES (?, ?) ON CONFLICT (path) DO UPDATE SET twice = 1",
                parse_manifest(lines),
            )
    except FileNotFoundError:
        return  # said already
    except _PARSING as error:
        say(Change("changed", v.MANIFEST_FILE, f"not as it is written: {error}"))
    # Each program might believe another one of the two lines.
    for (relative,) in db.execute("SELECT path FROM file WHERE twice ORDER BY path"):
        say(Change("changed", v.MANIFEST_FILE, f"names {relative} more than once"))


def _signature(tree: _Directory | _Zip, seal: bytes, verdict: Verification, allowed_signers: Path | None) -> None:
    try:
        with tree.open(v.SIGNATURE_FILE) as stream:
            data = stream.read(1 << 20)
    except FileNotFoundError:
        if allowed_signers is not None:
            verdict.changes.append(Change("signature", v.SIGNATURE_FILE, "the run crate is not signed"))
        return
    except _PARSING as error:
        verdict.changes.append(Change("unreadable", v.SIGNATURE_FILE, f"cannot be read: {error}"))
        return
    with tempfile.TemporaryDirectory(prefix="prov-worker-verify-") as private:
        copy = Path(private) / v.SIGNATURE_FILE
        copy.write_bytes(data)
        verdict.signer, problem = check_signature(seal, copy, allowed_signers)
    if problem is not None:
        verdict.changes.append(Change("signature", v.SIGNATURE_FILE, problem))
    else:
        verdict.trusted = allowed_signers is not None


def digest_of(path: Path) -> tuple[str, int]:
    """Return hex sha256 and size of a file."""
    with path.open("rb") as stream:
        return sha256_of(stream), stream.tell()
