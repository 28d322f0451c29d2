"""``prov-worker recover``: finish, here and now, whatever any crash left in a spool."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from prov_worker.agent.finaliser import Finaliser
from prov_worker.agent.orphaned_journals import UNKNOWN, journals, slots_of
from prov_worker.agent.publisher import Publisher
from prov_worker.crate.packs import recovery
from prov_worker.crate.packs.format import PART, is_pack
from prov_worker.crate.sources.packs import PackFile
from prov_worker.crate.staging import remove_leftovers
from prov_worker.errors import CrateError, InputError
from prov_worker.spool.agent_about import finaliser_lives
from prov_worker.spool.launch import agent_lives
from prov_worker.spool.paths import JournalName, other_spools, own_spools, place_of, places_here, runtime_dirs_of
from prov_worker.spool.places import why_busy
from prov_worker.spool.ring_reader import rings_of

_PATIENCE_S = 20.0


@dataclass(slots=True)
class RecoverReport:
    """What was done.

    Attributes:
        finished: crates written.
        skipped: journals that were left alone, each with the reason.
        problems: what could not be done; records named here are kept.
        removed: directories of crates that killed writers had not finished.
        packs: packs that killed writers left open, or that were cut, and that are whole now.
        packed_crates: how many crates are in these.
    """

    finished: int = 0
    skipped: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    packs: list[str] = field(default_factory=list)
    packed_crates: int = 0


def recover(
    crate_dir: Path, *, take_over: bool = False, progress: Callable[[int, int], None] | None = None
) -> RecoverReport:
    """Write the crates of all records whose writer is gone.

    Args:
        crate_dir: directory of the crates.
        take_over: also take journals of other places that were written to in the last five minutes or are held.
        progress: called with (crates written, crates known of).

    Returns:
        What was done. Running it twice does no harm: what has a crate is left alone.

    Raises:
        InputError: there is no such directory.
    """
    path = os.path.abspath(crate_dir)
    if not os.path.isdir(path):
        if not any(map(rings_of, runtime_dirs_of(path))):
            raise InputError(f"{crate_dir}: no such directory")
        os.makedirs(path, 0o700)  # its workers were killed before anything was written
    report = RecoverReport()
    try:
        report.removed = [str(leftover) for leftover in remove_leftovers(Path(path))]
        _make_packs_whole(Path(path), report)
    except OSError as error:
        report.problems.append(f"{path}: cannot be listed: {error.strerror}")
    _name_other_spools(path, report)
    runtimes = runtime_dirs_of(path)
    try:
        left = journals(path, runtimes)
    except OSError as error:
        report.problems.append(f"{error.filename}: cannot be listed: {error.strerror}")
        return report
    if not left:
        return report
    runtime = runtimes[0] if runtimes else None
    finaliser = Finaliser(
        runtime or path,
        Publisher(path),
        finaliser=f"{place_of(runtime)}-recover-{os.getpid()}",
        runtimes=runtimes,
        last=True,
    )
    here = places_here()
    served = any(agent_lives(each) or finaliser_lives(each) for each in runtimes)
    slots = {} if served else {journal: slot for each in runtimes for journal, slot in slots_of(each).items()}
    for journal, name in left:
        lives = name.lives(here)
        if lives is None:
            reason = None if take_over else _why_busy(journal, name, report)
        elif lives:
            reason = f"process {name.pid} is running"
        else:
            reason = "this node's agent is running and finishes it" if served else None
        if reason is not None:
            report.skipped.append(f"{journal}: {reason}")
            continue
        fallbacks = (os.path.join(directory, "spool", str(name)) for directory in runtimes)
        fallback = next((path for path in fallbacks if path != journal and os.path.exists(path)), None)
        finaliser.adopt(journal, UNKNOWN, fallback, slots.get(journal) if lives is False else None)
    finaliser.finish()
    until = time.monotonic() + _PATIENCE_S
    while finaliser.outstanding and (finaliser.outstanding > finaliser.stuck or time.monotonic() < until):
        before = finaliser.published
        if not finaliser.work(time.monotonic() + 0.2):
            time.sleep(0.05)
        if finaliser.published > before:
            until = time.monotonic() + _PATIENCE_S
        if progress is not None:
            progress(finaliser.published, finaliser.published + finaliser.outstanding)
    finaliser.work(time.monotonic())
    finaliser.close()
    report.finished = finaliser.published
    report.problems += finaliser.problems
    return report


def _make_packs_whole(crate_dir: Path, report: RecoverReport) -> None:
    """Repair packs, and name those that no reader can take, which stay as they are."""
    named = set()
    for pack in recovery.left_open(crate_dir):
        try:
            whole = recovery.make_whole(pack)
        except OSError as error:
            named.add(pack)
            report.problems.append(f"{pack}: cannot be made whole: {error.strerror or error}")
            continue
        if whole.crates:
            report.packs.append(str(whole))
            report.packed_crates += whole.crates
        elif whole.path is not None:
            named.add(pack)
            report.problems.append(f"{pack}: no crate in it is complete; left as it is")
    for name in sorted(os.listdir(crate_dir)):
        path = crate_dir / name
        if not is_pack(name) or path in named or path.is_symlink() or not path.is_file():
            continue
        if name.endswith(PART) and recovery.is_written(path):
            continue
        try:
            PackFile(path)
        except CrateError as error:
            report.problems.append(f"{error}; left as it is")


def _why_busy(journal: str, name: JournalName, report: RecoverReport) -> str | None:
    """Return why a journal of another place is left alone; None if not, or if it cannot be read, which is named."""
    try:
        reason = why_busy(journal)
    except OSError as error:
        report.problems.append(f"{journal}: cannot be read: {error}")
        return f"cannot be read: {error.strerror}"
    return reason and f"{reason} on {name.host}, or a container of it; --take-over reads it all the same"


def _name_other_spools(crate_dir: str, report: RecoverReport) -> None:
    """Name the spools that are left alone.

    Raises:
        InputError: root is asked to finish what is another user's alone, whose tasks could name any file to hash.
    """
    me = os.geteuid()
    others = set()
    for spool in other_spools(crate_dir):
        try:
            owner = os.lstat(spool).st_uid
        except OSError:
            continue  # its user has just removed it
        if owner == me:
            report.problems.append(f"{spool}: is open to others or no directory, and not used; see to what is in it")
        else:
            others.add(owner)
            report.skipped.append(f"{spool}: the spool of user {owner}, for that user to recover")
    if me == 0 and others and not own_spools(crate_dir):
        users = ", ".join(map(str, sorted(others)))
        raise InputError(
            f"{crate_dir}: has records of user {users}; run `prov-worker recover` as that user, not as root"
        )
