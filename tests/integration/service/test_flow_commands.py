"""``flow deploy``, ``run``, ``status`` and ``record`` at the rehearsal, by the real globus-sdk."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flow_clients import FLOWS_VARIABLES, FlowsUser, rehearsing, transfer, write_collections
from service_stack import ALICE, BOB, SECRETS, Service

from prov_worker.cli.main import run as cli

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.xdist_group("service-flow-commands")]
UNKNOWN = "6c54cade-bde5-45c1-bdea-f4bd71dba2cc"
SCHEMA = {
    "type": "object",
    "required": ["input"],
    "properties": {
        "input": {
            "type": "object",
            "required": ["target"],
            "properties": {"target": {"type": "string"}, "n": {"type": "integer"}},
        }
    },
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("flow-commands")


@pytest.fixture(scope="module")
def ids(place: Path) -> dict[str, str]:
    names: dict[str, dict[str, Any]] = {"source": {}, "target": {}, "mapped": {"data_access": True}}
    return write_collections(place / "collections.json", names)


@pytest.fixture(scope="module")
def service(place: Path, ids: dict[str, str]) -> Iterator[Service]:
    (place / "source" / "a.dat").write_bytes(bytes(len(ids)))
    with rehearsing(place / "service", "--collections", str(place / "collections.json")) as running:
        yield running


def act_as(patch: pytest.MonkeyPatch, service: Service, client_id: str) -> None:
    for name in FLOWS_VARIABLES:
        patch.setenv(name, f"http://127.0.0.1:{service.port}/")
    patch.setenv("GLOBUS_COMPUTE_CLIENT_ID", client_id)
    patch.setenv("GLOBUS_COMPUTE_CLIENT_SECRET", SECRETS[client_id])


@pytest.fixture(autouse=True)
def alice(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    act_as(monkeypatch, service, ALICE)


@pytest.fixture
def files(tmp_path: Path, ids: dict[str, str]) -> Path:
    """A directory with definition, schema and inputs."""
    move = transfer(ids["source"], "", End=True)
    del move["Parameters"]["destination_endpoint"]
    move["Parameters"]["destination_endpoint.$"] = "$.input.target"
    definition = {"Comment": "Copy", "StartAt": "Move", "States": {"Move": move}}
    for name, content in (
        ("definition", definition),
        ("schema", SCHEMA),
        ("input", {"input": {"target": ids["target"]}}),
        ("mapped", {"input": {"target": ids["mapped"]}}),
        ("wrong", {"input": {"n": "x"}}),
    ):
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    return tmp_path


def flow(*arguments: str | Path) -> int:
    return cli(["flow", *map(str, arguments)])


def test_deploying_twice_writes_once(files: Path, capsys: pytest.CaptureFixture[str], service: Service) -> None:
    given = (files / "definition.json", files / "schema.json")
    assert flow("deploy", *given, "--dry-run") == 1
    assert not (files / "deployed.json").exists()
    assert flow("deploy", *given) == 2
    assert "say --yes" in capsys.readouterr().err
    assert flow("deploy", *given, "--yes") == 0
    noted = json.loads((files / "deployed.json").read_text())
    (flow_id,) = noted.values()
    assert list(noted) == [f"http://127.0.0.1:{service.port}"]
    capsys.readouterr()
    assert flow("deploy", *given, "--yes") == 0
    assert capsys.readouterr().out == f"{flow_id}: nothing to do: the service has the same\n"
    text = (files / "definition.json").read_text()
    (files / "definition.json").write_text(text.replace('"WaitTime": 300', '"WaitTime": 200'))
    assert flow("deploy", *given, "--dry-run") == 1
    shown = capsys.readouterr().out
    assert re.search(r'-\s+"WaitTime": 300\n\+\s+"WaitTime": 200', shown)
    assert flow("deploy", *given, "--json", "--title", "Other") == 0
    assert json.loads(capsys.readouterr().out) == {
        "changed": ["definition", "title"], "flow": flow_id, "service": next(iter(noted)), "written": True,
    }  # fmt: skip


def test_a_run_is_looked_at_started_shown_and_recorded(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    definition = files / "definition.json"
    assert flow("deploy", definition, files / "schema.json", "--yes") == 0
    assert flow("run", definition, "--input", files / "wrong.json", "--dry-run") == 1
    shown = capsys.readouterr().out
    assert "'x' is not of type 'integer'" in shown
    assert "FLOW_INPUT_ERROR" in shown
    assert flow("run", definition, "--input", files / "input.json", "--dry-run") == 0
    assert "it would run; nothing was started" in capsys.readouterr().out
    assert flow("run", definition, "--input", files / "input.json", "--label", "one", "--tag", "t", "--wait") == 0
    run_id = capsys.readouterr().out.split(":")[0]
    assert flow("status", run_id, "--json") == 0
    status = json.loads(capsys.readouterr().out)
    assert [(state["name"], state["failed"]) for state in status["states"]] == [("Move", False)]
    assert (status["run"]["label"], status["run"]["tags"]) == ("one", ["t"])
    record = files / "record"
    assert flow("record", run_id, "-o", record) == 0
    assert json.loads((record / "definition.json").read_text()) == json.loads(definition.read_text())
    assert json.loads((record / "input.json").read_text()) == json.loads((files / "input.json").read_text())
    assert json.loads((record / "log.json").read_text())["entries"][-1]["code"] == "FlowSucceeded"
    assert flow("record", run_id, "-o", record) == 0
    capsys.readouterr()
    assert flow("run", definition, "--input", files / "input.json", "--json") == 0
    other = json.loads(capsys.readouterr().out)["run"]
    assert flow("record", other, "-o", record) == 2
    assert "the record of another run" in capsys.readouterr().err


def test_a_run_that_waits_for_a_consent_is_resumed_after_a_login(
    files: Path, capsys: pytest.CaptureFixture[str], ids: dict[str, str]
) -> None:
    definition = files / "definition.json"
    assert flow("deploy", definition, files / "schema.json", "--yes") == 0
    assert flow("run", definition, "--input", files / "mapped.json", "--wait") == 1
    shown = capsys.readouterr().out
    assert f"{ids['mapped']}/data_access" in shown
    run_id = re.findall(r"--resume (\S+)", shown)[0]
    assert flow("run", "--resume", run_id, "--login", "--wait") == 0
    # From now on the consent is there.
    assert flow("run", definition, "--input", files / "mapped.json", "--wait") == 0


def test_what_is_wrong_is_one_line_and_exit_code_2(
    files: Path, capsys: pytest.CaptureFixture[str], service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = files / "broken.json"
    broken.write_text('{"StartAt": "A",\n "States": }')
    dead_end = files / "dead-end.json"
    dead_end.write_text('{"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "B"}}}')
    occupied = files / "occupied"
    occupied.mkdir()
    (occupied / "other.txt").write_text("x")
    definition, value = files / "definition.json", files / "input.json"
    assert flow("deploy", definition, files / "schema.json", "--yes") == 0
    (flow_id,) = json.loads((files / "deployed.json").read_text()).values()
    run_id = FlowsUser(monkeypatch, service.port, ALICE).run(flow_id, json.loads(value.read_text()))
    cases: list[tuple[tuple[str | Path, ...], str]] = [
        (("deploy", broken), f"{broken}:2:12: invalid JSON"),
        (("deploy", dead_end, "--yes"), "$.States.A.Next: there is no state"),
        (("deploy", definition, "--flow", UNKNOWN), f"{UNKNOWN}: 404 NOT_FOUND"),
        (("run", UNKNOWN, "--input", value), f"{UNKNOWN}: 404 NOT_FOUND"),
        (("run", "somewhere", "--input", value), "neither the id of a flow nor a definition"),
        (("run", dead_end, "--input", value), "dead-end.json: not deployed"),
        (("run", flow_id, "--input", broken), f"{broken}:2:12: invalid JSON"),
        (("run", flow_id, "--input", files / "none.json"), "none.json: cannot be read: No such file"),
        (("run", flow_id, "--input", files / "wrong.json"), "400 FLOW_INPUT_ERROR"),
        (("run", "--resume", run_id), "409 STATE_CONFLICT"),
        (("status", UNKNOWN), f"{UNKNOWN}: 404 NOT_FOUND"),
        (("record", UNKNOWN, "-o", files / "r"), f"{UNKNOWN}: 404 NOT_FOUND"),
        (("record", run_id, "-o", occupied), "holds something else"),
        (("record", run_id, "-o", value), "not a directory"),
    ]
    FlowsUser(monkeypatch, service.port, ALICE).wait(run_id)
    act_as(monkeypatch, service, ALICE)
    capsys.readouterr()
    for arguments, text in cases:
        if arguments[0] == "deploy" and dead_end in arguments:
            (files / "deployed.json").unlink()
        assert flow(*arguments) == 2, arguments
        error = capsys.readouterr().err
        assert text in error
        assert len(error.splitlines()) == 1, error
    assert not (files / "r").exists()
    act_as(monkeypatch, service, BOB)
    assert flow("status", run_id) == 2
    assert "404 NOT_FOUND" in capsys.readouterr().err
