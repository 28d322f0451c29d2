"""Takes the directories of endpoints away that the fleet made; crates stay."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Sequence
from pathlib import Path

from prov_worker.fleet.endpoint import ManagedEndpoint
from prov_worker.fleet.fleetfile import Fleet
from prov_worker.fleet.result import Outcome, ordered, pick
from prov_worker.fleet.state import EndpointRecord, State
from prov_worker.humanize import plural
from prov_worker.sites.install import DamagedError


def would_stop(fleet: Fleet, state: State, names: Sequence[str] = ()) -> list[Outcome]:
    """Return what :func:`prov_worker.fleet.commands.stop` would do.

    Raises:
        InputError: an endpoint was asked for by its name and belongs to another host.
    """
    here, outcomes = pick(fleet, names)
    records = state.load()
    for spec in here:
        core = ManagedEndpoint(spec).core(records.get(spec.name, EndpointRecord()).seen)
        detail = f"would stop process {core.process.pid}" if core.process else "does not run"
        outcomes.append(Outcome(spec.name, "dry run", detail))
    return ordered(fleet, outcomes)


def delete(
    fleet: Fleet,
    state: State,
    names: Sequence[str] = (),
    *,
    skip: Collection[str] = (),
    force: bool = False,
    dry_run: bool = False,
) -> list[Outcome]:
    """Remove the local directories of stopped endpoints that the fleet made; crates stay.

    Args:
        fleet: the file.
        state: its state.
        names: of endpoints; none means all.
        skip: endpoints that are left as they are.
        force: also if results lie there that could not be sent, or the marker is damaged.
        dry_run: change nothing.

    Raises:
        InputError: an endpoint was asked for by its name and belongs to another host.
        BusyError: another command is at work.
    """
    here, outcomes = pick(fleet, names, damaged=force)
    with state.records() as records:
        for spec in here:
            folder = ManagedEndpoint(spec)
            record = records.get(spec.name, EndpointRecord())
            if spec.name in skip:
                continue
            if not folder.directory.exists():
                outcomes.append(Outcome(spec.name, "nothing to delete"))
            elif not any(folder.directory.iterdir()):
                # What a full disk leaves of a directory that could not be filled.
                outcomes.append(_delete(folder, records, force=force, dry_run=dry_run))
            elif not _made(folder, record):
                detail = f"{folder.directory} was not created by the fleet: rm -r removes it"
                outcomes.append(Outcome(spec.name, "kept", detail, good=False))
            elif folder.core(record.seen).state in ("running", "elsewhere") or folder.cores():
                outcomes.append(Outcome(spec.name, "kept", "it runs", good=dry_run))
            else:
                outcomes.append(_delete(folder, records, force=force, dry_run=dry_run))
    return ordered(fleet, outcomes)


def _made(folder: ManagedEndpoint, record: EndpointRecord) -> bool:
    """Return whether the fleet made the directory: its marker says so, whatever has become of the state."""
    try:
        made = folder.owner().get("made")
    except DamagedError:
        made = None
    return record.made if made is None else bool(made)


def _delete(folder: ManagedEndpoint, records: dict[str, EndpointRecord], *, force: bool, dry_run: bool) -> Outcome:
    name = folder.spec.name
    users = [endpoint.directory for endpoint in folder.user_endpoints()]
    unsent = [path for user in users for path in (user / "unacked_results").glob("*") if path.is_file()]
    if unsent and not force:
        where = unsent[0].parent
        detail = f"unsent: {plural(len(unsent), 'result')} in {where}; start it once, or --discard-unsent"
        return Outcome(name, "kept", detail, good=False)
    directories: list[Path] = [folder.directory, *users]
    listing = ", ".join(str(path) for path in directories)
    if dry_run:
        return Outcome(name, "dry run", f"would delete {listing}")
    for path in directories:
        shutil.rmtree(path)
    records.pop(name, None)
    return Outcome(name, "deleted", listing)
