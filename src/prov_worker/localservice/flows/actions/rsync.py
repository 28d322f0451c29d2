"""Copies by rsync: a process per item, its progress in numbers, and a comparison of checksums afterwards."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from prov_worker.errors import InputError

#: https://docs.globus.org/api/transfer/task_submit/: when a file is sent that is there already.
_SYNC: Mapping[int | None, tuple[str, ...]] = {
    None: ("--ignore-times",),
    0: ("--ignore-existing",),
    1: ("--size-only",),
    2: ("--update", "--times"),
    3: ("--checksum",),
}
_FAILURE_CHARACTERS = 500


class CopyError(Exception):
    """A copy that failed; it may be tried again. The message is rsync's."""


class Item(NamedTuple):
    """What is copied.

    Attributes:
        source: file or directory.
        target: what it becomes.
        recursive: whether it is a directory.
    """

    source: Path
    target: Path
    recursive: bool


class Moved(NamedTuple):
    """What a copy moved."""

    files: int
    size_bytes: int


class Rsync:
    """A copy that can be ended from another thread.

    Args:
        sync_level: see :data:`_SYNC`.
        times: whether modification times are kept.
        delete: whether what the source does not have is deleted.
        limit_kib: KiB per second; 0 for as fast as it goes.
    """

    def __init__(self, sync_level: int | None, *, times: bool, delete: bool, limit_kib: int) -> None:
        # In place, as Globus Transfer writes: what is cut off has its own name, and is completed by the next try.
        self._options = ["--inplace", *_SYNC[sync_level]]
        self._options += ["--times"] if times else []
        self._options += ["--delete"] if delete else []
        self._limit = [f"--bwlimit={limit_kib}"] if limit_kib else []
        self._compares = sync_level in (None, 3)
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._ended = threading.Event()

    def copy(self, item: Item) -> Moved:
        """Copy an item, and compare checksums.

        Raises:
            CopyError: it failed, was ended, or source and target differ afterwards.
        """
        item.target.parent.mkdir(parents=True, exist_ok=True)
        changes = self._run([*self._options, *self._limit, "--out-format=%i %l"], item)
        sizes = [int(size) for change, _, size in (line.partition(" ") for line in changes) if change[:2] == ">f"]
        if self._compares:
            different = self._run(["--checksum", "--dry-run", "--out-format=%i"], item)
            if any(change[:2] == ">f" for change in different):
                raise CopyError("checksums differ: the source changed while it was copied")
        return Moved(len(sizes), sum(sizes))

    def end(self) -> None:
        """End the copy."""
        with self._lock:
            self._ended.set()
            if self._process is not None:
                self._process.kill()

    def rest(self, seconds: float) -> None:
        """Wait before the next try, or until the copy is ended."""
        self._ended.wait(seconds)

    def _run(self, options: Sequence[str], item: Item) -> list[str]:
        tail = "/" if item.recursive else ""
        command = ["rsync", *(["--recursive"] if item.recursive else []), *options]
        command += ["--", f"{item.source}{tail}", f"{item.target}{tail}"]
        with self._lock:
            if self._ended.is_set():
                raise CopyError("ended")
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={"LC_ALL": "C", "PATH": os.environ.get("PATH", os.defpath)},
            )
        output, errors = self._process.communicate()
        if self._process.returncode:
            text = errors.decode(errors="replace").strip().splitlines()
            reason = text[0] if text else f"exit status {self._process.returncode}"
            raise CopyError(reason[:_FAILURE_CHARACTERS])
        return output.decode(errors="replace").splitlines()


def need() -> None:
    """Refuse to begin without rsync.

    Raises:
        InputError: it is not there.
    """
    import shutil

    if shutil.which("rsync") is None:
        raise InputError("--collections: transfers need rsync, which is not installed here")
