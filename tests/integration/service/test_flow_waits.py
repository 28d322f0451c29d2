"""Runs that wait for somebody: for a person's choice, and for a login that a collection of high assurance asks for."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flow_clients import FlowsUser, rehearsing, transfer, write_collections
from service_stack import ALICE, BOB, SECRETS, Service
from test_flow_commands import act_as, flow

from prov_worker.flow import make

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.xdist_group("service-flow-commands")]
SPEC = """
name: Review
inputs: {note: string}
steps:
  - name: review
    person: {message: $.input.note, options: {accept: continue, reject: stop}, by: [%s]}
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("flow-waits")


@pytest.fixture(scope="module")
def ids(place: Path) -> dict[str, str]:
    return write_collections(place / "collections.json", {"source": {}, "target": {}, "high": {"high_assurance": True}})


@pytest.fixture(scope="module")
def service(place: Path, ids: dict[str, str]) -> Iterator[Service]:
    assert ids
    (place / "source" / "a.dat").write_bytes(b"abc")
    options = ("--collections", str(place / "collections.json"))
    with rehearsing(place / "service", *options) as running:
        yield running


@pytest.fixture
def alice(service: Service, monkeypatch: pytest.MonkeyPatch) -> FlowsUser:
    act_as(monkeypatch, service, ALICE)
    return FlowsUser(monkeypatch, service.port, ALICE)


def login(client_id: str) -> dict[str, str]:
    text = f"{client_id}:{SECRETS[client_id]}"
    return {"Authorization": f"Basic {base64.b64encode(text.encode()).decode()}"}


@pytest.mark.parametrize(("option", "status"), [("accept", "SUCCEEDED"), ("reject", "FAILED")])
def test_a_person_chooses_how_a_flow_goes_on(
    alice: FlowsUser, service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, status: str
) -> None:
    (tmp_path / "flow.yaml").write_text(SPEC % alice.urn)
    made = make(tmp_path / "flow.yaml")
    deployed = alice.deploy(dict(made.definition["States"]), made.schema)
    run = alice.run(deployed, {"input": {"note": "<b>Look</b> at the plots"}})
    alice.wait_for_code(run, "ActionStarted")
    assert flow("status", run) == 0
    (address,) = re.findall(r"waits for a person: (\S+)", capsys.readouterr().out)
    path = address.removeprefix(f"http://127.0.0.1:{service.port}")
    assert path == f"/weboption/landing_page/{run}_review"
    choice = path.replace("landing_page", "option") + f"_{option}"
    while (answer := service.request("GET", path, headers=login(ALICE)))[0] == 404:
        pass  # its pages come with the next look at the run
    page = answer[1].decode()
    assert "&lt;b&gt;Look&lt;/b&gt; at the plots" in page
    assert f'action="{choice}"' in page
    # Options that say who may choose ask for a login; a page without such a list does not.
    assert service.request("POST", choice)[0] == 401
    assert service.request("POST", choice, headers=login(BOB))[0] == 403
    chosen, text, _ = service.request("POST", choice, headers=login(ALICE))
    assert (chosen, option in text.decode()) == (200, True)
    ended = alice.wait(run)
    assert ended["status"] == status
    if status == "SUCCEEDED":
        assert ended["details"]["output"]["review"]["details"] == {
            "name": option,
            "url_suffix": f"{run}_review_{option}",
        }
    else:
        assert ended["details"]["details"]["error"] == "review_stopped"
    for gone in (path, choice):
        assert service.request("GET", gone, headers=login(ALICE))[0] == 404


def test_a_choice_that_nobody_takes_times_out_and_is_offered_no_longer(alice: FlowsUser, service: Service) -> None:
    body = {"options": [{"name": "yes", "url_suffix": "only-once"}]}
    state = {
        "Type": "Action", "ActionUrl": "https://actions.globus.org/weboption/wait_for_option", "Parameters": body,
        "WaitTime": 1, "ResultPath": "$.choice", "End": True,
    }  # fmt: skip
    deployed = alice.deploy({"Ask": state})
    assert alice.wait(alice.run(deployed, {}))["details"]["details"]["error"] == "ActionTimeout"
    assert service.request("GET", "/weboption/option/only-once")[0] == 404


def test_a_run_waits_for_a_login_that_a_collection_asks_for(
    alice: FlowsUser, ids: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str], place: Path
) -> None:
    definition = {"StartAt": "Move", "States": {"Move": transfer(ids["source"], ids["high"], End=True)}}
    (tmp_path / "definition.json").write_text(json.dumps(definition))
    (tmp_path / "input.json").write_text("{}")
    assert flow("deploy", tmp_path / "definition.json", "--yes") == 0
    capsys.readouterr()
    assert flow("run", tmp_path / "definition.json", "--input", tmp_path / "input.json", "--wait") == 1
    shown = capsys.readouterr().out
    assert "INACTIVE" in shown
    assert "needs a login with required policies: " in shown
    assert "high has high assurance" in shown
    (run,) = re.findall(r"--resume (\S+)", shown)
    assert flow("status", run, "--json") == 1
    session: dict[str, Any] = json.loads(capsys.readouterr().out)["required_session"]
    assert set(session) == {"session_message", "session_required_policies"}
    assert flow("run", "--resume", run, "--login", "--wait") == 0
    assert (place / "high" / "got" / "a.dat").exists()


def test_a_dry_run_says_which_paths_are_not_there(
    alice: FlowsUser, ids: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str], place: Path
) -> None:
    """A path that an earlier state may make is no problem; nothing is started, and nothing made."""
    unknown = "6c54cade-bde5-45c1-bdea-f4bd71dba2cc"

    def move(source: str, target: str, item: dict[str, Any], follows: str | None = None) -> dict[str, Any]:
        state = transfer(source, target, **({"Next": follows} if follows else {"End": True}))
        state["Parameters"]["DATA"] = [item]
        return state

    states = {
        "Fetch": move(ids["source"], ids["target"], {
            "source_path.$": "$.input.path", "destination_path": "/new", "recursive": True}, "Back"),
        "Back": move(ids["target"], ids["source"], {"source_path": "/new/x", "destination_path": "/x"}),
    }  # fmt: skip
    schema = {"type": "object", "required": ["input"], "properties": {"input": {
        "type": "object", "required": ["path"], "properties": {"path": {"type": "string"}}}}}  # fmt: skip
    files = {name: tmp_path / f"{name}.json" for name in ("definition", "schema", "good", "file", "none", "other")}
    files["definition"].write_text(json.dumps({"StartAt": "Fetch", "States": states}))
    files["schema"].write_text(json.dumps(schema))
    for name, path in (("good", "/"), ("file", "/a.dat"), ("none", "/none")):
        files[name].write_text(json.dumps({"input": {"path": path}}))
    assert flow("deploy", files["definition"], files["schema"], "--yes") == 0
    capsys.readouterr()

    def looked(name: str) -> tuple[int, str]:
        return flow("run", files["definition"], "--input", files[name], "--dry-run"), capsys.readouterr().out

    status, text = looked("good")
    assert (status, f"collection {ids['source']}: online" in text) == (0, True), text
    assert f"path {ids['source']}:/: dir" in text
    assert f"path {ids['target']}:/new/x: not there" in text
    for name, reason in (("file", "is a file, and recursive is true"), ("none", "is not there")):
        status, text = looked(name)
        assert (status, f"Fetch: {ids['source']}:/{'a.dat' if name == 'file' else name} {reason}" in text) == (
            1,
            True,
        ), text
    assert list((place / "target").iterdir()) == []
    states["Fetch"]["Parameters"]["source_endpoint"] = unknown
    files["definition"].write_text(json.dumps({"StartAt": "Fetch", "States": states}))
    assert flow("deploy", files["definition"], files["schema"], "--yes") == 0
    capsys.readouterr()
    status, text = looked("good")
    assert (status, f"collection {unknown} is not there, or not shown to you" in text) == (1, True), text
