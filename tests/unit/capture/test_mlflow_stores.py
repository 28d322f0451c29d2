"""MLflow's stores as they are found: whole, damaged, locked, absent, and servers of all kinds.

Tables and files here are as MLflow 3.17 writes them; ``tests/integration/capture/test_mlflow.py`` runs MLflow itself.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from prov_worker.capture.mlflow import absolute_uri
from prov_worker.capture.reading import mlflow_sqlite, mlflow_stores
from prov_worker.capture.reading.clock import Deadline
from prov_worker.capture.reading.mlflow_values import START_TAG, TASK_TAG
from prov_worker.training import TrackedRun

TASK, START = "5a30b2b5-0000-4000-8000-00000000000a", "17"
SCHEMA = """
CREATE TABLE experiments (experiment_id INTEGER, name VARCHAR);
CREATE TABLE runs (run_uuid, name, status, user_id, start_time, end_time, artifact_uri, experiment_id);
CREATE TABLE tags (key, value, run_uuid);
CREATE TABLE params (key, value, run_uuid);
CREATE TABLE metrics (key, value, timestamp, run_uuid, step, is_nan);
INSERT INTO experiments VALUES (1, 'exp');
INSERT INTO runs VALUES ('r1', 'first', 'FINISHED', 'me', 1000, 2000, 's3://b/r1', 1);
INSERT INTO runs VALUES ('r2', NULL, 'FAILED', 'me', 1001, NULL, NULL, 1), ('r3', 'x', 'RUNNING', 'me', 1, 2, '', 1);
INSERT INTO tags VALUES ('mlflow.runName', 'named', 'r2'), ('mlflow.parentRunId', 'r1', 'r2');
INSERT INTO params VALUES ('lr', '0.1', 'r1'), ('api_key', 'abcdefgh', 'r1');
INSERT INTO metrics VALUES ('loss', 0.9, 6, 'r1', 1, 0), ('loss', 0.7, 7, 'r1', 2, 0), ('loss', 0.5, 5, 'r1', 0, 0);
INSERT INTO metrics VALUES ('zero', 0.0, 5, 'r1', 0, 0), ('nan', 0.0, 5, 'r1', 0, 1);
INSERT INTO metrics VALUES ('big', 1.7976931348623157e308, 5, 'r1', 0, 0);
"""


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "mlflow.db"
    with sqlite3.connect(path) as store:
        store.executescript(SCHEMA)
        for run, start in (("r1", START), ("r2", START), ("r3", "99")):
            store.execute("INSERT INTO tags VALUES (?, ?, ?)", (TASK_TAG, TASK, run))
            store.execute("INSERT INTO tags VALUES (?, ?, ?)", (START_TAG, start, run))
    store.close()
    return path


def read(*stores: str) -> tuple[list[TrackedRun], list[str]]:
    training = mlflow_stores.read_stores(list(stores), TASK, START)
    return training.runs, training.absent


def check_runs(runs: list[TrackedRun]) -> None:
    first, second = runs
    assert (first.id, first.name, first.status, first.experiment) == ("r1", "first", "FINISHED", "exp")
    assert (first.start_ns, first.end_ns, first.artifacts) == (1_000_000_000, 2_000_000_000, "s3://b/r1")
    assert first.parameters == {"lr": "0.1", "api_key": "[redacted]"}
    metrics = {metric.name: metric for metric in first.metrics}
    assert metrics.keys() == {"loss", "zero", "nan", "big"}
    assert (metrics["loss"].values, metrics["loss"].last, metrics["loss"].high) == ([0.5, 0.9, 0.7], 0.7, 0.9)
    assert (metrics["zero"].last, metrics["nan"].last, metrics["big"].last) == (0.0, None, None)
    assert (second.id, second.name, second.status, second.parent) == ("r2", "named", "FAILED", "r1")


def test_a_database_gives_all_runs_of_the_attempt_and_no_others(database: Path) -> None:
    runs, absent = read(f"sqlite:///{database}")
    assert absent == []
    check_runs(runs)


def test_a_locked_database_is_given_up_in_time(database: Path) -> None:
    holder = sqlite3.connect(database, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    try:
        with pytest.raises(TimeoutError, match="it was locked for"):
            mlflow_sqlite.read(f"sqlite:///{database}", {TASK_TAG: TASK}, Deadline(0.3))
    finally:
        holder.close()


@pytest.mark.parametrize("content", [b"no database at all, but longer than a page" * 200, None, b""])
def test_what_is_no_store_is_not_read_and_the_reason_is_given(database: Path, content: bytes | None) -> None:
    if content is None:  # a page of the tables is lost
        whole = database.read_bytes()
        database.write_bytes(whole[:4096] + bytes(len(whole) - 4096))
    else:
        database.write_bytes(content)
    runs, (reason,) = read(f"sqlite:///{database}")
    assert runs == []
    assert reason.startswith(f"MLflow runs in sqlite:///{database}: not read: ")
    assert any(text in reason for text in ("not a database", "malformed", "no such table"))


def test_stores_that_cannot_be_read_hide_no_others(database: Path, tmp_path: Path) -> None:
    password = "postgresql://me:secret@host/db"
    runs, absent = read(f"sqlite:///{tmp_path}/none.db", password, str(tmp_path / "nowhere"), f"sqlite:///{database}")
    check_runs(runs)
    assert [reason.partition(": not read")[0] for reason in absent] == [
        f"MLflow runs in sqlite:///{tmp_path}/none.db",
        "MLflow runs in postgresql://[redacted]@host/db",
        f"MLflow runs in {tmp_path}/nowhere",
    ]


def test_files_give_the_same_runs(tmp_path: Path) -> None:
    root = tmp_path / "mlruns"
    meta = "artifact_uri: {}\nend_time: {}\nrun_id: {}\nrun_name: {}\nstart_time: {}\nstatus: {}\nuser_id: me\n"
    files = {
        "1/meta.yaml": "name: 'exp'\n",
        "1/r1/meta.yaml": meta.format("s3://b/r1", 2000, "r1", "first", 1000, 3),
        "1/r1/params/lr": "0.1",
        "1/r1/params/api_key": "abcdefgh",
        "1/r1/metrics/loss": "6 0.9 1\n7 0.7 2\n5 0.5 0\n",
        "1/r1/metrics/zero": "5 0.0 0\n",
        "1/r1/metrics/nan": "5 nan 0\n",
        "1/r1/metrics/big": "5 inf 0\n",
        "1/r2/meta.yaml": meta.format("''", "null", "r2", "''", 1001, 4),
        "1/r2/tags/mlflow.runName": "named",
        "1/r2/tags/mlflow.parentRunId": "r1",
        "1/r3/meta.yaml": meta.format("''", "null", "r3", "x", 1, 1),
        f"1/r3/tags/{START_TAG}": "99",
        **{f"1/{run}/tags/{TASK_TAG}": TASK for run in ("r1", "r2", "r3")},
    }
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (root / "stray").write_text("")
    for store in (str(root), f"file://{root}"):
        runs, absent = read(store)
        assert absent == []
        check_runs(runs)
    (root / "1/r1/metrics/loss").write_text("damaged\nand more of it\n")
    runs, (reason,) = read(str(root))
    assert runs == []
    assert "not read" in reason


class Server(BaseHTTPRequestHandler):
    """A tracking server's routes, with what they answer and the status."""

    status = 200
    pages: dict[str, list[dict[str, Any]]]

    def do_GET(self) -> None:
        route = self.path.partition("?")[0]
        pages = self.pages.get(route, [{}])
        body = json.dumps(pages[1 if "token" in self.path else 0]).encode()
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    def run(name: str, status: str, start: str, **info: Any) -> dict[str, Any]:
        tags = [{"key": TASK_TAG, "value": TASK}, {"key": START_TAG, "value": start}, *info.pop("tags", [])]
        info |= {"run_id": name, "status": status, "experiment_id": "1"}
        params = [{"key": "lr", "value": "0.1"}, {"key": "api_key", "value": "abcdefgh"}] if name == "r1" else []
        metrics = [{"key": key} for key in ("loss",)] if name == "r1" else []
        return {"info": info, "data": {"tags": tags, "params": params, "metrics": metrics}}

    api = "/api/2.0/mlflow/"
    more = [{"key": "mlflow.runName", "value": "named"}, {"key": "mlflow.parentRunId", "value": "r1"}]
    first = run("r1", "FINISHED", START, run_name="first", start_time=1000, end_time=2000, artifact_uri="s3://b/r1")
    second = run("r2", "FAILED", START, start_time=1001, tags=more)
    loss = [
        {"key": "loss", "value": value, "step": step, "timestamp": 5 + step}
        for step, value in enumerate((0.5, 0.9, "NaN", 0.7))
    ]
    handler = type("Handler", (Server,), {})
    handler.pages = {
        f"{api}experiments/search": [{"experiments": [{"experiment_id": "1", "name": "exp"}]}],
        f"{api}runs/search": [{"runs": [second, first, run("r3", "RUNNING", "99")]}],
        f"{api}metrics/get-history": [{"metrics": loss[:2], "next_page_token": "token"}, {"metrics": loss[2:]}],
    }
    service = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=service.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield service
    service.shutdown()
    thread.join()
    service.server_close()


def test_a_server_without_a_login_is_read_page_by_page(server: ThreadingHTTPServer) -> None:
    runs, absent = read(f"http://127.0.0.1:{server.server_port}")
    assert absent == []
    first, second = runs
    assert (first.id, first.experiment, first.parameters["api_key"]) == ("r1", "exp", "[redacted]")
    (loss,) = first.metrics
    assert (loss.values, loss.steps, loss.last) == ([0.5, 0.9, None, 0.7], [0, 1, 2, 3], 0.7)
    assert (second.name, second.parent, second.status) == ("named", "r1", "FAILED")


@pytest.mark.parametrize(("status", "reason"), [(401, "asks for a login"), (403, "asks for a login"), (500, "500")])
def test_a_server_that_refuses_is_not_read(server: ThreadingHTTPServer, status: int, reason: str) -> None:
    server.RequestHandlerClass.status = status  # type: ignore[attr-defined]
    runs, (absent,) = read(f"http://127.0.0.1:{server.server_port}")
    assert runs == []
    assert reason in absent


def test_servers_that_are_none_or_hold_a_login_are_not_asked(server: ThreadingHTTPServer) -> None:
    server.RequestHandlerClass.pages = {"/api/2.0/mlflow/experiments/search": [[]]}  # type: ignore[attr-defined]
    port = server.server_port
    runs, absent = read(f"http://me:pw@127.0.0.1:{port}", f"http://127.0.0.1:{port}", "http://127.0.0.1:1")
    assert runs == []
    for reason, text in zip(absent, ("holds a login", "expected a JSON object", "does not answer"), strict=True):
        assert text in reason
    assert "pw" not in absent[0]


@pytest.mark.parametrize(
    ("uri", "absolute"),
    [
        ("sqlite:///mlflow.db", "sqlite:////w/mlflow.db"),
        ("sqlite:////abs/m.db", "sqlite:////abs/m.db"),
        ("mlruns", "/w/mlruns"),
        ("file:///abs/mlruns", "file:///abs/mlruns"),
        ("http://host:5000", "http://host:5000"),
        ("databricks", "databricks"),
    ],
)
def test_addresses_are_those_of_the_tasks_directory(uri: str, absolute: str) -> None:
    assert absolute_uri(uri, "/w") == absolute
