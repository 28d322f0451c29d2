"""Collect crates from where endpoints leave them, each whole and compared, or not at all.

A crate travels into ``DEST/.collect``, is compared there – its metadata with those at the source, its files with the
hashes in its metadata – and appears in ``DEST`` by a rename. So whatever interrupts a collection, there is no half
crate in ``DEST``, and the next one goes on where this one was. Hashes are taken from the metadata instead of a second
reading at the source: a file that was damaged there, before or on its way, differs from them too.

The other machine need not be an honest one: names are refused that were not asked for, and before each use a path is
resolved and compared with ``DEST``, so that nothing outside of it is looked at or changed.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import shutil
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from prov_worker.crate import vocabulary as v
from prov_worker.crate.bounds import MAX_BILL_BYTES, MAX_METADATA_BYTES
from prov_worker.crate.check import check_files
from prov_worker.crate.packs.format import PART
from prov_worker.crate.publish import read_attempt
from prov_worker.crate.sources import DirectorySource, digest
from prov_worker.crate.sources.bills import is_bill
from prov_worker.errors import CrateError, InputError
from prov_worker.files import read_regular, stays_in
from prov_worker.locks import FORK_WAIT_S, lock, open_lock
from prov_worker.run.collect.packs import PackCollection, PackProblem
from prov_worker.run.collect.remote import CollectError, Place, private_directory
from prov_worker.run.model import Problem

STAGING = ".collect"
#: Crates that were replaced at their source after they had come.
REPLACED = ".replaced"
_BATCH = 500


@dataclass(slots=True)
class Collected:
    """What a collection did.

    Attributes:
        new: crates that were collected now, or would with ``dry_run``.
        known: those that were there already.
        moved: those that were removed at their source.
        software: bills of materials of the crates' environments that were collected now.
        problems: what could not be collected, and why.
    """

    new: list[str] = field(default_factory=list)
    known: int = 0
    moved: int = 0
    software: int = 0
    problems: list[Problem] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Options:
    """How to collect.

    Attributes:
        ssh: command for sources on other machines, as rsync's ``-e`` takes it.
        remote_rsync: path of rsync there.
        bandwidth: limit as rsync's ``--bwlimit`` takes it; None for none.
        move: remove crates at their source once they are collected.
        dry_run: look, and change nothing.
    """

    ssh: str = "ssh"
    remote_rsync: str = "rsync"
    bandwidth: str | None = None
    move: bool = False
    dry_run: bool = False


def collect(
    sources: Sequence[str],
    target: Path,
    options: Options | None = None,
    advance: Callable[[int, int], None] | None = None,
) -> Collected:
    """Bring the crates of all sources into one directory.

    Args:
        sources: ``DIR`` or ``[USER@]HOST:DIR``: directories of crates, or of such directories, one for each endpoint.
        target: made if missing.
        options: None takes the defaults.
        advance: called with the numbers of crates that are done, and of all.

    Returns:
        What was done. A source that fails is a problem, and the others are collected all the same.

    Raises:
        InputError: a source is none, the target cannot be written, or another collection writes into it.
    """
    options = options or Options()
    places = [Place.parse(source, options.ssh) for source in sources]
    _keep_apart([place for place in places if place.host is None], target)
    done = Collected()
    with contextlib.ExitStack() as stack:
        if not options.dry_run:
            stack.enter_context(_locked(target))
        sockets = Path(stack.enter_context(private_directory()))
        for place in places:
            try:
                place.share_connection(sockets)
                _Collection(place, target, options, done, advance).run()
            except CollectError as error:
                done.problems.append(Problem(place.text, error.problem))
            finally:
                place.close()
    return done


def _keep_apart(places: Sequence[Place], target: Path) -> None:
    """Refuse directories of which one holds the other: crates of the inner one would be there twice."""
    home = target.resolve()
    resolved = [(place, Path(place.path).resolve()) for place in places]
    for place, path in resolved:
        if path == home:
            raise InputError(f"{place.text}: is the destination itself")
        if home.is_relative_to(path):
            raise InputError(f"{place.text}: holds the destination {target}; its crates would be there twice")
        if path.is_relative_to(home):
            raise InputError(f"{place.text}: lies in the destination {target}; its crates would be there twice")
        for other, outer in resolved:
            if path != outer and path.is_relative_to(outer):
                raise InputError(f"{place.text}: lies in {other.text}; its crates would come twice")


@contextlib.contextmanager
def _locked(target: Path) -> Iterator[None]:
    """Lock the staging directory, for one collection at a time; gone afterwards if nothing is left in it."""
    staging = target / STAGING
    try:
        target.mkdir(parents=True, exist_ok=True)
        staging.mkdir(mode=0o700, exist_ok=True)
        status = staging.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
            raise InputError(f"{staging}: not a directory of yours; remove it, or choose another destination")
        descriptor = open_lock(staging / "lock")
    except OSError as error:
        raise InputError(f"{target}: cannot be written: {error.strerror}") from None
    try:
        # On a file system without locks renames keep it whole all the same.
        with contextlib.suppress(OSError):
            if not lock(descriptor, FORK_WAIT_S):
                raise InputError(f"{target}: another collection is writing into it")
        yield
        with contextlib.suppress(OSError):
            (staging / "tmp").rmdir()
        if {entry.name for entry in staging.iterdir()} <= {"lock"}:
            shutil.rmtree(staging, ignore_errors=True)
    finally:
        os.close(descriptor)


class _Collection:
    """The crates of one source on their way."""

    def __init__(
        self,
        place: Place,
        target: Path,
        options: Options,
        done: Collected,
        advance: Callable[[int, int], None] | None,
    ) -> None:
        self._place = place
        self._target = target
        self._options = options
        self._done = done
        self._advance = advance or (lambda finished, total: None)
        key = hashlib.sha256(f"{place.host}:{place.path}".encode()).hexdigest()[:12]
        self._staging = target / STAGING / key
        self._temporary = target / STAGING / "tmp"

    def run(self) -> None:
        """Collect what is not home yet."""
        listing = self._place.crates()
        for name in listing.refused:
            self._problem(name, "leads out of the directory; refused")
        for name in listing.unnamed:
            self._problem(name, f"a crate whose name does not end in {v.CRATE_SUFFIX}; not collected: rename it")
        for name in listing.bare:
            self._problem(name, f"not a crate: no {v.METADATA_FILE}, or one of over {MAX_METADATA_BYTES:,} bytes")
        there = {}
        for name, sha in listing.crates.items():
            if stays_in(self._target, name):
                there[name] = sha
            else:
                self._problem(name, f"{self._target / name} leads elsewhere by a link, and is left alone")
        here = {name: _metadata_sha256(self._target / name) for name in there}
        home = [name for name, sha in there.items() if here[name] == sha]
        new = [name for name in there if here[name] is None]
        for name in there:
            if here[name] not in (None, there[name]):
                moved = self._later_attempt(name, there, str(here[name]))
                if moved is None and _is_verdict(self._target / name):
                    new.append(name)  # it may have been replaced there by the end of its task
                elif moved is None:
                    self._problem(name, f"differs from {self._target / name}, which is kept")
                elif moved == "":
                    home.append(name)  # the attempt before was collected under both names
                else:
                    new.append(name)
                    new = [name for name in new if name != moved]
                    home.append(moved)
        self._done.known += len(home)
        self._advance(len(home), len(there))
        if self._options.dry_run:
            self._done.new += new
            self._collect_packs()
            return
        for start in range(0, len(new), _BATCH):
            batch = new[start : start + _BATCH]
            self._fetch(batch, there)
            self._advance(len(batch), len(there))
        arrived = [name for name in there if _metadata_sha256(self._target / name) == there[name]]
        if self._options.move and arrived:
            self._place.remove({name: there[name] for name in arrived})
            self._done.moved += len(arrived)
        self._collect_packs()
        self._collect_bills()
        shutil.rmtree(self._staging, ignore_errors=True)

    def _collect_packs(self) -> None:
        """Bring packs; one that was closed at the source takes the place of what had come of it while it grew."""
        options = self._options
        ways = (self._place, self._target, self._staging, self._temporary)
        packs = PackCollection(*ways, options.bandwidth, options.remote_rsync)
        for name, size in self._place.packs().items():
            home = packs.is_home(name, size)
            if options.dry_run:
                self._done.known += home
                self._done.new += [] if home else [name]
                continue
            try:
                new = [] if home else packs.fetch(name)
                self._done.new += [f"{name.removesuffix(PART)}!{crate}" for crate in new]
                self._done.known += packs.count(name) - len(new)
                if options.move and not name.endswith(PART) and packs.remove(name):
                    self._done.moved += packs.count(name)
            except PackProblem as error:
                self._problem(name, str(error))

    def _collect_bills(self) -> None:
        """Bring the bills of materials that are beside the crates, each by its digest; at the source they stay."""
        new = []
        for name in self._place.bills():
            beside = self._target / name
            if not stays_in(self._target, name):
                self._problem(name, f"{beside} leads elsewhere by a link, and is left alone")
            elif beside.parent.parent.is_dir() and not beside.exists():
                new.append(name)
        if not new:
            return
        self._stage(new)
        for name in new:
            try:
                data = read_regular(self._staging / name, MAX_BILL_BYTES) if stays_in(self._staging, name) else b""
            except OSError:
                data = b""
            if not is_bill(Path(name).name, data):
                self._problem(name, "did not come, or is not what its name says; nothing of it was kept")
                continue
            try:
                (self._target / name).parent.mkdir(exist_ok=True)
                os.rename(self._staging / name, self._target / name)
            except OSError as error:
                self._problem(name, f"cannot be put into {self._target}: {error.strerror}")
            else:
                self._done.software += 1

    def _later_attempt(self, name: str, there: dict[str, str], sha: str) -> str | None:
        """Make space for a later attempt at a task whose earlier one was collected by the task's name.

        Returns:
            The name that the earlier one has now, as at the source; None if it is something else that differs.
        """
        for other, other_sha in there.items():
            task, attempt = v.split_key(v.key_of(other))
            if task == v.key_of(name) and attempt is not None and other_sha == sha:
                inside = stays_in(self._target, name) and stays_in(self._target, other)
                if inside and not self._options.dry_run and not os.path.lexists(self._target / other):
                    os.rename(self._target / name, self._target / other)
                return other
        return None

    def _stage(self, names: list[str]) -> None:
        """Copy crates or files into the staging directory."""
        for directory in (self._staging, self._temporary):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        # rsync looks for a relative temporary directory in the destination.
        temporary = self._temporary.absolute()
        self._place.fetch(names, self._staging, temporary, self._options.bandwidth, self._options.remote_rsync)

    def _fetch(self, batch: list[str], there: dict[str, str]) -> None:
        self._stage(batch)
        for name in batch:
            staged = self._staging / name
            if not (stays_in(self._staging, name) and stays_in(self._target, name)):
                self._problem(name, "leads elsewhere by a link; nothing of it was kept")
                continue
            sha = _metadata_sha256(staged)
            if sha is None:
                self._problem(name, "did not come: it is gone at the source, or cannot be read there")
            elif sha != there[name]:
                # replaced in the meantime by a later attempt: the next collection sees both
                shutil.rmtree(staged, ignore_errors=True)
                self._problem(name, "changed while it was collected; collect again")
            elif wrong := check_files(DirectorySource(staged)):
                self._problem(name, f"{wrong[0].where}: {wrong[0].message}; nothing of it was kept")
                shutil.rmtree(staged, ignore_errors=True)
            elif os.path.lexists(self._target / name) and not _gives_way(self._target / name, staged):
                self._problem(name, f"differs from {self._target / name}, which is kept")
                shutil.rmtree(staged, ignore_errors=True)
            else:
                try:
                    (self._target / name).parent.mkdir(exist_ok=True)
                    if os.path.lexists(self._target / name):
                        _keep_replaced(self._target / name)
                    os.rename(staged, self._target / name)
                except OSError as error:
                    self._problem(name, f"cannot be put into {self._target}: {error.strerror}")
                else:
                    self._done.new.append(name)

    def _problem(self, name: str, message: str) -> None:
        self._done.problems.append(Problem(f"{self._place.text.rstrip('/')}/{name}", message))


def _is_verdict(crate: Path) -> bool:
    attempt = read_attempt(crate)
    return attempt is not None and bool(attempt.verdict)


def _gives_way(crate: Path, other: Path) -> bool:
    """Return whether a crate is a verdict, and the other has the end of the same attempt."""
    verdict, end = read_attempt(crate), read_attempt(other)
    return verdict is not None and end is not None and verdict.gives_way_to(end)


def _keep_replaced(crate: Path) -> None:
    """Move a crate that was replaced at its source out of the way, into a directory that no reader looks into.

    Raises:
        OSError: that cannot be done.
    """
    directory = crate.parent / REPLACED
    directory.mkdir(exist_ok=True)
    numbered = (directory / (crate.name if number == 1 else f"{crate.name}-{number}") for number in itertools.count(1))
    os.rename(crate, next(path for path in numbered if not os.path.lexists(path)))


def _metadata_sha256(crate: Path) -> str | None:
    """Return None without a crate, empty for what is none; links are not followed, no pipe is waited for."""
    if not os.path.lexists(crate / v.METADATA_FILE):
        return None
    source = DirectorySource(crate)
    try:
        return digest(source, v.METADATA_FILE)[0] if source.size(v.METADATA_FILE) <= MAX_METADATA_BYTES else ""
    except CrateError:
        return ""
