"""``flow.make``: what a person writes becomes a flow that is right, and crates are brought back whatever happens."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jinja2.meta
import pytest
import yaml
from unit_flow import UUID, Json

from prov_worker.errors import InputError
from prov_worker.flow import check, load, make
from prov_worker.run.assembly.workflow import read_workflow

SPEC = """
name: Beam time
inputs:
  raw: collection
  scratch: {type: collection, title: Where tasks run}
  crates: collection
  home: {type: collection, default: {id: 31ce9ba0-176d-45a5-add3-f37d233ba47d, path: /archive/}}
  endpoint: uuid
  fit_function_id: uuid
  report_function_id: uuid
  segments: {type: array, items: object}
  threshold: {type: number, default: 0.5}
crates: {from: crates, to: home/crates}
steps:
  - name: fetch
    transfer: {from: raw, to: scratch/in}
  - name: fit
    compute:
      endpoint: $.input.endpoint
      function: $.input.fit_function_id
      batch: $.input.segments
      walltime: "01:00:00"
  - name: review
    person: {message: "=`$.fit.status` + ': look at the plots'", options: {accept: continue, reject: stop}}
  - name: report
    compute:
      endpoint: $.input.endpoint
      function: $.input.report_function_id
      args: [$.fit.details.results, 3, $$.text]
      kwargs: {threshold: $.input.threshold, title: The fit}
      config: {walltime: "00:10:00"}
      wait: "02:00:00"
  - name: keep
    transfer: {from: scratch/out, to: home}
"""


def spec() -> Json:
    data: Json = yaml.safe_load(SPEC)
    return data


def walk(definition: Json, failing: str | None = None, choice: str = "accept") -> list[str]:
    """Names of the states that a run comes by, if the action of one of them fails."""
    names = [definition["StartAt"]]
    while True:
        state = definition["States"][names[-1]]
        if state.get("End") or state["Type"] == "Fail":
            return names
        if names[-1] == failing:
            names.append(state["Catch"][0]["Next"])
        elif state["Type"] == "Choice":
            matches = [rule["Next"] for rule in state["Choices"] if rule["StringEquals"] == choice]
            names.append(matches[0] if matches else state["Default"])
        else:
            names.append(state["Next"])


def test_what_is_made_is_right(tmp_path: Path) -> None:
    made = make(spec())
    assert [f for f in check(load(made.definition, made.schema)) if f.level != "note"] == []
    assert walk(made.definition) == [
        "fetch",
        "fit",
        "fit_crates",
        "fit_crates_home",
        "review",
        "review_choice",
        "report",
        "report_crates",
        "report_crates_home",
        "keep",
        "done",
    ]
    assert walk(made.definition, choice="reject")[-1] == "review_stopped"


@pytest.mark.parametrize("step", ["fit", "report"])
def test_crates_come_home_if_a_step_fails_and_the_flow_fails(step: str) -> None:
    definition = make(spec()).definition
    way = walk(definition, failing=step)
    assert way[-4:] == [step, f"{step}_failed_wait", f"{step}_failed_crates_home", f"{step}_failed"]
    assert definition["States"][way[-1]]["Type"] == "Fail"
    rescue = definition["States"][f"{step}_failed_crates_home"]
    assert rescue["Parameters"]["DATA"][0]["recursive"] is True
    assert rescue["Parameters"]["sync_level"] == 3
    # and if they cannot come either, it still ends as failed
    assert rescue["Catch"][0]["Next"] == f"{step}_failed"


def test_crates_of_all_tasks_of_a_step_come_by_their_ids() -> None:
    definition = make(spec()).definition
    text = definition["States"]["fit_crates"]["Parameters"]["items.="]
    results = [{"task_id": f"task-{number}", "output": None} for number in range(3)]
    home = {"path": "/archive/"}

    class Names(dict[str, Any]):
        def __getattr__(self, key: str) -> Any:
            value = self[key]
            return Names(value) if isinstance(value, dict) else value

    state = {
        "fit": Names(details={"results": [Names(result) for result in results]}),
        "input": Names(crates={"path": "/crates"}, home=home),
    }
    items = eval(text, state)  # Flows' expressions are Python's, as far as these go
    assert [item["source_path"] for item in items] == [f"/crates/task-{n}.crate/" for n in range(3)]
    assert [item["destination_path"] for item in items] == [f"/archive/crates/task-{n}.crate/" for n in range(3)]


def test_a_crate_that_does_not_come_does_not_stop_the_flow_unless_it_is_required() -> None:
    data = spec()
    assert walk(make(data).definition, failing="fit_crates_home")[-1] == "done"
    data["crates"]["required"] = True
    assert "Catch" not in make(data).definition["States"]["fit_crates_home"]


def test_without_crates_a_step_is_one_state() -> None:
    data = spec()
    data["steps"][1]["compute"]["crates"] = False
    assert "fit_crates" not in make(data).definition["States"]
    del data["crates"]
    assert list(make(data).definition["States"]) == [
        "fetch",
        "fit",
        "review",
        "review_choice",
        "review_stopped",
        "report",
        "keep",
        "done",
    ]


def test_values_are_references_expressions_and_constants() -> None:
    states = make(spec()).definition["States"]
    fit, report = states["fit"]["Parameters"], states["report"]["Parameters"]
    assert fit["tasks.="] == ("[{'function_id': input.fit_function_id, 'kwargs': item} for item in input.segments]")
    assert report["tasks"] == [
        {
            "function_id.$": "$.input.report_function_id",
            "args.=": "[fit.details.results, 3, '$.text']",
            "kwargs": {"threshold.$": "$.input.threshold", "title": "The fit"},
        }
    ]
    assert states["review"]["Parameters"]["landing_page"]["preamble_text.="].startswith("`$.fit.status` +")
    assert states["fetch"]["Parameters"]["DATA"][0]["destination_path.="] == "input.scratch.path.rstrip('/') + '/in/'"


def test_times_follow_from_the_walltime() -> None:
    states = make(spec()).definition["States"]
    assert states["fit"]["WaitTime"] == 86_400 + 3600
    assert states["report"]["WaitTime"] == 7200
    assert states["review"]["WaitTime"] == 7 * 86_400


def test_the_template_makes_an_input_that_follows_the_schema() -> None:
    made = make(spec())
    values = {"endpoint": UUID, "fit_function_id": UUID, "report_function_id": UUID, "segments": [{"n": 1}]}
    values |= {f"{name}_{part}": UUID for name in ("raw", "scratch", "crates") for part in ("id", "path")}
    template = jinja2.Environment(undefined=jinja2.StrictUndefined).from_string(made.template)
    filled = json.loads(template.render(values))
    assert filled["input"]["threshold"] == 0.5
    assert [f for f in check(load(made.definition, made.schema, filled)) if f.level != "note"] == []
    variables = jinja2.meta.find_undeclared_variables(jinja2.Environment().parse(made.template))
    assert variables == set(values)


def test_the_assembly_of_a_run_knows_its_steps(tmp_path: Path) -> None:
    path = tmp_path / "definition.json"
    path.write_text(make(spec()).files()["definition.json"])
    workflow = read_workflow(path)
    assert [(step.name, step.after) for step in workflow.steps] == [("fit", ()), ("report", ("fit",))]
    assert workflow.steps[1].functions == ("report",)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("name: Beam time", "names: Beam time", ":2: names: unknown key; did you mean 'name'?"),
        ("from: raw,", "from: rw,", ":16: steps[0].transfer.from: there is no input 'rw' of type collection"),
        ("from: raw,", "form: raw,", ":16: steps[0].transfer.form: unknown key; did you mean 'from'?"),
        ("raw: collection", "raw: collections", ":4: inputs.raw: type 'collections': expected one of uuid, collection"),
        (
            "function: $.input.fit_function_id",
            "function: $.input.fit_function",
            ":17: steps[1]: step fit: $.input.fit_function is nowhere",
        ),
        ("batch: $.input.segments", "batch: []", ":21: steps[1].compute.batch: has no member"),
        ("batch: $.input.segments", "batch: segments", "steps[1].compute.batch: expected a list, or a reference"),
        ('wait: "02:00:00"', "wait: 60", ":32: steps[3].compute.wait: 60 s is less than the walltime, 600 s"),
        ('walltime: "01:00:00"', 'walltime: "1h"', "steps[1].compute.walltime: '1h': expected a time such as 01:30:00"),
        ("name: keep", "name: fetch", ":33: steps[4].name: 'fetch' is there twice"),
        ("name: keep", "name: fit_crates", "a state 'fit_crates' is made for it, which is there already"),
        ("name: keep", "name: in put", "steps[4].name: expected a name of letters"),
        ("reject: stop", "reject: halt", "person.options.reject: expected continue or stop"),
        ("accept: continue, ", "", "person.options: none of them is continue"),
        ("to: home/crates", "to: hom", ":13: crates.to: there is no input 'hom' of type collection"),
        ("threshold: $.input.threshold", "threshold: =input.threshold +", "report: not an expression: invalid syntax"),
        ("from: raw", "from: raw/../..", ":16: steps[0].transfer.from: '../..': '..' leads out of the directory"),
        ("to: scratch/in", "to: scratch/in/../x", ":16: steps[0].transfer.to: 'in/../x': '..' leads out"),
        ("to: scratch/in", "to: {id: x, path: /~/..}", ":16: steps[0].transfer.to.path: '/~/..': '..' leads out"),
        ("to: home/crates", "to: home/..", ":13: crates.to: '..': '..' leads out of the directory"),
        ("steps:", "stepz:", "stepz: unknown key; did you mean 'steps'?"),
        ("    transfer: {from: raw, to: scratch/in}\n", "", "step fetch: expected one of transfer, compute, person"),
    ],
)
def test_what_is_wrong_is_named_with_file_line_and_key(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in SPEC
    path = tmp_path / "flow.yaml"
    path.write_text(SPEC.replace(old, new, 1))
    with pytest.raises(InputError) as caught:
        make(path)
    assert str(caught.value).startswith(f"{path}:")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
