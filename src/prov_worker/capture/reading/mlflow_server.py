"""MLflow's tracking server, by its REST API (mlflow.org, "REST API", version 2.0), if it asks for no login.

The agent has no credentials, and uses none that an address holds: a server that asks for some is not read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode, urlsplit
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

from prov_worker.capture.reading.clock import Deadline
from prov_worker.capture.reading.mlflow_values import NAME_TAG, PARENT_TAG, logged_value, nanoseconds
from prov_worker.training import MAX_METRICS, MAX_RUNS, Metric, TrackedRun

_API = "/api/2.0/mlflow/"
_ANSWER_BYTES = 64 << 20
_PAGE = 1000
_HISTORY_PAGE = 25_000


class _NoRedirects(HTTPRedirectHandler):
    """Follows none: where a server sends others is not where the task stored its runs."""

    def redirect_request(self, *_: Any) -> None:
        return None


_OPENER = build_opener(_NoRedirects, ProxyHandler())


def read(store: str, tags: Mapping[str, str], deadline: Deadline) -> list[TrackedRun]:
    """Return the runs that have all the tags, as :func:`prov_worker.capture.reading.mlflow_sqlite.read` does.

    Args:
        store: address of the server.
        tags: as there.
        deadline: for all of it.

    Raises:
        OSError: the server does not answer, refuses, or asks for a login; or it took too long.
        ValueError: its answers have another shape.
    """
    parts = urlsplit(store)
    if parts.username or parts.password:
        raise OSError("its address holds a login, and credentials are not used here")
    base = store.rstrip("/") + _API
    (first, value), *others = tags.items()
    experiments = {
        item["experiment_id"]: item.get("name")
        for item in _pages(base, "experiments/search", "experiments", {"max_results": _PAGE}, deadline)
    }
    runs: list[TrackedRun] = []
    for start in range(0, len(experiments), 100):  # in one request, servers take so many at least
        query = {
            "experiment_ids": list(experiments)[start : start + 100],
            "filter": f"tags.`{first}` = '{value}'",
            "max_results": _PAGE,
        }
        for item in _pages(base, "runs/search", "runs", query, deadline):
            run_tags = _pairs(item["data"].get("tags"))
            if all(run_tags.get(tag, text) == text for tag, text in others) and len(runs) < MAX_RUNS:
                runs.append(_run(base, item, run_tags, experiments, deadline))
    return sorted(runs, key=lambda run: (run.start_ns or 0, run.id))


def _run(
    base: str, item: dict[str, Any], tags: dict[str, str], experiments: Mapping[str, Any], deadline: Deadline
) -> TrackedRun:
    info, data = item["info"], item["data"]
    names = [metric["key"] for metric in (data.get("metrics") or [])[:MAX_METRICS]]
    return TrackedRun(
        tool="mlflow",
        id=info["run_id"],
        name=info.get("run_name") or tags.get(NAME_TAG),
        status=info.get("status"),
        parent=tags.get(PARENT_TAG),
        experiment=experiments.get(info.get("experiment_id")),
        user=info.get("user_id"),
        start_ns=nanoseconds(info.get("start_time")),
        end_ns=nanoseconds(info.get("end_time")),
        artifacts=info.get("artifact_uri"),
        parameters=_pairs(data.get("params")),
        tags=tags,
        metrics=[_history(base, info["run_id"], name, deadline) for name in names],
    )


def _history(base: str, run: str, name: str, deadline: Deadline) -> Metric:
    query = {"run_id": run, "metric_key": name, "max_results": _HISTORY_PAGE}
    points = [
        (int(item.get("step", 0)), logged_value(float(item["value"])), int(item["timestamp"]) * 1_000_000)
        for item in _pages(base, "metrics/get-history", "metrics", query, deadline, method="GET")
    ]
    return Metric.of(name, sorted(points, key=lambda point: (point[0], point[2], point[1])))


def _pairs(items: Any) -> dict[str, str]:
    return {item["key"]: item.get("value", "") for item in items or []}


def _pages(
    base: str, route: str, key: str, query: dict[str, Any], deadline: Deadline, method: str = "POST"
) -> Iterator[dict[str, Any]]:
    """Return items of all pages of an answer."""
    token = None
    while True:
        answer = _ask(base + route, query if token is None else {**query, "page_token": token}, deadline, method)
        yield from answer.get(key) or []
        token = answer.get("next_page_token")
        if not token:
            return


def _ask(address: str, query: dict[str, Any], deadline: Deadline, method: str) -> dict[str, Any]:
    deadline.check()
    if method == "GET":
        request = Request(f"{address}?{urlencode(query)}")  # noqa: S310 - http or https, as the reader was chosen
    else:
        request = Request(address, json.dumps(query).encode(), {"Content-Type": "application/json"})  # noqa: S310
    try:
        with _OPENER.open(request, timeout=max(0.1, deadline.left_s)) as response:
            answer = json.loads(response.read(_ANSWER_BYTES))
    except HTTPError as error:
        with error:
            if error.code in (401, 403):
                raise OSError("the server asks for a login, and the agent has none") from None
            raise OSError(f"the server answered {error.code} {error.reason}") from None
    except URLError as error:
        raise OSError(f"the server does not answer: {error.reason}") from None
    if not isinstance(answer, dict):
        raise ValueError(f"{address}: expected a JSON object")
    return answer
