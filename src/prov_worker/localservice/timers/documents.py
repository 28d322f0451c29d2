"""Timers as the service gives them, in the form of ``globus_sdk.testing``'s examples."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

from prov_worker.localservice.flows.scopes import flow_scope
from prov_worker.localservice.timers.records import ENDED, FLOW, INACTIVE, Schedule, Timer


def time_text(seconds: float | None) -> str | None:
    """Return a time as Timers writes it; None for none."""
    if seconds is None:
        return None
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).isoformat(timespec="seconds")


def schedule_document(schedule: Schedule) -> dict[str, Any]:
    """Return a schedule."""
    if schedule.interval is None:
        return {"type": "once", "datetime": time_text(schedule.start)}
    end: dict[str, Any] | None = None
    if schedule.count is not None:
        end = {"condition": "iterations", "count": schedule.count}
    elif schedule.until is not None:
        end = {"condition": "time", "datetime": time_text(schedule.until)}
    start = time_text(schedule.start)
    return {"type": "recurring", "interval_seconds": int(schedule.interval), "start": start, "end": end}


def new_document(timer: Timer) -> dict[str, Any]:
    """Return a timer as the second interface does."""
    shared = _shared(timer)
    if timer.kind == FLOW:
        return {**job_document(timer, [], under_way=False), **shared}
    return {**shared, "body": timer.body, "number_of_runs": timer.runs, "number_of_errors": timer.errors}


def job_document(timer: Timer, results: Sequence[Mapping[str, Any]], *, under_way: bool) -> dict[str, Any]:
    """Return a timer as the first interface does.

    Args:
        timer: the timer.
        results: of its last runs, newest first.
        under_way: whether the last one has not ended.
    """
    schedule = timer.schedule
    is_flow = timer.kind == FLOW
    once = 1 if schedule.interval is None else None
    return {
        **_shared(timer),
        "start": time_text(schedule.start),
        "interval": schedule.interval,
        "stop_after": {"date": time_text(schedule.until), "n_runs": once or schedule.count},
        "callback_url": f"https://flows.automate.globus.org/flows/{timer.flow}/run"
        if is_flow
        else "https://transfer.actions.globus.org/transfer/run",
        "callback_body": timer.body if is_flow else {"body": timer.body},
        "scope": flow_scope(str(timer.flow)) if is_flow else None,
        "n_runs": timer.runs,
        "n_errors": timer.errors,
        "results": {"data": list(results), "page_next": None},
        "activity": _activity(timer, under_way=under_way),
    }


def _shared(timer: Timer) -> dict[str, Any]:
    waits = timer.status not in (ENDED, INACTIVE) and timer.tick is not None
    return {
        "job_id": timer.id,
        "name": timer.name,
        "timer_type": timer.kind,
        "status": timer.status,
        "inactive_reason": timer.reason,
        "submitted_at": time_text(timer.submitted),
        "last_ran_at": time_text(timer.began),
        "next_run": time_text(timer.schedule.tick(timer.tick)) if waits and timer.tick is not None else None,
        "schedule": schedule_document(timer.schedule),
    }


def _activity(timer: Timer, *, under_way: bool) -> dict[str, Any] | None:
    if timer.status == INACTIVE:
        return {"code": "paused"}
    if timer.retry_since is not None:
        return {"code": "retrying", "start_timestamp": time_text(timer.retry_since)}
    if under_way:
        return {"code": "run_in_progress", "start_timestamp": time_text(timer.began)}
    return None if timer.status == ENDED else {"code": "awaiting_next_run"}
