"""Copies by rsync: a process per item, its progress in numbers, and a comparison of checksums afterwards."""

from __future__ import annotations

import os
import re
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

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
_OCTAL = re.compile(rb"\\#([0-7]{3})")


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
    """What a copy moved.

    Attributes:
        sent: path below the item and size of each file that was sent; the path of an item that is a file is empty.
        files: that the item has.
        directories: that the item has.
    """

    sent: list[tuple[str, int]]
    files: int
    directories: int


class Rsync:
    """A copy that can be ended from another thread.

    Args:
        sync_level: see :data:`_SYNC`.
        times: whether modification times are kept.
        delete: whether what the source does not have is deleted.
        limit_kib: KiB per second; 0 for as fast as it goes.
        verify: whether checksums are compared afterwards.
        links: whether links are kept, but for those that lead out; else they are left out.
        rules: that say what is left out, as :func:`filters` makes them.
    """

    def __init__(
        self,
        sync_level: int | None,
        *,
        times: bool = False,
        delete: bool = False,
        limit_kib: int = 0,
        verify: bool = True,
        links: bool = False,
        rules: Sequence[str] = (),
    ) -> None:
        # In place, as Globus Transfer writes: what is cut off has its own name, and is completed by the next try.
        self._options = ["--inplace", *_SYNC[sync_level]]
        self._options += ["--times"] if times else []
        self._options += ["--delete"] if delete else []
        self._shared = [*(["--links", "--safe-links"] if links else []), *rules]
        self._limit = [f"--bwlimit={limit_kib}"] if limit_kib else []
        # What is not sent because size or time are the same may differ: that was asked for.
        self._compares = verify and sync_level in (None, 3)
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._ended = threading.Event()

    def copy(self, item: Item) -> Moved:
        """Copy an item, and compare checksums.

        Raises:
            CopyError: it failed, was ended, or source and target differ afterwards.
        """
        item.target.parent.mkdir(parents=True, exist_ok=True)
        changes = self._run([*self._options, *self._limit, "-ii", "--out-format=%i %l %n"], item)
        sent: list[tuple[str, int]] = []
        kinds = {"f": 0, "d": 0}
        for change, size, name in (line.split(" ", 2) for line in changes if line.count(" ") > 1):
            if change[1:2] in kinds and change[:1] != "*":
                kinds[change[1]] += 1
            if change[:2] == ">f":
                sent.append((_name(name) if item.recursive else "", int(size)))
        if self._compares:
            different = self._run(["--checksum", "--dry-run", "--out-format=%i"], item)
            if any(change[:2] == ">f" for change in different):
                raise CopyError("checksums differ: the source changed while it was copied")
        return Moved(sent, kinds["f"], kinds["d"])

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
        command = ["rsync", *(["--recursive"] if item.recursive else []), *self._shared, *options]
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
        # Lines end with "\n" alone: a name may have other characters that part lines.
        return os.fsdecode(output).split("\n")


def filters(rules: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return options for filter rules of Transfer: of those that match an item, the first says whether it is taken.

    A rule of rsync holds for directories alone, or for both: those for directories come first, then all directories
    are let pass, and what follows is for files.

    Args:
        rules: with ``method``, ``name`` and, if it is for one of both, ``type``.
    """
    directories = [_rule(rule, "/") for rule in rules if rule.get("type") != "file"]
    others = [_rule(rule, "") for rule in rules if rule.get("type") != "dir"]
    return [*directories, "--filter=+ */", *others] if rules else []


def _rule(rule: Mapping[str, Any], tail: str) -> str:
    return f"--filter={'-' if rule.get('method') == 'exclude' else '+'} {rule['name']}{tail}"


def _name(text: str) -> str:
    r"""Return a name of rsync's output, in which bytes that cannot be printed are octal: ``\#012``."""
    return os.fsdecode(_OCTAL.sub(lambda match: bytes([int(match[1], 8) & 255]), os.fsencode(text)))


def need() -> None:
    """Refuse to begin without rsync.

    Raises:
        InputError: it is not there.
    """
    import shutil

    if shutil.which("rsync") is None:
        raise InputError("--collections: transfers need rsync, which is not installed here")
