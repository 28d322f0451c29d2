"""What is asked of Timers, checked: documents of the second interface, and of the first one.

Sources: https://docs.globus.org/api/timers/timer-schedules/, and the SDK's payloads.
"""

from __future__ import annotations

import datetime
import math
import re
import uuid
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from prov_worker.localservice.timers.errors import invalid
from prov_worker.localservice.timers.records import FLOW, NEW, TRANSFER, Schedule, Timer

#: Globus takes a timer per minute; a rehearsal is not to take minutes.
_LEAST_INTERVAL_S = 1.0
_MOST_NAME = 128
_FLOW_RUN = re.compile(r"/flows/([0-9a-fA-F-]{36})/run/?\Z")


def timer_of(owner: str, document: Any, now: float) -> Timer:
    """Return a new timer, from what is sent to ``/v2/timer``.

    Raises:
        TimersError: 422; names the field.
    """
    if not isinstance(document, Mapping):
        raise invalid("timer", "expected an object")
    kind = document.get("timer_type")
    if kind not in (TRANSFER, FLOW):
        raise invalid("timer.timer_type", "expected transfer or flow")
    schedule = schedule_of(document.get("schedule"), now)
    flow = _flow_id(document.get("flow_id")) if kind == FLOW else None
    return _new(owner, now, kind, document.get("name"), schedule, document.get("body"), flow)


def job_of(owner: str, document: Mapping[str, Any], now: float) -> Timer:
    """Return a new timer, from what is sent to ``/jobs/``.

    Raises:
        TimersError: 422; names the field.
    """
    url, body = urlsplit(str(document.get("callback_url") or "")), document.get("callback_body")
    match = _FLOW_RUN.search(url.path)
    if not isinstance(body, Mapping):
        raise invalid("callback_body", "expected an object")
    if match is None and not url.path.endswith("/transfer/run"):
        raise invalid("callback_url", "expected the address to run a flow, or Transfer's action, at")
    interval, count = document.get("interval"), document.get("stop_after_n")
    schedule = Schedule(
        _time(document.get("start"), "start", now),
        None if interval is None else _interval(interval, "interval"),
        None if document.get("stop_after") is None else _time(document["stop_after"], "stop_after", now),
        None if count is None else _count(count, "stop_after_n"),
    )
    if interval is None and count not in (None, 1):
        raise invalid("interval", "expected seconds: there is more than one run")
    if match is None:
        return _new(owner, now, TRANSFER, document.get("name"), schedule, body.get("body"), None)
    return _new(owner, now, FLOW, document.get("name"), schedule, body, _flow_id(match[1]))


def schedule_of(value: Any, now: float) -> Schedule:
    """Return a schedule.

    Raises:
        TimersError: 422; names the field.
    """
    if not isinstance(value, Mapping) or value.get("type") not in ("once", "recurring"):
        raise invalid("timer.schedule.type", "expected once or recurring")
    if value["type"] == "once":
        return Schedule(_time(value.get("datetime"), "timer.schedule.datetime", now))
    start = _time(value.get("start"), "timer.schedule.start", now)
    interval, end = _interval(value.get("interval_seconds"), "timer.schedule.interval_seconds"), value.get("end")
    if end is None:
        return Schedule(start, interval)
    if not isinstance(end, Mapping) or end.get("condition") not in ("iterations", "time"):
        raise invalid("timer.schedule.end.condition", "expected iterations or time")
    if end["condition"] == "time":
        return Schedule(start, interval, until=_time(end.get("datetime"), "timer.schedule.end.datetime", None))
    count = end.get("iterations", end.get("count"))
    return Schedule(start, interval, count=_count(count, "timer.schedule.end.iterations"))


def name_of(name: Any) -> str:
    """Return the name of a timer.

    Raises:
        TimersError: 422.
    """
    if name is None:
        return ""
    if not isinstance(name, str) or len(name) > _MOST_NAME:
        raise invalid("timer.name", f"expected a text of {_MOST_NAME} characters at most")
    return name


def _new(owner: str, now: float, kind: str, name: Any, schedule: Schedule, body: Any, flow: str | None) -> Timer:
    if not isinstance(body, Mapping):
        raise invalid("timer.body", "expected an object")
    return Timer(str(uuid.uuid4()), owner, now, NEW, schedule.start, name_of(name), kind, schedule, dict(body), flow)


def _time(value: Any, field: str, default: float | None) -> float:
    if value is None and default is not None:
        return default
    try:
        moment = datetime.datetime.fromisoformat(str(value).strip().replace("Z", "+00:00"))
    except ValueError:
        raise invalid(field, "expected a time such as 2026-05-01T12:00:00+00:00") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.timezone.utc)
    return moment.timestamp()


def _interval(value: Any, field: str) -> float:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or not _LEAST_INTERVAL_S <= value <= 10 * 365 * 86_400:
        raise invalid(field, "expected seconds, 1 at least")
    return float(value)


def _count(value: Any, field: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise invalid(field, "expected a number, 1 at least")
    return value


def _flow_id(value: Any) -> str:
    try:
        return str(uuid.UUID(str(value)))
    except ValueError:
        raise invalid("timer.flow_id", "expected the id of a flow") from None
