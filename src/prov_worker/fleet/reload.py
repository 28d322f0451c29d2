"""A fleet file that is read again when it changes, for those who stay: what came and what went, in words."""

from __future__ import annotations

import os

from prov_worker.errors import InputError
from prov_worker.fleet import fleetfile
from prov_worker.fleet.fleetfile import EndpointSpec, Fleet
from prov_worker.humanize import plural

_GOES_ON = "goes on with what it read before"


class Reader:
    """Reads a fleet file again; one that is broken leaves the last good one.

    Args:
        fleet: as it was read.
    """

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self._seen: tuple[object, ...] | None = None
        self._broken = False

    def look(self) -> list[tuple[str, str]]:
        """Return what has changed since the last time: of what, an endpoint or ``file``, and how, in words."""
        seen = _signature(self.fleet)
        if seen == self._seen:
            return []
        self._seen = seen
        try:
            fleet = fleetfile.read(self.fleet.path)
            _same_place(self.fleet, fleet)
        except InputError as error:
            self._broken = True
            return [("file", f"{error}; {_GOES_ON}")]
        lines = _differences(self.fleet, fleet)
        if self._broken:
            lines.insert(0, ("file", f"{fleet.path}: is good again"))
        self.fleet, self._broken = fleet, False
        return lines


def _signature(fleet: Fleet) -> tuple[object, ...]:
    """Return what is another if the file was written or replaced."""
    try:
        status = os.stat(fleet.path)
    except OSError as error:
        return (error.errno,)
    return os.path.realpath(fleet.path), status.st_ino, status.st_size, status.st_mtime_ns


def _same_place(before: Fleet, after: Fleet) -> None:
    """Refuse what makes it another fleet: state, locks and processes are the first one's."""
    if before.file != after.file:
        raise InputError(
            f"{after.path}: leads to {after.file} now, which is another fleet: it wants a watch of its own"
        )
    if before.user_dir != after.user_dir:
        raise InputError(
            f"{after.path}: user_dir: is {after.user_dir} now, and endpoints are in {before.user_dir}: "
            "stop them and the watch before it is changed"
        )
    if before.unbound_host != after.unbound_host:
        raise InputError(f"{after.path}: unbound_host: stop endpoints and the watch before it is changed")


def _differences(before: Fleet, after: Fleet) -> list[tuple[str, str]]:
    old = {spec.name: spec for spec in before.endpoints}
    new = {spec.name: spec for spec in after.endpoints}
    lines = [(name, "came into the file: is looked after") for name in new if name not in old]
    lines += [(name, "went from the file: is left as it is, and not looked after") for name in old if name not in new]
    for name in new:
        if name in old and (changes := _changed(old[name], new[name])):
            lines.append((name, changes))
    if before.watch != after.watch:
        watch = after.watch
        shortest, longest = watch.backoff_s
        changes = (
            f"watch: looks every {watch.interval_s:g} s, back-off {shortest:g} to {longest:g} s, "
            f"{plural(watch.cap, 'restart')} in {watch.window_s:g} s, metrics in {watch.metrics or 'no file'}"
        )
        lines.append(("file", changes))
    if before.credentials != after.credentials:
        lines.append(("file", f"credentials: from {after.credentials or 'the environment'}, for the next start"))
    return lines


def _changed(before: EndpointSpec, after: EndpointSpec) -> str:
    clauses = []
    if before.host != after.host:
        clauses.append(f"host: {after.host or 'this one'}")
    if (before.site.name, dict(before.values)) != (after.site.name, dict(after.values)):
        clauses.append(f"options differ from what was read before: prov-worker fleet up {after.name} writes them")
    return "; ".join(clauses)
