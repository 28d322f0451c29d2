"""The status page: one identity's endpoints, tasks and throughput in one self-contained HTML page.

It needs nothing from elsewhere and no script; with a script it brings itself up to date every five seconds, until the
reader says stop.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from html import escape
from typing import Any

from prov_worker import __version__
from prov_worker.localservice.identities import Identity
from prov_worker.localservice.records import Endpoint, UserEndpoint
from prov_worker.localservice.service import Service

#: The last half hour, in bars of 30 s.
BUCKET_S = 30
BUCKETS = 60
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
    )


def render(status: Status, nonce: str) -> str:
    """The page; ``nonce`` admits its own style and script."""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Local Globus Compute service</title>
<link rel="icon" href="data:,">
<style nonce="{escape(nonce)}">{_STYLE}</style>
</head>
<body>
<header>
<h1>Local Globus Compute service</h1>
<p>prov-worker {escape(__version__)}, shown to <strong>{escape(status.name)}</strong>
<button type="button" id="pause" aria-pressed="false" hidden>Stop updating</button></p>
</header>
<main>
{_content(status)}
</main>
<script nonce="{escape(nonce)}">{_SCRIPT}</script>
</body>
</html>
"""


def _content(status: Status) -> str:
    broker = "connected" if status.broker_up else "away: tasks are kept until it is back"
    stamp = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(status.now))
    counts = "".join(
        f'<div><dt>{escape(text)}</dt><dd id="count-{state}">{status.counts.get(state, 0)}</dd></div>'
        for state, text in _STATES.items()
    )
    return f"""<p id="state">As of <time>{stamp}</time>. Broker: {broker}.</p>
<section aria-labelledby="tasks"><h2 id="tasks">Tasks</h2><dl>{counts}</dl></section>
<section aria-labelledby="throughput"><h2 id="throughput">Throughput</h2>{_chart(status.finished)}</section>
<section aria-labelledby="endpoints"><h2 id="endpoints">Endpoints</h2>{_endpoints(status)}</section>
<section aria-labelledby="recent"><h2 id="recent">Latest tasks</h2>{_recent(status)}</section>"""


def _chart(finished: list[int]) -> str:
    top = max(finished) or 1
    width, height = 10, 80
    bars = "".join(
        f'<rect x="{number * width}" y="{height - size:.1f}" width="{width - 2}" height="{size:.1f}"/>'
        for number, count in enumerate(finished)
        if count and (size := max(1.0, count * height / top))
    )
    minutes = BUCKET_S * BUCKETS // 60
    total = sum(finished)
    text = (
        f"{total} tasks finished in the last {minutes} minutes, "
        f"at most {max(finished) / BUCKET_S:.1f} a second over {BUCKET_S} seconds"
    )
    return (
        f'<figure><svg role="img" aria-label="{text}" viewBox="0 0 {width * BUCKETS} {height}" '
        f'preserveAspectRatio="none">{bars}</svg>'
        f'<p class="axis" aria-hidden="true"><span>{minutes} minutes ago</span><span>now</span></p>'
        f"<figcaption>{text}.</figcaption></figure>"
    )


def _endpoints(status: Status) -> str:
    if not status.endpoints:
        return "<p>None yet. Start one with <code>globus-compute-endpoint start</code>.</p>"
    rows = []
    for endpoint, user_endpoints, counts in status.endpoints:
        online = endpoint.pulse.online(status.now) and not endpoint.locked
        running = sum(each.pulse.online(status.now) for each in user_endpoints)
        workers = sum(
            int(each.pulse.report.get("total_workers") or 0) for each in user_endpoints if each.pulse.online(status.now)
        )
        word = "online" if online else "offline"
        heard = f"{status.now - endpoint.pulse.heard:.0f} s ago" if endpoint.pulse.heard else "never"
        unfinished = counts.get("accepted", 0) + counts.get("queued", 0)
        rows.append(
            f'<tr><th scope="row">{escape(endpoint.display_name)}</th><td><code>{escape(endpoint.id)}</code></td>'
            f'<td class="{word}">{word}</td><td>{heard}</td><td class="n">{running}</td><td class="n">{workers}</td>'
            f'<td class="n">{unfinished}</td><td class="n">{counts.get("success", 0)}</td>'
            f'<td class="n">{counts.get("failed", 0)}</td></tr>'
        )
    heads = ("name", "id", "status", "last heartbeat", "user endpoints", "workers", "unfinished", "succeeded", "failed")
    return _table("Endpoints", heads, rows, numbers=5)


def _recent(status: Status) -> str:
    if not status.recent:
        return "<p>None yet.</p>"
    rows = []
    for task in status.recent:
        took = "" if task["finished"] is None else f"{task['finished'] - task['submitted']:.2f} s"
        word = _STATES[task["state"]]
        rows.append(
            f'<tr><th scope="row"><code>{escape(task["id"])}</code></th><td>{escape(task["function"])}</td>'
            f'<td>{escape(task["endpoint"])}</td><td class="{task["state"]}">{word}</td><td class="n">{took}</td></tr>'
        )
    return _table("Latest tasks", ("task", "function", "endpoint", "state", "took"), rows, numbers=1)


def _table(name: str, heads: tuple[str, ...], rows: list[str], *, numbers: int) -> str:
    """A table whose last ``numbers`` columns are numbers."""
    words, figures = heads[:-numbers], heads[-numbers:]
    cells = "".join(f'<th scope="col">{escape(head)}</th>' for head in words)
    cells += "".join(f'<th scope="col" class="n">{escape(head)}</th>' for head in figures)
    # Wide tables scroll by themselves; a region that scrolls must be reachable by keyboard.
    return (
        f'<div class="wide" role="region" aria-label="{escape(name)}, table" tabindex="0"><table>'
        f"<thead><tr>{cells}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


_STYLE = """
:root { color-scheme: light dark; --line: #8888; --good: #17692f; --bad: #a3161d; --bar: #2a5db0; }
@media (prefers-color-scheme: dark) { :root { --good: #7fd99a; --bad: #ff9a96; --bar: #8db4ff; } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 80rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.15rem; margin: 1.5rem 0 .5rem; }
dl { display: flex; flex-wrap: wrap; gap: 1rem 2.5rem; margin: 0; } dt { font-size: .9rem; }
dd { margin: 0; font-size: 1.8rem; font-variant-numeric: tabular-nums; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { text-align: start; padding: .3rem .5rem; border-bottom: 1px solid var(--line); white-space: nowrap; }
th.n, td.n { text-align: right; font-variant-numeric: tabular-nums; } .wide { overflow-x: auto; }
.online, .success { color: var(--good); } .offline, .failed { color: var(--bad); font-weight: 600; }
figure { margin: 0; } svg { width: 100%; height: 5rem; border-bottom: 1px solid var(--line); }
.axis { display: flex; justify-content: space-between; font-size: .8rem; margin: 0; }
rect { fill: var(--bar); } figcaption { font-size: .9rem; }
button { font: inherit; padding: .15rem .7rem; margin-left: .8rem; }
"""

_SCRIPT = """
(() => {
  const button = document.getElementById("pause");
  let stopped = false;
  button.hidden = false;
  button.addEventListener("click", () => {
    stopped = !stopped;
    button.setAttribute("aria-pressed", String(stopped));
    button.textContent = stopped ? "Update again" : "Stop updating";
  });
  setInterval(async () => {
    const main = document.querySelector("main");
    if (stopped || document.hidden || main.contains(document.activeElement)) return;
    try {
      // Not "/": the page's own address may hold a login, and such a request is refused.
      const answer = await fetch(location.origin + "/", {cache: "no-store", credentials: "same-origin"});
      if (!answer.ok) throw new Error(String(answer.status));
      // Its middle alone: the style of another answer has another nonce.
      const text = await answer.text();
      if (!stopped) main.innerHTML = text.slice(text.indexOf("<main>") + 6, text.lastIndexOf("</main>"));
    } catch (error) {
      document.getElementById("state").textContent = "The service does not answer. Trying again.";
    }
  }, 5000);
})();
"""
