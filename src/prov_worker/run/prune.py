"""Crates that are no longer needed: which ones, how much space they hold, and away with them.

A crate of a directory is hidden by a rename before it is removed, and a pack is rewritten beside itself without the
crates that go: whatever interrupts it, each crate is there whole or not at all. What is being written is left alone.
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from io import TextIOWrapper
from pathlib import Path

from prov_worker.crate import vocabulary as v
from prov_worker.crate.packs import format as form
from prov_worker.crate.packs.archive import PackCopy
from prov_worker.crate.sources import (
    DirectorySource,
    PackSource,
    Source,
    candidates,
    each_source,
    need_directory,
    run_sources,
)
from prov_worker.crate.sources.comparison import change, difference
from prov_worker.crate.sources.packs import PackFile, present, signature_of
from prov_worker.crate.staging import remove_leftovers, staging_name
from prov_worker.crate.summary import RunStep
from prov_worker.crate.summary_reader import open_step
from prov_worker.errors import CrateError, InputError, blaming
from prov_worker.files import need_new
from prov_worker.run.assembly.seal import parse_manifest
from prov_worker.run.assembly.verify import verify
from prov_worker.run.model import Problem
from prov_worker.spool.paths import CLOSED, own_spools

_SECONDS = {"h": 3600, "d": 86_400, "w": 604_800}
_AGE = re.compile(r"(\d{1,6})([hdw])")
#: Path of a file of a step, in a run.
_STEP_FILE = re.compile(rf"{v.STEPS_DIR}/[^/]+/.")
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Options:
    """Which crates go.

    Attributes:
        older_than_s: tasks that ended more seconds ago.
        accepts: of these, those that it takes; None takes all.
        sealed_in: run crates; what is sealed in one of them may go.
        unsealed: what is sealed nowhere may go too.
        archive: a pack to which crates are copied before they go; then they need not be sealed.
    """

    older_than_s: float
    accepts: Callable[[RunStep], bool] | None = None
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
        InputError: no directory, a crate, a run crate in ``sealed_in`` that is not as it was sealed, or an archive that
            is there.
    """
    need_directory(directory)
    if options.archive is not None:
        need_new(options.archive)
    sealed = _sealed(options.sealed_in)
    result = Plan()
    before_ns = time.time_ns() - int(options.older_than_s * 1e9)
    paths = list(candidates(directory))
    for number, candidate in enumerate(paths):
        progress(number, len(paths))
        if candidate.is_symlink():
            continue
        if form.is_pack(candidate.name):
            if present(candidate) != candidate:
                result.growing.append(candidate)
                continue
            result.signatures[candidate] = signature_of(candidate)
        elif not candidate.is_dir():
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


#: By the sha256 of a step's metadata, what is sealed of each step that has these: sha256 by relative path.
_Sealed = dict[str, list[dict[str, bytes]]]


def _sealed(runs: Sequence[Path]) -> _Sealed:
    """Return all steps of run crates that are as they were sealed."""
    result: _Sealed = {}
    for run in runs:
        verdict = verify(run)
        if verdict.changes:
            first = verdict.changes[0]
            raise InputError(f"{run}: is not as it was sealed: {first.path}: {first.message}")
        for source in run_sources(run):
            with TextIOWrapper(source.open(v.MANIFEST_FILE), encoding="utf-8", newline="\n") as lines:
                _add_steps(parse_manifest(lines), result)
    return result


def _add_steps(manifest: Iterable[tuple[str, str]], result: _Sealed) -> None:
    """Add the steps of a manifest, which is sorted by path."""
    inside = (line for line in manifest if _STEP_FILE.match(line[0]))
    for _, lines in itertools.groupby(inside, lambda line: line[0].split("/", 2)[1]):
        digests = {sys.intern(path.split("/", 2)[2]): bytes.fromhex(sha256) for path, sha256 in lines}
        if v.METADATA_FILE in digests:
            result.setdefault(digests[v.METADATA_FILE].hex(), []).append(digests)


def _judge(source: Source, options: Options, before_ns: int, sealed: _Sealed, result: Plan) -> None:
    if options.accepts is None and isinstance(source, PackSource) and (source.ended_ns or 0) >= before_ns:
        return  # without a look at its metadata
    try:
        with blaming(source.where):
            step, _ = open_step(source)
            accepted = options.accepts is None or options.accepts(step)  # of new ones too: an id may fit two tasks
            if step.end_ns >= before_ns or not accepted:
                return
            if options.unsealed or options.archive is not None:
                result.crates.append(source)
                return
            steps = sealed.get(step.metadata_sha256 or "", [])
            changes = [change(source, step) for step in steps]
    except CrateError as error:
        result.problems.append(Problem.of(source.where, error))
        return
    if not changes:
        result.kept_unsealed += 1
    elif None in changes:
        result.crates.append(source)
    else:
        result.problems.append(Problem(source.where, f"{changes[0]}: is not as it was sealed; the crate is kept"))


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
    going = chosen.crates
    if options.archive is not None and going:
        need_new(options.archive)
        remove_leftovers(options.archive.parent, plain=True)
        going = _archive(going, options.archive, problems)
    remove_leftovers(directory)
    by_pack: dict[Path, set[str]] = {}
    done = 0
    for source in going:
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


def _archive(crates: Sequence[Source], target: Path, problems: list[Problem]) -> list[Source]:
    """Copy crates into a new pack; return those that are in it byte for byte."""
    copy = PackCopy(target, new=True)
    names: list[str] = []
    try:
        for source in crates:
            names.append(copy.add(source))
        copy.close()
    except BaseException:
        copy.discard()
        raise
    archive = PackFile(target)
    archived = []
    for source, name in zip(crates, names, strict=True):
        try:
            packed = archive.source(name)
            differing = v.METADATA_FILE if packed is None else difference(source, packed)
        except CrateError as error:
            problems.append(Problem.of(source.where, error))
            continue
        if differing is None:
            archived.append(source)
        else:
            problems.append(Problem(source.where, f"{differing}: differs from that in {target}; the crate is kept"))
    return archived


def _rewrite(pack: Path, without: set[str]) -> None:
    """Replace a pack by one without some of its crates; without all of them, remove it."""
    kept = [source for source in PackFile(pack).sources() if source.prefix.rstrip("/") not in without]
    if not kept:
        pack.unlink()
        return
    copy = PackCopy(pack)
    try:
        for source in kept:
            copy.add(source)
        copy.close()
    except BaseException:
        copy.discard()
        raise
