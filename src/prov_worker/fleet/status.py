"""How endpoints of a fleet are: from pid files, ``/proc``, engines' status files, journals and logs of this host."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from prov_worker.errors import InputError
from prov_worker.fleet import logs
from prov_worker.fleet.endpoint import ManagedEndpoint
from prov_worker.fleet.fleetfile import EndpointSpec
from prov_worker.fleet.launch import Launch
from prov_worker.fleet.state import EndpointRecord
from prov_worker.fleet.task_counts import Tally
from prov_worker.globus import enginestatus
from prov_worker.globus.daemons import STALE_S, Core

#: ``running``; ``starting``; ``unresponsive``: alive without a heartbeat; ``down``; ``stopped`` by an operator;
#: ``not created``; ``elsewhere``: on another host; ``unknown``: its pid file is fresh, and its process not here;
#: ``foreign``: not ours.
Condition = Literal[
    "running", "starting", "unresponsive", "down", "stopped", "not created", "elsewhere", "unknown", "foreign"
]
#: Not a word from an engine for so long: what it said last is not reported.
_OLD_S = 90.0


@dataclass(frozen=True, slots=True)
class Status:
    """One endpoint.

    Attributes:
        name: its name.
        site: its site's name.
        host: that it belongs to, or runs on if a batch system chose it; None: this one.
        condition: see :data:`Condition`.
        endpoint_id: UUID; None before its first start.
        pid: of the daemon.
        up_s: since when it runs.
        heartbeat_s: age of the daemon's last sign of life.
        user_endpoints: how many live.
        queued: tasks that wait for a worker; None if no engine tells.
        running: tasks under way; None if neither engines nor journals tell.
        blocks: running and pending batch jobs; None if no engine tells.
        workers: all and idle ones; None if no engine tells.
        completed: tasks.
        failed: tasks.
        restarts: by the watch, in all.
        next_at: when the watch may restart it, seconds since the epoch.
        last_error: of the watch or the logs.
        note: what else there is to say.
        unread: journals of a later release, whose tasks are not counted, each with the reason.
        software: what the daemon was started with; None if it does not run, or nobody noted it.
        elsewhere: whether it runs on another host, which a batch system chose.
        service: what the web service calls it; None if it was not asked, or could not be.
        stale: what has changed since: ``software``, ``configuration``, ``credentials``; ``unknown`` if nobody noted it.
        orphans: interchanges, managers and workers of user endpoints that are gone, in words.
    """

    name: str
    site: str
    host: str | None
    condition: Condition
    endpoint_id: str | None = None
    pid: int | None = None
    up_s: float | None = None
    heartbeat_s: float | None = None
    user_endpoints: int = 0
    queued: int | None = None
    running: int | None = None
    blocks: dict[str, int] | None = None
    workers: dict[str, int] | None = None
    completed: int = 0
    failed: int = 0
    restarts: int = 0
    next_at: float | None = None
    last_error: str | None = None
    note: str | None = None
    unread: tuple[str, ...] = ()
    software: str | None = None
    elsewhere: bool = False
    service: str | None = None
    stale: tuple[str, ...] = ()
    orphans: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return it as ``--json`` prints it."""
        return asdict(self)


def condition_of(folder: ManagedEndpoint, record: EndpointRecord, core: Core) -> Condition:
    """Return the one word for how an endpoint of this host is."""
    if core.state == "running":
        # The daemon touches its pid file every 15 s from a thread of its own.
        return "unresponsive" if (core.touched_s or 0.0) > STALE_S else "running"
    if core.state == "elsewhere":
        return "running" if is_elsewhere(folder, record, core) else "unknown"
    if record.process is not None:
        return "starting"
    if record.wanted == "stopped":
        return "stopped"
    return "down"


def of(spec: EndpointSpec, records: Mapping[str, EndpointRecord], tally: Tally) -> Status:
    """Look at one endpoint. Nothing is changed."""
    folder = ManagedEndpoint(spec)
    record = records.get(spec.name) or EndpointRecord()
    try:
        other = folder.other_host()
        foreign = folder.foreign() if other is None else None
    except InputError as error:
        # An error in one endpoint must not affect the others.
        return Status(spec.name, spec.site.name, spec.host, "foreign", note=str(error))
    if other is not None:
        return Status(spec.name, spec.site.name, other, "elsewhere")
    if foreign is not None:
        return Status(spec.name, spec.site.name, spec.host, "foreign", note=foreign)
    if not folder.directory.exists():
        note = "prov-worker fleet up creates it"
        return Status(
            spec.name, spec.site.name, spec.host, "not created", note=note, last_error=record.last_error or None
        )
    core = folder.core(record.seen)
    condition = condition_of(folder, record, core)
    elsewhere = is_elsewhere(folder, record, core)
    living = living_user_endpoints(folder, elsewhere=elsewhere)
    engines = [report for directory in living if (report := _engine(directory)) is not None]
    counts = tally.count(folder)
    down = condition in ("down", "stopped")
    last_error = record.last_error if down else ""
    if not last_error and (logged := logs.last(folder)) is not None:
        last_error = f"{logged.at} {logged.message}"
    process = core.process or (record.process if condition == "starting" else None)
    runs = condition in ("running", "unresponsive")
    since = process.create_time() if process else record.started_at if elsewhere else None
    stale = record.launch.changes(Launch.now(spec)) if runs else []
    return Status(
        name=spec.name,
        site=spec.site.name,
        host=record.host if elsewhere else spec.host,
        condition=condition,
        endpoint_id=folder.endpoint_id,
        pid=process.pid if process else core.pid if elsewhere else None,
        up_s=time.time() - since if since else None,
        heartbeat_s=core.touched_s,
        user_endpoints=len(living),
        queued=_queued(engines),
        running=_running(engines) if engines else counts.running,
        blocks=_sums(engines, running="blocks_running", pending="blocks_pending"),
        workers=_sums(engines, all="workers", idle="idle_workers"),
        completed=counts.completed,
        failed=counts.failed,
        restarts=record.total,
        next_at=record.next_at if down and record.next_at > time.time() else None,
        last_error=last_error or None,
        note=_why_down(spec, record) if condition == "down" else _why_stale(spec, stale),
        software=record.software or None if runs else None,
        elsewhere=elsewhere,
        stale=tuple(stale),
        unread=counts.unread,
    )


def is_elsewhere(folder: ManagedEndpoint, record: EndpointRecord, core: Core) -> bool:
    """Return whether the daemon of a fleet whose host a batch system chooses runs on another host.

    Its process cannot be seen from here, but its pid file is fresh, and nobody has seen it end.
    """
    return folder.spec.unbound_host and core.state == "elsewhere" and not record.down_at


def living_user_endpoints(folder: ManagedEndpoint, *, elsewhere: bool) -> list[Path]:
    """Return the directories of user endpoints that live, the latest first.

    Args:
        folder: of the endpoint.
        elsewhere: its daemon is on another host; those with an engine that has reported lately live then.
    """
    return [
        user.directory
        for user in folder.user_endpoints()
        if user.process is not None or (elsewhere and _engine(user.directory) is not None)
    ]


def _why_stale(spec: EndpointSpec, stale: list[str]) -> str | None:
    """Return what the daemon does not have yet, and what gives it that."""
    if not stale or stale == ["unknown"]:
        return None
    return f"was started with other {' and '.join(stale)} than there is now: prov-worker fleet restart {spec.name}"


def _why_down(spec: EndpointSpec, record: EndpointRecord) -> str:
    """Return what is known of one that is down, whether or not the watch has seen it."""
    remedy = f"prov-worker fleet up {spec.name} starts it"
    if record.wanted == "unknown":
        return f"does not run, and whether a person stopped it cannot be known from a damaged state; {remedy}"
    if not record.pid:
        return f"has not been started by this fleet yet; {remedy}"
    return f"process {record.pid} is gone; {remedy}, and a watch does so by itself"


def _engine(directory: Any) -> dict[str, Any] | None:
    engine = enginestatus.read(directory)
    return engine if engine is not None and time.time() - engine["at"] < _OLD_S else None


def _busy(engine: Mapping[str, Any]) -> int:
    return int(engine.get("workers", 0)) - int(engine.get("idle_workers", 0))


def _queued(engines: list[dict[str, Any]]) -> int | None:
    return sum(max(0, int(engine.get("outstanding", 0)) - _busy(engine)) for engine in engines) if engines else None


def _running(engines: list[dict[str, Any]]) -> int:
    return sum(_busy(engine) for engine in engines)


def _sums(engines: list[dict[str, Any]], **keys: str) -> dict[str, int] | None:
    if not engines:
        return None
    return {name: sum(int(engine.get(key, 0)) for engine in engines) for name, key in keys.items()}


def outstanding(folder: ManagedEndpoint, tally: Tally, *, elsewhere: bool = False) -> int | None:
    """Return tasks that living user endpoints have taken and not answered; None if one of them does not tell.

    Results that could not be sent yet count too: the next start sends them.

    Args:
        folder: of the endpoint.
        tally: of its tasks.
        elsewhere: the daemon is on another host.

    Raises:
        InputError: a folder cannot be read.
    """
    total = 0
    for directory in living_user_endpoints(folder, elsewhere=elsewhere):
        report = _engine(directory)
        if report is None:
            return None
        total += int(report.get("outstanding", 0))
        try:
            total += sum(1 for path in (directory / "unacked_results").glob("*") if path.is_file())
        except OSError as error:
            raise InputError(f"{directory}: cannot be read: {error.strerror}") from None
    return max(total, tally.count(folder).running)
