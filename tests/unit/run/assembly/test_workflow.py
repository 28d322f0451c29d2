from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from prov_worker.errors import InputError
from prov_worker.run.assembly.assemble import assemble
from prov_worker.run.assembly.model import Options
from prov_worker.run.assembly.verify import verify
from prov_worker.run.assembly.workflow import read_workflow
from prov_worker.testing import task_id

FLOW = {
    "Comment": "Reverse, then sort",
    "StartAt": "Transfer",
    "States": {
        "Transfer": {"Type": "Action", "ActionUrl": "https://transfer.actions.globus.org/transfer", "Next": "Reverse"},
        "Reverse": {
            "Type": "Action",
            "ActionUrl": "https://compute.actions.globus.org/v3",
            "Parameters": {"endpoint_id": "e", "tasks": [{"function_id": "0b1bd6fe-5c3f-4a52-9d2b-1f0a6f6a8c01"}]},
            "Next": "Choose",
        },
        "Choose": {"Type": "Choice", "Choices": [{"Variable": "$.x", "Next": "Sort"}], "Default": "Done"},
        "Sort": {
            "Type": "Action",
            "ActionUrl": "https://compute.actions.globus.org/v3",
            "Parameters": {"tasks": [{"function_id": "5d0c2d55-0c3b-4f0b-8a7e-6a5f1d0b9a02"}]},
            "End": True,
        },
        "Done": {"Type": "Pass", "End": True},
    },
}


def written(tmp_path: Path, text: str, name: str = "workflow.yaml") -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


def test_a_globus_flow_gives_its_compute_states_in_order(tmp_path: Path) -> None:
    workflow = read_workflow(written(tmp_path, json.dumps(FLOW), "flow.json"))
    assert (workflow.name, workflow.language) == ("Reverse, then sort", "flow")
    assert [(step.name, step.after) for step in workflow.steps] == [("Reverse", ()), ("Sort", ("Reverse",))]
    url = "https://compute.api.globus.org/v2/functions/5d0c2d55-0c3b-4f0b-8a7e-6a5f1d0b9a02"
    assert workflow.step_of("any", "sort_txt", url) == "Sort"
    assert workflow.step_of("any", "other", "https://example.org/other") is None


FLOWS = Path(__file__).parent / "flows"
#: Steps by definition: name, functions, steps before it. Those of the examples take any function from their input.
PUBLIC: dict[str, list[tuple[str, tuple[str, ...], tuple[str, ...]]]] = {
    "transfer": [],
    "transfer_share": [],
    "transfer_publish": [],
    "looping-batched-transfer-and-delete": [],
    "transfer_compute": [("ProcessFiles", ("compute",), ())],
    "transfer_compute_share": [("ProcessFiles", ("compute",), ())],
    "tar_transfer": [("Tar", ("compute",), ())],
    "gladier-v2": [("MakeData", ("make_data",), ()), ("Tar", ("tar",), ("MakeData",))],
    "gladier-v3": [
        ("MakeData", ("make_data",), ()),
        ("MakeScatterPlot", ("make_scatter_plot", "make_legend"), ("MakeData",)),
    ],
}


def test_each_public_definition_is_there() -> None:
    assert {path.stem for path in FLOWS.iterdir()} == set(PUBLIC)


@pytest.mark.parametrize("name", PUBLIC)
def test_compute_states_of_public_definitions_are_steps(name: str) -> None:
    workflow = read_workflow(FLOWS / f"{name}.json")
    assert [(step.name, step.functions, step.after) for step in workflow.steps] == PUBLIC[name]


@pytest.mark.parametrize(
    ("state", "functions"),
    [
        ({"ActionUrl": "https://compute.actions.globus.org/v3", "Parameters": {"tasks.$": "$.input.tasks"}}, ()),
        ({"ActionUrl": "https://compute.actions.globus.org", "InputPath": "$.input"}, ()),
        ({"ActionUrl": "https://compute.actions.preview.globus.org/v3", "Parameters": {}}, ()),
        ({"ActionUrl": "http://127.0.0.1:8080/v3", "Parameters": {"tasks": [{"function_id": "0b1b"}]}}, ("0b1b",)),
        ({"ActionUrl": "https://compute.actions.globus.org.example.org", "Parameters": {}}, None),
        ({"ActionUrl": "https://other.example.org", "Parameters": {"callback": {"function": "notify"}}}, None),
        ({"Type": "Wait", "Seconds": 5}, None),
    ],
)
def test_what_a_compute_state_is(tmp_path: Path, state: dict[str, Any], functions: tuple[str, ...] | None) -> None:
    definition = {"StartAt": "A", "States": {"A": {"Type": "Action", **state, "End": True}}}
    workflow = read_workflow(written(tmp_path, json.dumps(definition), "flow.json"))
    assert [step.functions for step in workflow.steps] == ([] if functions is None else [functions])


def test_a_definition_as_the_service_shows_it(tmp_path: Path) -> None:
    shown = {"id": "4f1c", "title": "Sort", "definition": FLOW, "input_schema": {}}
    workflow = read_workflow(written(tmp_path, json.dumps(shown), "flow.json"))
    assert [step.name for step in workflow.steps] == ["Reverse", "Sort"]


def test_tasks_belong_to_the_states_that_are_called_after_their_functions(crates: Any, tmp_path: Path) -> None:
    crates.add(1, "make_data")
    crates.add(2, "make_scatter_plot", offset_s=3)
    crates.add(3, "other", offset_s=5)
    result = assemble([crates.directory], tmp_path / "R.crate", Options(workflow=FLOWS / "gladier-v3.json"))
    assert (result.defined, result.idle) == (2, [])
    steps = {
        entity["name"]: entity
        for entity in json.loads((tmp_path / "R.crate" / "ro-crate-metadata.json").read_text())["@graph"]
        if entity["@type"] == "HowToStep"
    }
    assert [(name, step["position"]) for name, step in steps.items()] == [
        ("MakeData", "0"),
        ("MakeScatterPlot", "1"),
        ("other", "2"),
    ]


def test_steps_without_tasks_are_named(crates: Any, tmp_path: Path) -> None:
    crates.add(1, "thumbnail")
    result = assemble([crates.directory], tmp_path / "R.crate", Options(workflow=FLOWS / "transfer_compute.json"))
    assert (result.defined, result.idle) == (1, ["ProcessFiles"])
    nothing = assemble([crates.directory], tmp_path / "S.crate", Options(workflow=FLOWS / "transfer.json"))
    assert (nothing.defined, nothing.idle) == (0, [])


def test_the_record_of_a_run_says_which_state_ran_a_task(crates: Any, tmp_path: Path) -> None:
    """Two states run one function: its name says nothing, the log of the run does."""
    crates.add(1, "fit")
    crates.add(2, "fit", offset_s=3)
    url, tasks = "https://compute.actions.globus.org/v3", [{"function_id.$": "$.input.fit_function_id"}]
    state = {"Type": "Action", "ActionUrl": url, "Parameters": {"endpoint_id": "e", "tasks": tasks}}
    states = {"Coarse": {**state, "Next": "Fine"}, "Fine": {**state, "End": True}}
    entries: list[dict[str, Any]] = [{"code": "FlowStarted", "details": {"input": {}}}]
    for name, task in (("Fine", task_id(1)), ("Coarse", task_id(2))):
        output = {"status": "SUCCEEDED", "details": {"results": [{"task_id": task, "output": None}]}}
        entries.append({"code": "ActionCompleted", "details": {"state_name": name, "output": output}})
    record = tmp_path / "record"
    record.mkdir()
    written(record, json.dumps({"StartAt": "Coarse", "States": states}), "definition.json")
    written(record, json.dumps({"run_id": "r", "entries": entries}), "log.json")
    written(record, "{}", "input.json")
    workflow = read_workflow(record)
    assert workflow.task_step == {task_id(1): "Fine", task_id(2): "Coarse"}
    run = tmp_path / "R.crate"
    assert assemble([crates.directory], run, Options(workflow=record)).idle == []
    assert (run / "flow-log.json").read_bytes() == (record / "log.json").read_bytes()
    entities = {entity["@id"]: entity for entity in json.loads((run / "ro-crate-metadata.json").read_text())["@graph"]}
    assert entities["flow-log.json"]["encodingFormat"] == "application/json"
    assert {"@id": "flow-input.json"} in entities["./"]["hasPart"]
    assert "its log" in (run / "README.md").read_text()
    assert verify(run).changes == []

    written(record, "[", "log.json")
    with pytest.raises(InputError, match=r"log\.json: no log of a run"):
        read_workflow(record)


PLAIN = f"""
name: Rainfall
steps:
  - {{name: fetch, function: read}}
  - {{name: fit, function: [total, merge], after: [fetch]}}
  - {{name: publish, after: fit}}
tasks:
  {task_id(4)}: {{step: fit, after: [{task_id(2)}, {task_id(3)}]}}
groups:
  monday: [{task_id(0)}, {task_id(1)}]
"""


def test_a_plain_definition(tmp_path: Path) -> None:
    workflow = read_workflow(written(tmp_path, PLAIN))
    assert [(step.name, step.functions, step.after) for step in workflow.steps] == [
        ("fetch", ("read",), ()),
        ("fit", ("total", "merge"), ("fetch",)),
        ("publish", ("publish",), ("fit",)),
    ]
    assert workflow.after == {task_id(4): (task_id(2), task_id(3))}


def test_a_run_crate_of_a_defined_workflow(workflow_crates: Any, tmp_path: Path) -> None:
    definition = written(tmp_path, PLAIN)
    run = tmp_path / "R.crate"
    result = assemble([workflow_crates.directory], run, Options(workflow=definition))
    # The stated order of the merge; the argument that came from task 2 is still inferred, from among those stated.
    assert result.links == {"value": 3, "workflow": 2}
    assert (run / "workflow.yaml").read_text() == PLAIN
    entities = {entity["@id"]: entity for entity in json.loads((run / "ro-crate-metadata.json").read_text())["@graph"]}
    assert entities["./"]["mainEntity"]["@id"] == "workflow.yaml"
    assert entities["workflow.yaml"]["name"] == "Rainfall"
    steps = [entities[reference["@id"]] for reference in entities["workflow.yaml"]["step"]]
    # Nothing of the last one ran.
    assert [(step["name"], step["position"]) for step in steps] == [("fetch", "0"), ("fit", "1")]
    assert len(steps[1]["workExample"]) == 2
    assert len(entities["#group-monday"]["hasPart"]) == 2
    assert {"@id": "#group-monday"} in entities["./"]["mentions"]


@pytest.mark.parametrize(
    "text, message",
    [
        ("[1, 2]", "expected a mapping"),
        ("steps: {a: 1}", "steps: expected a list"),
        ("steps: [{function: f}]", r"steps\[0\].name: expected a text"),
        ("steps: [{name: a}, {name: a}]", r"steps\[1\].name: 'a' is there twice"),
        ("steps: [{name: a, after: [b]}]", "steps.a.after: no step 'b'"),
        ("steps: [{name: a}]\ntasks: {t: {step: b}}", "tasks.t.step: no step 'b'"),
        ("tasks: {t: {after: 7}}", "tasks.t.after: expected a text or a list of texts"),
        ("groups: {g: [1]}", "groups.g: expected"),
        ("stepz: []", "stepz: unknown key"),
        ("a: [", "invalid YAML"),
        ("steps: [{name: a, after: a}]", "steps: after one another in a circle: a"),
        ("steps: [{name: a, after: b}, {name: b, after: a}]", "steps: after one another in a circle: "),
        ("tasks: {t: {after: u}, u: {after: t}}", "tasks: after one another in a circle: "),
        ("States: {}\nStartAt: x", "StartAt: no state 'x'"),
        ("States: {a: {Next: b}}\nStartAt: a", "States.a.Next: no state 'b'"),
        ("States: {a: 7}\nStartAt: a", "States.a: expected a mapping"),
    ],
)
def test_a_wrong_definition_is_told_with_its_key(tmp_path: Path, text: str, message: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(InputError, match=message) as caught:
        read_workflow(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_a_definition_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_workflow(tmp_path / "none.yaml")
    with pytest.raises(InputError, match="invalid JSON"):
        read_workflow(written(tmp_path, "{", "w.json"))


def test_a_flow_that_goes_in_circles_ends(tmp_path: Path) -> None:
    states = {
        "a": {"Parameters": {"function_id": "f"}, "Next": "b"},
        "b": {"Parameters": {"function_id": "g"}, "Next": "a"},
    }
    workflow = read_workflow(written(tmp_path, json.dumps({"StartAt": "a", "States": states}), "w.json"))
    assert [(step.name, step.after) for step in workflow.steps] == [("a", ("b",)), ("b", ("a",))]
