"""``--flow``: a run per folder by the real SDK, started once, with an input that no name of a folder can break."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from prov_worker.cli.main import run
from prov_worker.trigger.actions.action import ActionError
from prov_worker.trigger.actions.template import Template
from prov_worker.trigger.watcher import Settled
from support.flows_service import FlowsService

pytest.importorskip("globus_sdk")
FLOW = "6c54cade-bde5-45c1-bdea-f4bd71dba2cc"


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FlowsService]:
    service = FlowsService()
    for name, value in {
        "HOME": str(tmp_path / "user"),
        "GLOBUS_SDK_SERVICE_URL_AUTH": service.url,
        "GLOBUS_SDK_SERVICE_URL_FLOWS": service.url,
        "GLOBUS_COMPUTE_CLIENT_ID": "11111111-2222-4333-8444-555555555555",
        "GLOBUS_COMPUTE_CLIENT_SECRET": "the-secret-of-the-client",
    }.items():
        monkeypatch.setenv(name, value)
    yield service
    service.close()


def a_folder(path: Path) -> Settled:
    return Settled(path, 2, 30, 1_790_000_000_000_000_000, 1_790_000_060_000_000_000, "content")


def a_template(tmp_path: Path, text: str = '{"input": {"path": "{{ path }}", "n": {{ files }}}}') -> Path:
    path = tmp_path / "input.json.j2"
    path.write_text(text)
    return path


def action(tmp_path: Path, **options: Any) -> Any:
    from prov_worker.trigger.actions.flow import FlowAction

    return FlowAction(FLOW, Template(a_template(tmp_path)), **options)


def test_a_run_is_started_with_the_input_of_the_folder(service: FlowsService, tmp_path: Path) -> None:
    outcome = action(tmp_path).begin("key-1", a_folder(tmp_path / "run1"), again=False)
    (started,) = service.runs
    assert started["body"] == {"input": {"path": str(tmp_path / "run1"), "n": 2}}
    assert (started["label"], started["tags"]) == ("run1", ["trigger-key-1"])
    assert outcome.run == {
        "flow": FLOW,
        "run": started["run_id"],
        "url": f"https://app.globus.org/runs/{started['run_id']}",
    }


def test_a_run_that_was_started_before_a_crash_is_not_started_again(service: FlowsService, tmp_path: Path) -> None:
    first = action(tmp_path).begin("key-1", a_folder(tmp_path / "run1"), again=False)
    action(tmp_path).begin("key-2", a_folder(tmp_path / "run2"), again=False)
    again = action(tmp_path).begin("key-1", a_folder(tmp_path / "run1"), again=True)
    assert again == first
    assert len(service.runs) == 2
    # and one that was not is started
    action(tmp_path).begin("key-3", a_folder(tmp_path / "run3"), again=True)
    assert len(service.runs) == 3


def test_what_the_service_refuses_is_said_in_a_line(service: FlowsService, tmp_path: Path) -> None:
    service.refuses = (403, {"error": {"code": "FLOW_ERROR", "detail": "Missing permissions: RUN"}})
    flow = action(tmp_path)
    with pytest.raises(ActionError, match="403 FLOW_ERROR Missing permissions: RUN"):
        flow.begin("key-1", a_folder(tmp_path / "run1"), again=False)
    with pytest.raises(ActionError, match="403 FLOW_ERROR"):
        flow.preview(a_folder(tmp_path / "run1"))
    assert service.runs == []


def test_an_input_is_held_against_the_schema_first(service: FlowsService, tmp_path: Path) -> None:
    schema = tmp_path / "schema.json"
    schema.write_text(json.dumps({"type": "object", "properties": {"input": {"type": "string"}}}))
    with pytest.raises(ActionError, match=r"does not follow .*schema.json: \$.input: "):
        action(tmp_path, schema=schema).begin("key-1", a_folder(tmp_path / "run1"), again=False)
    assert service.runs == []


def test_the_command_starts_a_run_per_folder_once(service: FlowsService, tmp_path: Path) -> None:
    for name in ("run1", "run2"):
        (tmp_path / "data" / name).mkdir(parents=True)
        (tmp_path / "data" / name / "a").write_text("a")
    command = ["trigger", str(tmp_path / "data"), "--settle", "0.01", "--state", str(tmp_path / "state"), "--once"]
    command += ["--flow", FLOW, "--input", str(a_template(tmp_path))]
    for _ in range(3):
        assert run(command) == 0
        time.sleep(0.02)  # longer than a folder has to rest
    assert sorted(Path(started["body"]["input"]["path"]).name for started in service.runs) == ["run1", "run2"]
    crates = sorted((tmp_path / "state.crates").iterdir())
    graph = json.loads((crates[0] / "ro-crate-metadata.json").read_text())["@graph"]
    urls = {f"https://app.globus.org/runs/{started['run_id']}" for started in service.runs}
    assert {entity["@id"] for entity in graph} & urls
    assert "the-secret-of-the-client" not in (tmp_path / "state").read_text() + json.dumps(graph)


def test_a_dry_run_has_the_service_look_at_the_input(
    service: FlowsService, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "data" / "run1").mkdir(parents=True)
    (tmp_path / "data" / "run1" / "a").write_text("a")
    command = ["trigger", str(tmp_path / "data"), "--dry-run", "--flow", FLOW, "--input", str(a_template(tmp_path))]
    assert run(command) == 0
    assert f"flow {FLOW} with an input that the service takes" in capsys.readouterr().out
    service.refuses = (422, {"error": {"code": "FLOW_INPUT_ERROR", "detail": "$.n is not a string"}})
    assert run(command) == 1
    assert "422 FLOW_INPUT_ERROR $.n is not a string" in capsys.readouterr().out
    assert service.runs == []


@pytest.mark.parametrize("name", ['a", "n": 7, "x": "', "a\nb", "a\\", "{{ path }}", "ä"])
def test_no_name_of_a_folder_breaks_out_of_its_place(tmp_path: Path, name: str) -> None:
    texts = ('{"p": "{{ path }}", "n": "{{ name }}"}', '{"p": {{ path | tojson }}, "n": {{ name | tojson }}}')
    for text in texts:
        value = Template(a_template(tmp_path, text)).render(a_folder(Path("/data") / name), "key")
        assert value == {"p": f"/data/{name}", "n": name}


def test_a_template_gets_what_is_set_and_the_times(tmp_path: Path) -> None:
    template = Template(
        a_template(tmp_path, '{"a": "{{ id }}", "s": "{{ settled }}", "b": {{ bytes }}}'), {"id": 'x"y'}
    )
    value = template.render(a_folder(tmp_path), "key")
    assert (value["a"], value["b"], value["s"][:4]) == ('x"y', 30, "2026")
    with pytest.raises(ActionError, match="gives no input: .*invalid JSON"):
        Template(a_template(tmp_path, '{"a": {{ name }}}')).render(a_folder(tmp_path / "run1"), "key")
