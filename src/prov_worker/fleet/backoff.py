"""When an endpoint that is down may be started again."""

from __future__ import annotations

import time
from collections.abc import Iterable

from prov_worker.fleet.fleetfile import Watch
from prov_worker.fleet.state import EndpointRecord


def next_time(record: EndpointRecord, watch: Watch, now: float) -> tuple[float, str]:
    """Return when an endpoint that is down may be started again, and what it waits for.

    Returns:
        Seconds since the epoch, and ``""``, ``"back-off"`` or ``"cap"``.
    """
    recent = [at for at in record.restarts if now - watch.window_s < at <= now]
    if len(recent) >= watch.cap:
        return sorted(recent)[-watch.cap] + watch.window_s, "cap"
    # A clock that was set back must not stop it for longer than the longest wait.
    due = min(record.next_at, now + watch.backoff_s[1])
    return (due, "back-off") if due > now else (now, "")


def went_down(record: EndpointRecord, watch: Watch, now: float) -> None:
    """Take note that an endpoint is gone: one that was up for long is started at once, others wait ever longer."""
    shortest, longest = watch.backoff_s
    stayed = record.ran_at > 0 and now - record.ran_at >= longest
    record.streak = 0 if stayed else record.streak + 1
    record.down_at = now
    record.next_at = now if stayed else now + min(longest, shortest * 2.0 ** min(record.streak - 1, 60))


def due(records: Iterable[EndpointRecord]) -> list[float]:
    """Return in how many seconds endpoints that are down may be started again."""
    now = time.time()
    waiting = [record for record in records if record.down_at and record.wanted == "up"]
    return [record.next_at - now for record in waiting if record.next_at > now]
