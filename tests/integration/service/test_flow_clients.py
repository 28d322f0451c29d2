"""The rehearsal as clients other than the SDK use it: globus-cli and Gladier, each in an environment of its own.

They do not fit into one with this package's; ``make globus-cli gladier`` makes these, and ``make`` sets the variables
that say where they are.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flow_clients import FlowsUser, rehearsing, transfer, write_collections
from service_stack import ALICE, SECRETS, Service, Stack, running

from support.commands import run_program

pytestmark = [pytest.mark.long, pytest.mark.timeout(600), pytest.mark.xdist_group("service-flow-clients")]
ROOT = Path(__file__).parents[3]
COLLECTIONS: dict[str, dict[str, Any]] = {"source": {}, "target": {}, "mapped": {"data_access": True}}
HELLO = {"StartAt": "A", "States": {"A": {"Type": "Pass", "Result": {"x": 1}, "ResultPath": "$.a", "End": True}}}


def program_of(variable: str, default: str) -> Path:
    """A program of another environment; skips, and says how to make it."""
    path = Path(os.environ.get(variable) or ROOT / default)
    if not path.exists():
        pytest.skip(f"{variable}: {path} is not there: make globus-cli gladier")
    return path


class GlobusCli:
    """globus-cli as a client of the service."""

    def __init__(self, program: Path, service: Service, directory: Path) -> None:
        self._program, self.port = program, service.port
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(directory),
            "GLOBUS_CLI_CLIENT_ID": ALICE,
            "GLOBUS_CLI_CLIENT_SECRET": SECRETS[ALICE],
        }
        for name in ("AUTH", "FLOWS", "SEARCH", "TRANSFER", "TIMER"):
            self._environment[f"GLOBUS_SDK_SERVICE_URL_{name}"] = f"http://127.0.0.1:{service.port}/"

    def text(self, *arguments: str, status: int = 0) -> str:
        done = run_program(self._program, *arguments, env=self._environment)
        assert done.returncode == status, (arguments, done.stdout, done.stderr)
        return done.stdout + done.stderr

    def json(self, *arguments: str) -> Any:
        done = run_program(self._program, *arguments, "--format", "json", env=self._environment)
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)
        return json.loads(done.stdout)

    def flows(self, *arguments: str, status: int = 0) -> str:
        return self.text("flows", *arguments, status=status)

    def flows_json(self, *arguments: str) -> dict[str, Any]:
        return dict(self.json("flows", *arguments))


@pytest.fixture
def globus(tmp_path: Path) -> Iterator[GlobusCli]:
    program = program_of("PROV_TEST_GLOBUS_CLI", ".venv-globus-cli/bin/globus")
    assert write_collections(tmp_path / "collections.json", COLLECTIONS)
    with rehearsing(tmp_path / "service", "--collections", str(tmp_path / "collections.json")) as service:
        yield GlobusCli(program, service, tmp_path)


@pytest.fixture
def ids(tmp_path: Path) -> dict[str, str]:
    return write_collections(tmp_path / "collections.json", COLLECTIONS)


def test_globus_flows(globus: GlobusCli) -> None:
    definition = json.dumps(HELLO)
    assert "Possible State Traversals: 1" in globus.flows("validate", definition)
    wrong = json.dumps({"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "B"}}})
    assert "there is no state" in globus.flows("validate", wrong, status=1)
    flow = globus.flows_json("create", "Hello", definition)["id"]
    assert globus.flows_json("show", flow)["definition"] == HELLO
    assert globus.flows_json("update", flow, "--title", "Other")["title"] == "Other"
    assert "Other" in globus.flows("list")
    run = globus.flows_json("start", flow, "--input", "{}", "--label", "by cli")["run_id"]
    while (shown := globus.flows_json("run", "show", run))["status"] == "ACTIVE":
        pass
    assert (shown["status"], shown["details"]["output"]) == ("SUCCEEDED", {"a": {"x": 1}})
    assert "FlowSucceeded" in globus.flows("run", "show-logs", run)
    assert globus.flows_json("run", "show-definition", run)["definition"] == HELLO
    assert "by cli" in globus.flows("run", "list")
    assert "the run has ended" in globus.flows("run", "cancel", run, status=1)
    assert globus.flows_json("run", "update", run, "--label", "new")["label"] == "new"
    globus.flows("run", "delete", run)
    globus.flows("delete", flow)
    assert "No flow exists" in globus.flows("show", flow, status=1)


def test_globus_transfer_and_its_directories(globus: GlobusCli, ids: dict[str, str], tmp_path: Path) -> None:
    source, target, mapped = (ids[name] for name in COLLECTIONS)
    (tmp_path / "source" / "data").mkdir()
    (tmp_path / "source" / "data" / "a.dat").write_bytes(b"a")
    assert "source" in globus.text("endpoint", "search", "source")
    assert globus.json("endpoint", "show", source)["display_name"] == "source"
    assert globus.text("ls", f"{source}:/", "--recursive").split() == ["data/", "data/a.dat"]
    assert globus.json("stat", f"{source}:/data/a.dat")["size"] == 1
    globus.text("mkdir", f"{target}:/made")
    globus.text("rename", target, "/made", "/named")
    task = globus.json(
        "transfer",
        f"{source}:/data",
        f"{target}:/named/data",
        "--recursive",
        "--label",
        "by cli",
        "--sync-level",
        "checksum",
    )["task_id"]
    globus.text("task", "wait", task, "--timeout", "60", "--polling-interval", "1")
    shown = globus.json("task", "show", task)
    assert (shown["status"], shown["files_transferred"], shown["label"]) == ("SUCCEEDED", 1, "by cli")
    assert "/data/a.dat" in globus.text("task", "show", task, "--successful-transfers")
    assert "SUCCEEDED" in globus.text("task", "event-list", task)
    assert task in globus.text("task", "list", "--filter-label", "by cli", "--filter-status", "SUCCEEDED")
    assert "by cli" not in globus.text("task", "list", "--filter-not-label", "by cli")
    globus.text("task", "pause-info", task)
    assert "completed before" in globus.text("task", "cancel", task)
    globus.text("rm", f"{target}:/named", "--recursive", "--polling-interval", "1", "--timeout", "60")
    assert globus.text("ls", f"{target}:/").split() == []
    # The client asks for the consent by itself.
    assert globus.text("ls", f"{mapped}:/").split() == []


def test_globus_flows_run_resume(globus: GlobusCli, ids: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that lacks a consent is resumed once the consent was given; a client gives it by another program."""
    definition = {"StartAt": "Move", "States": {"Move": transfer(ids["source"], ids["mapped"], End=True)}}
    flow = globus.flows_json("create", "Copy", json.dumps(definition))["id"]
    run = globus.flows_json("start", flow, "--input", "{}")["run_id"]
    while (status := globus.flows_json("run", "show", run)["status"]) == "ACTIVE":
        pass
    assert status == "INACTIVE"
    assert "missing a necessary consent" in globus.flows("run", "resume", run, status=4)
    user = FlowsUser(monkeypatch, globus.port, ALICE)
    user.specific(flow).add_app_transfer_data_access_scope(ids["mapped"])
    user.app.login(force=True)
    globus.flows("run", "resume", run)
    assert user.wait(run)["status"] == "SUCCEEDED"


def test_globus_timer(globus: GlobusCli, ids: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "source" / "a.dat").write_bytes(b"a")
    source, target, mapped = (ids[name] for name in COLLECTIONS)
    flow = globus.flows_json("create", "Hello", json.dumps(HELLO))["id"]
    once = ("--stop-after-runs", "1")
    timers = {
        "flow": globus.json("timer", "create", "flow", flow, "--input", "{}", "--name", "of a flow", *once),
        "copy": globus.json("timer", "create", "transfer", f"{source}:/a.dat", f"{target}:/a.dat", *once),
        "mapped": globus.json("timer", "create", "transfer", f"{source}:/a.dat", f"{mapped}:/a.dat", *once),
    }
    text = globus.text("timer", "create", "transfer", f"{source}:/a.dat", f"{target}:/b.dat", "--interval", "1h",
                       "--start", "2100-01-01", "--stop-after-runs", "3")  # fmt: skip
    assert "every 3600 seconds" in text
    assert "running for 3 iterations" in text
    for name, made in timers.items():
        timer = made["job_id"]
        while (shown := globus.json("timer", "show", timer))["status"] != "ended":
            pass
        assert (shown["n_runs"], shown["n_errors"]) == (1, 0), (name, shown)
    assert "This timer is no longer active" in globus.text("timer", "show", timer)
    (last,) = [job for job in globus.json("timer", "list") if job["status"] != "ended"]
    timer = last["job_id"]
    assert "Awaiting the next run" in globus.text("timer", "show", timer)
    assert "paused" in globus.text("timer", "pause", timer)
    assert "Paused, awaiting user action" in globus.text("timer", "show", timer)
    assert "resumed" in globus.text("timer", "resume", timer)
    assert "of a flow" in globus.text("timer", "list")
    globus.text("timer", "delete", timer)
    assert "No timer exists" in globus.text("timer", "show", timer, status=1)
    for path in (tmp_path / "target" / "a.dat", tmp_path / "mapped" / "a.dat"):
        while not path.exists():
            pass


@pytest.fixture
def recorded_stack(tmp_path: Path) -> Iterator[tuple[Stack, dict[str, str]]]:
    """A stack whose endpoint has the stock engine, and records by variables alone, as where ``worker_init`` is all."""
    ids = write_collections(tmp_path / "collections.json", {"crates": {}, "home": {}})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PROV_WORKER", "1")
        patch.setenv("PROV_WORKER_CRATE_DIR", str(tmp_path / "crates"))
        patch.setenv("PROV_WORKER_WRITE", "before_result")
        with running(tmp_path / "stack", "--flows", "--collections", str(tmp_path / "collections.json")) as stack:
            yield stack, ids


@pytest.mark.parametrize("provider", ["https://compute.actions.globus.org", "https://compute.actions.globus.org/v3"])
def test_gladier(recorded_stack: tuple[Stack, dict[str, str]], tmp_path: Path, provider: str) -> None:
    python = program_of("PROV_TEST_GLADIER", ".venv-gladier/bin/python")
    stack, ids = recorded_stack
    assert stack.daemon is not None
    environment = {
        **stack.sdk_environment(), "PATH": os.environ["PATH"], "HOME": str(tmp_path),
        "GLADIER_CLIENT_ID": ALICE, "GLADIER_CLIENT_SECRET": SECRETS[ALICE],
    }  # fmt: skip
    script = Path(__file__).with_name("gladier_client.py")
    outcomes = {}
    for fails in (False, True):
        value = {
            "number": 21, "fails": fails, "compute_endpoint": stack.daemon.id, "prov_compute_GCS_id": ids["crates"],
            "orchestration_server_endpoint_id": ids["home"], "_provenance_crate_destination_directory": f"/{fails}",
        }  # fmt: skip
        (tmp_path / "input.json").write_text(json.dumps({"input": value}))
        done = run_program(python, script, tmp_path / "input.json", provider, env=environment, timeout=240)
        assert done.returncode == 0, (done.stdout, done.stderr, stack.logs())
        outcomes[fails] = json.loads(done.stdout.splitlines()[-1])["run"]
    assert [outcomes[fails]["status"] for fails in (False, True)] == ["SUCCEEDED", "FAILED"]
    (result,) = outcomes[False]["details"]["output"]["Double"]["details"]["results"]
    assert result["output"] == 42
    assert [path.name for path in (tmp_path / "home" / "False").iterdir()] == [f"{result['task_id']}.crate"]
    # Which task failed is not told: all crates that are there come. By version 3 the failed step ends the flow.
    assert len(list((tmp_path / "home" / "True").glob("*.crate"))) == (0 if provider.endswith("/v3") else 2)
