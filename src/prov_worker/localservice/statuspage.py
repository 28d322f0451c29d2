"""The status page: one identity's endpoints, tasks and throughput in one self-contained HTML page.

It needs nothing from elsewhere and no script; with a script it brings itself up to date every five seconds, until the
reader stops it. Its template is ``assets/statuspage.html.j2``.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prov_worker import __version__
from prov_worker.humanize import ABSENT, plural
from prov_worker.live.model import LIVE, Node
from prov_worker.live.table import TASKS, agent, ordered, rows
from prov_worker.localservice.identities import Identity
from prov_worker.localservice.pages import asset, template
from prov_worker.localservice.records import Endpoint, UserEndpoint
from prov_worker.localservice.service import Service

#: The last half hour, in bars of 30 s.
BUCKET_S = 30
BUCKETS = 60
_BAR_WIDTH, _CHART_HEIGHT = 10, 80
_MOST_CRATES = 10
_STATES = {"accepted": "waiting", "queued": "queued or running", "success": "succeeded", "failed": "failed"}


@dataclass(frozen=True)
class Status:
    """What the page shows."""

    name: str
    now: float
    broker_up: bool
    endpoints: list[tuple[Endpoint, list[UserEndpoint], dict[str, int]]]
    counts: dict[str, int]
    finished: list[int]
    recent: list[dict[str, Any]]
    live: list[tuple[Path, Node]] | None


def gather(service: Service, identity: Identity, now: float) -> Status:
    """Read what the page shows an identity."""
    storage, owner = service.storage, identity.client_id
    by_endpoint = storage.endpoint_tasks(owner)
    last = int(now / BUCKET_S)
    buckets = storage.throughput(owner, (last - BUCKETS + 1) * BUCKET_S, BUCKET_S)
    return Status(
        identity.name,
        now,
        service.broker.up,
        [
            (each, storage.user_endpoints(each.id), by_endpoint.get(each.id, dict.fromkeys(_STATES, 0)))
            for each in storage.endpoints(owner)
        ],
        storage.task_counts(owner),
        [buckets.get(number, 0) for number in range(last - BUCKETS + 1, last + 1)],
        storage.recent_tasks(owner),
        [(path, remark.node(now)) for path, remark in service.live_remarks(owner)[0]] if service.live else None,
    )


def render(status: Status, nonce: str) -> str:
    """Return the page; ``nonce`` admits its own style and script."""
    return template("statuspage.html.j2").render(
        nonce=nonce,
        status=status,
        version=__version__,
        stamp=time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(status.now)),
        states=_STATES,
        chart=_chart(status.finished),
        running=_running(status),
        endpoints=[_endpoint(status.now, *each) for each in status.endpoints],
        style=asset("statuspage.css"),
        script=asset("statuspage.js"),
    )


def _chart(finished: list[int]) -> dict[str, Any]:
    """Return bars of finished tasks, one per bucket that has any, in units of the picture."""
    top = max(finished) or 1
    minutes = BUCKET_S * BUCKETS // 60
    return {
        "width": _BAR_WIDTH * BUCKETS,
        "height": _CHART_HEIGHT,
        "bar_width": _BAR_WIDTH - 2,
        "bars": [
            {"x": number * _BAR_WIDTH, "height": max(1.0, count * _CHART_HEIGHT / top)}
            for number, count in enumerate(finished)
            if count
        ],
        "minutes": minutes,
        "caption": f"{plural(sum(finished), 'task')} finished in the last {minutes} minutes, "
        f"at most {max(finished) / BUCKET_S:.1f} a second over {BUCKET_S} seconds",
    }


def _running(status: Status) -> dict[str, Any] | None:
    """Return what runs, and the crates of what ended last; None if the service knows no crate directory."""
    if status.live is None:
        return None
    nodes = [node for _, node in status.live]
    tasks = ordered((task for node in nodes for task in node.tasks), "e")
    crates = [(task, directory / task.crate) for directory, node in status.live for task in node.ended if task.crate]
    cells = rows(TASKS, tasks)
    shown = [place for place in range(len(TASKS)) if place < 4 or any(row[place] != ABSENT for row in cells)]
    return {
        "heads": [TASKS[place].head for place in shown],
        "rows": [[task.task, *(row[place] for place in shown[1:])] for task, row in zip(tasks, cells, strict=True)],
        "late": [f"{node.host}: {agent(node)}" for node in nodes if node.state != LIVE],
        "crates": sorted(crates, key=lambda pair: -(pair[0].ended or 0))[:_MOST_CRATES],
    }


def _endpoint(
    now: float, endpoint: Endpoint, user_endpoints: list[UserEndpoint], counts: dict[str, int]
) -> dict[str, Any]:
    """Return a row of the table of endpoints."""
    online = [each for each in user_endpoints if each.pulse.online(now)]
    return {
        "name": endpoint.display_name,
        "id": endpoint.id,
        "status": "online" if endpoint.pulse.online(now) and not endpoint.locked else "offline",
        "heartbeat_s": now - endpoint.pulse.heard if endpoint.pulse.heard else None,
        "user_endpoints": len(online),
        "workers": sum(int(each.pulse.report.get("total_workers") or 0) for each in online),
        "unfinished": counts.get("accepted", 0) + counts.get("queued", 0),
        "succeeded": counts.get("success", 0),
        "failed": counts.get("failed", 0),
    }
