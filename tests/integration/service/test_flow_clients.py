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
from flow_clients import rehearsing, write_collections
from service_stack import ALICE, SECRETS, Service, Stack, running

from support.commands import run_program

pytestmark = [pytest.mark.long, pytest.mark.timeout(600), pytest.mark.xdist_group("service-flow-clients")]
ROOT = Path(__file__).parents[3]
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
        self._program = program
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(directory),
            "GLOBUS_CLI_CLIENT_ID": ALICE,
            "GLOBUS_CLI_CLIENT_SECRET": SECRETS[ALICE],
        }
        for name in ("AUTH", "FLOWS", "SEARCH"):
            self._environment[f"GLOBUS_SDK_SERVICE_URL_{name}"] = f"http://127.0.0.1:{service.port}/"

    def text(self, *arguments: str, status: int = 0) -> str:
        done = run_program(self._program, "flows", *arguments, env=self._environment)
        assert done.returncode == status, (arguments, done.stdout, done.stderr)
        return done.stdout + done.stderr

    def json(self, *arguments: str) -> dict[str, Any]:
        done = run_program(self._program, "flows", *arguments, "--format", "json", env=self._environment, check=True)
        return dict(json.loads(done.stdout))


@pytest.fixture
def globus(tmp_path: Path) -> Iterator[GlobusCli]:
    program = program_of("PROV_TEST_GLOBUS_CLI", ".venv-globus-cli/bin/globus")
    with rehearsing(tmp_path / "service") as service:
        yield GlobusCli(program, service, tmp_path)


def test_globus_cli(globus: GlobusCli) -> None:
    definition = json.dumps(HELLO)
    assert "Possible State Traversals: 1" in globus.text("validate", definition)
    wrong = json.dumps({"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "B"}}})
    assert "there is no state" in globus.text("validate", wrong, status=1)
    flow = globus.json("create", "Hello", definition)["id"]
    assert globus.json("show", flow)["definition"] == HELLO
    assert globus.json("update", flow, "--title", "Other")["title"] == "Other"
    assert "Other" in globus.text("list")
    run = globus.json("start", flow, "--input", "{}", "--label", "by cli")["run_id"]
    while (shown := globus.json("run", "show", run))["status"] == "ACTIVE":
        pass
    assert (shown["status"], shown["details"]["output"]) == ("SUCCEEDED", {"a": {"x": 1}})
    assert "FlowSucceeded" in globus.text("run", "show-logs", run)
    assert globus.json("run", "show-definition", run)["definition"] == HELLO
    assert "by cli" in globus.text("run", "list")
    assert "the run has ended" in globus.text("run", "cancel", run, status=1)
    assert globus.json("run", "update", run, "--label", "new")["label"] == "new"
    globus.text("run", "delete", run)
    globus.text("delete", flow)
    assert "No flow exists" in globus.text("show", flow, status=1)


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


def test_gladier(recorded_stack: tuple[Stack, dict[str, str]], tmp_path: Path) -> None:
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
        done = run_program(python, script, tmp_path / "input.json", env=environment, timeout=240)
        assert done.returncode == 0, (done.stdout, done.stderr, stack.logs())
        outcomes[fails] = json.loads(done.stdout.splitlines()[-1])["run"]
    assert [outcomes[fails]["status"] for fails in (False, True)] == ["SUCCEEDED", "FAILED"]
    (result,) = outcomes[False]["details"]["output"]["Double"]["details"]["results"]
    assert result["output"] == 42
    assert [path.name for path in (tmp_path / "home" / "False").iterdir()] == [f"{result['task_id']}.crate"]
    # Which task failed is not told: all crates that are there come.
    assert len(list((tmp_path / "home" / "True").glob("*.crate"))) == 2
