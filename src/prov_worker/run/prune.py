"""Crates that are no longer needed: which ones, how much space they hold, and away with them.

A crate of a directory is hidden by a rename before it is removed, and a pack is written anew beside itself without the
crates that go: whatever interrupts it, each crate is there whole or not at all. What is being written is left alone.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from prov_worker.crate import vocabulary as v
from prov_worker.crate.packs import format as form
from prov_worker.crate.packs.archive import PackCopy
from prov_worker.crate.sources import DirectorySource, PackSource, Source, candidates, each_source, is_run
from prov_worker.crate.sources.packs import PackFile, present, signature_of
from prov_worker.crate.staging import remove_leftovers, staging_name
from prov_worker.crate.summary import RunStep, open_step
from prov_worker.errors import CrateError, InputError, blaming
from prov_worker.files import refuse_overwrite
from prov_worker.run.api import open_run
from prov_worker.run.assembly.verify import verify
from prov_worker.run.model import Problem
from prov_worker.spool.paths import CLOSED, own_spools

_SECONDS = {"h": 3600, "d": 86_400, "w": 604_800}
_AGE = re.compile(r"(\d{1,6})([hdw])")
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Options:
    """Which crates go.

    Attributes:
        older_than_s: tasks that ended more seconds ago.
        accepts: of these, those that it takes.
        sealed_in: run crates; what is sealed in one of them may go.
        unsealed: what is sealed nowhere may go too.
        archive: a pack to which crates are copied before they go; then they need not be sealed.
    """

    older_than_s: float
    accepts: Callable[[RunStep], bool] = lambda step: True
    sealed_in: Sequence[Path] = ()
    unsealed: bool = False
    archive: Path | None = None


@dataclass(slots=True)
class Plan:
    """What would go.

    Attributes:
        crates: sources of crates that go.
        kept_unsealed: crates that would go if they were sealed, or ``unsealed`` given.
        growing: packs that are being written, of which nothing goes.
        journals: finished journals in ``.spool/closed`` that are as old.
        free_bytes: space that comes free: blocks of files whose last name goes, and what packs get shorter.
        free_inodes: files and directories that go.
        problems: what cannot be read, and stays.
    """

    crates: list[Source] = field(default_factory=list)
    kept_unsealed: int = 0
    growing: list[Path] = field(default_factory=list)
    journals: list[Path] = field(default_factory=list)
    free_bytes: int = 0
    free_inodes: int = 0
    problems: list[Problem] = field(default_factory=list)
    signatures: dict[Path, tuple[int, int]] = field(default_factory=dict)


def parse_age(text: str) -> float:
    """Return the seconds of an age such as ``30d``, ``12h`` or ``2w``.

    Raises:
        InputError: it is none.
    """
    match = _AGE.fullmatch(text)
    if match is None:
        raise InputError(f"--older-than: expected hours, days or weeks, such as 12h, 30d or 2w; got {text!r}")
    return float(int(match[1]) * _SECONDS[match[2]])


def plan(directory: Path, options: Options, progress: Progress) -> Plan:
    """Find out what would go, and change nothing.

    Args:
        directory: of crates and packs.
        options: which go.
        progress: called with the number of candidates done and their total.

    Raises:
        InputError: no directory, a run crate, which is sealed, or one in ``sealed_in`` that is not as it was sealed.
    """
    path = directory.resolve()
    if not directory.is_dir():
        raise InputError(f"{directory}: no such directory")
    if is_run(path) or (path.name == v.STEPS_DIR and is_run(path.parent)) or (path / v.METADATA_FILE).exists():
        raise InputError(f"{directory}: a crate, and no directory of crates; a run crate is sealed: nothing of it goes")
    if options.archive is not None:
        refuse_overwrite(options.archive, overwrite=False)
    sealed = _sealed(options.sealed_in)
    result = Plan()
    before_ns = time.time_ns() - int(options.older_than_s * 1e9)
    paths = list(candidates(directory))
    for number, candidate in enumerate(paths):
        progress(number, len(paths))
        if form.is_pack(candidate.name):
            if present(candidate) != candidate:
                result.growing.append(candidate)
                continue
            result.signatures[candidate] = signature_of(candidate)
        elif not candidate.is_dir() or candidate.is_symlink():
            continue  # a zip that somebody made

        def refuse(where: str, error: CrateError) -> None:
            result.problems.append(Problem.of(where, error))

        for source in each_source(candidate, refuse):
            if isinstance(source, (DirectorySource, PackSource)):
                _judge(source, options, before_ns, sealed, result)
    progress(len(paths), len(paths))
    for spool in own_spools(str(directory)):
        closed = Path(spool, CLOSED)
        if closed.is_dir():
            result.journals += [file for file in sorted(closed.iterdir()) if file.lstat().st_mtime_ns < before_ns]
    _measure(result)
    return result


def _sealed(runs: Sequence[Path]) -> set[str]:
    """Return the sha256 of the metadata of all steps of run crates that are as they were sealed."""
    digests: set[str] = set()
    for run in runs:
        verdict = verify(run)
        if verdict.changes:
            first = verdict.changes[0]
            raise InputError(f"{run}: is not as it was sealed: {first.path}: {first.message}")
        digests.update(step.metadata_sha256 or "" for step in open_run(run).steps())
    return digests


def _judge(source: Source, options: Options, before_ns: int, sealed: set[str], result: Plan) -> None:
    if isinstance(source, PackSource) and (source.ended_ns or 0) >= before_ns:
        return  # without a look at its metadata
    try:
        with blaming(source.where):
            step, _ = open_step(source)
            if step.end_ns >= before_ns or not options.accepts(step):
                return
    except CrateError as error:
        result.problems.append(Problem.of(source.where, error))
        return
    if options.unsealed or options.archive is not None or step.metadata_sha256 in sealed:
        result.crates.append(source)
    else:
        result.kept_unsealed += 1


def _measure(result: Plan) -> None:
    """Add up what comes free: a file with several names when the last of them goes."""
    names: dict[tuple[int, int], int] = {}
    going: dict[Path, int] = {}
    paths = [*result.journals]
    for source in result.crates:
        if isinstance(source, PackSource):
            going[source.path] = going.get(source.path, 0) + 1
            result.free_bytes += source.stored_bytes
        else:
            paths += [source.path, *source.path.rglob("*")]
    for path in paths:
        status = path.lstat()
        key = status.st_dev, status.st_ino
        names[key] = names.get(key, 0) + 1
        if path.is_dir() or names[key] == status.st_nlink:
            result.free_bytes += status.st_blocks * 512
            result.free_inodes += 1
    for path, count in going.items():
        result.free_inodes += count == len(PackFile(path).crates)


def prune(directory: Path, chosen: Plan, options: Options, progress: Progress) -> list[Problem]:
    """Do what was planned.

    Args:
        directory: as of :func:`plan`.
        chosen: what goes.
        options: as of :func:`plan`.
        progress: called with the number of crates that are gone and their total.

    Returns:
        What stays, and why.

    Raises:
        OSError: the archive or a pack cannot be written. What is not gone yet is as it was.
    """
    problems: list[Problem] = []
    if options.archive is not None:
        _archive(chosen.crates, options.archive)
    remove_leftovers(directory)
    by_pack: dict[Path, set[str]] = {}
    done = 0
    for source in chosen.crates:
        if isinstance(source, PackSource):
            by_pack.setdefault(source.path, set()).add(source.prefix.rstrip("/"))
            continue
        hidden = source.path.with_name(staging_name(f"pruned-{source.path.name}"))
        try:
            os.rename(source.path, hidden)
        except OSError as error:
            problems.append(Problem(str(source.path), f"cannot be removed: {error.strerror or error}"))
            continue
        shutil.rmtree(hidden, ignore_errors=True)
        done += 1
        progress(done, len(chosen.crates))
    for pack, crates in by_pack.items():
        if signature_of(pack) != chosen.signatures[pack]:
            problems.append(Problem(str(pack), "has changed meanwhile; nothing of it went"))
            continue
        _rewrite(pack, crates)
        done += len(crates)
        progress(done, len(chosen.crates))
    for journal in chosen.journals:
        journal.unlink(missing_ok=True)
    return problems


def _archive(crates: Sequence[Source], target: Path) -> None:
    copy = PackCopy(target)
    try:
        for source in crates:
            copy.add(source)
    except BaseException:
        copy.discard()
        raise
    copy.close()


def _rewrite(pack: Path, without: set[str]) -> None:
    """Replace a pack by one without some of its crates; without all of them, remove it."""
    kept = [source for source in PackFile(pack).sources() if source.prefix.rstrip("/") not in without]
    if kept:
        _archive(kept, pack)
    else:
        pack.unlink()
