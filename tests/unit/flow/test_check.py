"""``flow.check``: what is right passes, what is wrong is found, with its place."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from unit_flow import EXAMPLES, OPEN, TEXT, UUID, Example, Json, action, an_object, compute, flow

from prov_worker.errors import InputError
from prov_worker.flow import FlowFinding, check, load

CLEAN = [name for name in EXAMPLES if name != "transfer_publish"]


def findings_of(example: Example) -> list[FlowFinding]:
    """Errors and warnings; the input is left out, if it is empty."""
    flow = load(example.definition, example.schema, example.input or None)
    return [finding for finding in check(flow) if finding.level != "note"]


def only(definition: Json, schema: Json | None = None, **options: Any) -> tuple[str, str, str]:
    """Level, path and message of the one finding that is no note."""
    findings = [f for f in check(load(definition, schema, **options)) if f.level != "note"]
    assert len(findings) == 1, findings
    return findings[0].level, findings[0].path, findings[0].message


@pytest.mark.parametrize("name", CLEAN)
def test_flows_like_the_published_ones_are_clean(name: str) -> None:
    assert findings_of(EXAMPLES[name]) == []


def test_the_fault_of_the_published_flow_is_found_and_nothing_else() -> None:
    findings = findings_of(EXAMPLES["transfer_publish"])
    assert [(f.check, f.level, f.path) for f in findings] == [
        ("data", "error", "$.States.Share.Parameters['principal_type.$']"),
        ("data", "error", "$.States.Share.Parameters['principal.$']"),
    ]
    assert "$.input.principal_type is nowhere" in findings[0].message
    assert "did you mean 'principal'?" in findings[0].message


def _set(*steps: str, value: Any) -> Callable[[Json], None]:
    def change(definition: Json) -> None:
        *around, last = steps
        for step in around:
            definition = definition[step]
        definition[last] = value

    return change


def _drop(*steps: str) -> Callable[[Json], None]:
    def change(definition: Json) -> None:
        *around, last = steps
        for step in around:
            definition = definition[step]
        del definition[last]

    return change


#: Mutations of ``transfer_compute``: name, what is done, the check and the path that must be among what is found.
MUTATIONS: list[tuple[str, Callable[[Json], None], str, str]] = [
    ("StartAt is missing", _drop("StartAt"), "fields", "$"),
    ("StartAt leads nowhere", _set("StartAt", value="Moves"), "targets", "$.StartAt"),
    ("Next leads nowhere", _set("States", "Move", "Next", value="Processed"), "targets", "$.States.Move.Next"),
    ("a state is never reached", _set("StartAt", value="Process"), "targets", "$.States.Move"),
    ("an unknown type", _set("States", "Move", "Type", value="Map"), "fields", "$.States.Move.Type"),
    ("Retry", _set("States", "Move", "Retry", value=[]), "fields", "$.States.Move.Retry"),
    ("ActionUrl is missing", _drop("States", "Process", "ActionUrl"), "fields", "$.States.Process"),
    ("neither Next nor End", _drop("States", "Process", "End"), "ends", "$.States.Process"),
    ("an unknown key", _set("States", "Process", "WaitTme", value=9), "fields", "$.States.Process.WaitTme"),
    (
        "a ResultPath that is none",
        _set("States", "Process", "ResultPath", value="Process"),
        "data",
        "$.States.Process.ResultPath",
    ),
    (
        "an input that the schema does not have",
        _set("States", "Process", "Parameters", "kwargs.$", value="$.input.arguments"),
        "data",
        "$.States.Process.Parameters['kwargs.$']",
    ),
]


@pytest.mark.parametrize(("change", "name", "path"), [m[1:] for m in MUTATIONS], ids=[m[0] for m in MUTATIONS])
def test_each_kind_of_mutation_is_found(change: Callable[[Json], None], name: str, path: str) -> None:
    example = EXAMPLES["transfer_compute"].copy()
    change(example.definition)
    assert (name, path) in [(f.check, f.path) for f in findings_of(example) if f.level == "error"]


def test_a_misspelt_name_is_named() -> None:
    example = EXAMPLES["transfer_compute"].copy()
    example.definition["States"]["Move"]["Next"] = "Processed"
    example.definition["States"]["Process"]["WaitTme"] = 9
    messages = " ".join(finding.message for finding in findings_of(example))
    assert "did you mean 'Process'?" in messages
    assert "did you mean 'WaitTime'?" in messages


# -- the graph -------------------------------------------------------------------------------------------------------


def pass_(name: str, **fields: Any) -> Json:
    return {name: {"Type": "Pass", **fields}}


def test_a_loop_without_exit_is_named_once_with_its_states() -> None:
    definition = flow(pass_("A", Next="B"), pass_("B", Next="C"), pass_("C", Next="B"))
    level, path, message = only(definition, an_object())
    assert (level, path, message) == ("error", "$.States.B", "a loop without exit: B → C → B")


def test_a_loop_that_an_error_leads_out_of_has_an_exit() -> None:
    again = action("A", "https://example.org/run", {}, Next="A")
    again["A"]["Catch"] = [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.error", "Next": "B"}]
    assert findings_of(Example(flow(again, pass_("B", End=True)), an_object(), {})) == []


def test_a_choice_without_default_may_fail() -> None:
    choice = {"Type": "Choice", "Choices": [{"Variable": "$.x", "StringEquals": "a", "Next": "B"}]}
    level, path, _ = only(flow({"A": choice}, pass_("B", End=True)), an_object(x=TEXT))
    assert (level, path) == ("warning", "$.States.A")


# -- the data --------------------------------------------------------------------------------------------------------


def fork(*, last: Json) -> Json:
    """A flow of which one way writes ``$.made`` and the other does not."""
    choice = {
        "Type": "Choice",
        "Choices": [{"Variable": "$.x", "StringEquals": "a", "Next": "Make"}],
        "Default": "Last",
    }
    return flow({"A": choice}, pass_("Make", Result={"y": "text"}, ResultPath="$.made", Next="Last"), {"Last": last})


def test_what_one_way_writes_is_not_there_on_the_other() -> None:
    last = {"Type": "Pass", "InputPath": "$.made.y", "ResultPath": "$.z", "End": True}
    level, path, message = only(fork(last=last), an_object(x=TEXT))
    assert (level, path) == ("error", "$.States.Last.InputPath")
    assert message == "$.made.y is not written on every way here: not by way of A → Last"


@pytest.mark.parametrize(
    "expression", ["made.y if is_present('made.y') else 'none'", "getattr('made', 1)", "is_present('made') and made.y"]
)
def test_an_expression_that_asks_first_may_read_it(expression: str) -> None:
    last = {"Type": "ExpressionEval", "Parameters": {"z.=": expression}, "ResultPath": "$.z", "End": True}
    assert findings_of(Example(fork(last=last), an_object(x=TEXT), {})) == []


def test_a_choice_that_asks_whether_it_is_present_leads_to_it() -> None:
    test = {"Variable": "$.made", "IsPresent": True, "Next": "Read"}
    last = {"Type": "Choice", "Choices": [test], "Default": "End"}
    definition = fork(last=last)
    read = {"Type": "Pass", "InputPath": "$.made.y", "ResultPath": "$.z", "Next": "End"}
    definition["States"].update({"Read": read, "End": {"Type": "Pass", "End": True}})
    assert findings_of(Example(definition, an_object(x=TEXT), {})) == []
    # and the other way round
    test["IsPresent"], test["Next"], last["Default"] = False, "End", "Read"
    assert findings_of(Example(definition, an_object(x=TEXT), {})) == []
    test["Next"], last["Default"] = "Read", "End"
    assert "not written on every way" in only(definition, an_object(x=TEXT))[2]


def test_an_error_without_a_place_of_its_own_overwrites_the_state() -> None:
    first = action("A", "https://example.org/run", {"x.$": "$.input.x"})
    first["A"]["Catch"] = [{"ErrorEquals": ["ActionFailedException"], "Next": "B"}]
    definition = flow(first, pass_("B", InputPath="$.input.x", ResultPath="$.z", End=True))
    schema = an_object(input=an_object(x=TEXT))
    level, path, message = only(definition, schema)
    assert (level, path) == ("error", "$.States.B.InputPath")
    assert "$.input.x is nowhere" in message
    first["A"]["Catch"][0]["ResultPath"] = "$.error"
    assert findings_of(Example(definition, schema, {})) == []


def test_a_result_without_a_place_of_its_own_takes_that_of_the_state() -> None:
    first = action("A", "https://example.org/run", {"x.$": "$.input.x"}, Next="B")
    del first["A"]["ResultPath"]
    definition = flow(first, pass_("B", InputPath="$.input.x", ResultPath="$.z", End=True))
    assert "$.input.x is nowhere" in only(definition, an_object(input=an_object(x=TEXT)))[2]
    definition["States"]["B"]["InputPath"] = "$.details"
    assert findings_of(Example(definition, an_object(input=an_object(x=TEXT)), {})) == []


def test_types_of_inputs_are_those_that_the_action_takes() -> None:
    example = EXAMPLES["transfer"].copy()
    example.schema["properties"]["input"]["properties"]["recursive_tx"] = {"type": "string"}
    level, path, message = only(example.definition, example.schema)
    assert (level, path) == (
        "error",
        "$.States.Move.Parameters.transfer_items[0]['recursive.$']",
    )
    assert message == "$.input.recursive_tx is a string; a boolean is taken here"


def test_types_of_a_choice_are_those_of_its_operator() -> None:
    choice = {
        "Type": "Choice",
        "Choices": [{"Variable": "$.x", "NumericEquals": 3, "Next": "B"}],
        "Default": "B",
    }
    definition = flow({"A": choice}, pass_("B", End=True))
    assert only(definition, an_object(x=TEXT))[2] == "$.x is a string; a number is taken here"
    assert findings_of(Example(definition, an_object(x={"type": "integer"}), {})) == []


def test_a_property_of_a_text_is_none() -> None:
    definition = flow(pass_("A", InputPath="$.x.y", ResultPath="$.z", End=True))
    assert only(definition, an_object(x=TEXT))[2] == "$.x.y: $.x is a string, which has no 'y'"


def test_an_input_that_may_be_left_out_is_a_warning() -> None:
    schema = {"type": "object", "properties": {"x": TEXT}, "additionalProperties": False}
    level, _, message = only(flow(pass_("A", InputPath="$.x", ResultPath="$.z", End=True)), schema)
    assert level == "warning"
    assert "may be left out" in message


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#/$defs/all", "$defs": {"all": an_object(x=an_object(y=TEXT))}},
        {"allOf": [an_object(x=an_object(y=TEXT))]},
        {"type": "object", "required": ["x"], "properties": {"x": OPEN}},
        {"type": "object"},
        {"anyOf": [an_object(x=an_object(y=TEXT)), an_object(x=an_object(y={"type": "number"}))]},
    ],
)
def test_schemas_are_read_in_all_their_forms(schema: Json) -> None:
    definition = flow(pass_("A", InputPath="$.x.y", ResultPath="$.z", End=True))
    assert findings_of(Example(definition, schema, {})) == []


def test_what_pass_and_expressions_write_is_known() -> None:
    made = {
        "Type": "ExpressionEval",
        "Parameters": {"a.$": "$.x", "b.=": "x", "c.=": "[item for item in x]", "d": {"e": 1}},
        "ResultPath": "$.made",
        "Next": "Read",
    }
    reads = {
        "a.$": "$.made.a",
        "b.$": "$.made.b",
        "c.$": "$.made.c[0]",
        "e.$": "$.made.d.e",
        "r.$": "$._context.run_id",
    }
    read = {"Type": "Pass", "Parameters": reads, "ResultPath": "$.read", "End": True}
    definition = flow({"Make": made}, {"Read": read})
    assert findings_of(Example(definition, an_object(x=TEXT), {})) == []
    reads["f.$"] = "$.made.d.f"
    assert "$.made.d.f is nowhere" in only(definition, an_object(x=TEXT))[2]


def test_an_expression_that_is_none_is_found_even_if_the_state_is_not_reached() -> None:
    bad = {"Type": "ExpressionEval", "Parameters": {"a.=": "x +"}, "ResultPath": "$.z", "End": True}
    definition = flow(pass_("A", End=True), {"B": bad})
    paths = [(f.check, f.path) for f in check(load(definition, an_object())) if f.level == "error"]
    assert paths == [("targets", "$.States.B"), ("data", "$.States.B.Parameters['a.=']")]


def test_a_state_that_puts_itself_into_itself_ends_the_check() -> None:
    choice = {"Type": "Choice", "Choices": [{"Variable": "$.x", "StringEquals": "a", "Next": "C"}], "Default": "A"}
    definition = flow(pass_("A", ResultPath="$.again", Next="B"), {"B": choice}, pass_("C", End=True))
    assert findings_of(Example(definition, an_object(x=TEXT), {})) == []


# -- actions ---------------------------------------------------------------------------------------------------------


def test_keys_of_the_retired_provider_are_not_those_of_the_new_one() -> None:
    example = EXAMPLES["transfer"].copy()
    example.definition["States"]["Move"]["ActionUrl"] = "https://transfer.actions.globus.org/transfer"
    messages = [f.message for f in findings_of(example)]
    assert messages == [
        "source_endpoint is missing; source_endpoint_id is what another action calls it",
        "destination_endpoint is missing; destination_endpoint_id is what another action calls it",
        "DATA is missing; transfer_items is what another action calls it",
    ]


def test_an_address_that_globus_does_not_have_is_found_and_another_host_is_not_asked() -> None:
    definition = flow(action("A", "https://transfer.actions.globus.org/transfers", {}))
    assert only(definition, an_object())[2] == (
        "no such action there; did you mean 'https://transfer.actions.globus.org/transfer'?"
    )
    assert findings_of(Example(flow(action("A", "https://example.org/x", {})), an_object(), {})) == []


def v3(**parameters: Any) -> Json:
    task = {"function_id": UUID, "kwargs": {}}
    return action(
        "Fit",
        "https://compute.actions.globus.org/v3",
        {"endpoint_id": UUID, "tasks": [task], **parameters},
        ExceptionOnActionFailure=True,
    )


def test_each_task_needs_its_function() -> None:
    assert findings_of(Example(flow(v3()), an_object(), {})) == []
    level, path, message = only(flow(v3(tasks=[{"function_id": UUID}, {"function": UUID}])), an_object())
    assert (level, path) == ("error", "$.States.Fit.Parameters.tasks[1]")
    assert message == "function_id is missing; version 3 calls it function_id"
    assert only(flow(v3(tasks=[])), an_object())[2] == "there is no task"
    assert only(flow(v3(tasks=UUID)), an_object())[1] == "$.States.Fit.Parameters.tasks"


def test_a_failure_that_goes_unseen_is_a_warning() -> None:
    state = v3()
    state["Fit"]["ExceptionOnActionFailure"] = False
    assert "goes unseen" in only(flow(state), an_object())[2]
    looks = {
        "Type": "Choice",
        "Choices": [{"Variable": "$.Fit.status", "StringEquals": "SUCCEEDED", "Next": "B"}],
        "Default": "Failed",
    }
    state["Fit"]["Next"] = "Look"
    del state["Fit"]["End"]
    definition = flow(state, {"Look": looks}, pass_("B", End=True), {"Failed": {"Type": "Fail", "Error": "fit"}})
    assert findings_of(Example(definition, an_object(), {})) == []


def test_a_failure_that_is_left_open_is_a_note() -> None:
    notes = [f for f in check(load(flow(compute("A")))) if f.check == "failure"]
    assert [(f.level, f.path) for f in notes] == [("note", "$.States.A")]


# -- times and sizes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "schema", "options"),
    [
        ({"walltime": "01:00:00"}, an_object(), {}),
        ({"walltime.$": "$.w"}, an_object(w={"type": "string", "default": "1:00:00"}), {}),
        ({"walltime.$": "$.w"}, an_object(w=TEXT), {"input": {"w": "0-01:00:00"}}),
        ({}, an_object(), {"walltime_s": 3600.0}),
    ],
)
def test_a_wait_that_is_shorter_than_the_walltime_is_found(config: Json, schema: Json, options: Any) -> None:
    state = v3(user_endpoint_config=config)
    assert "no WaitTime, so it is 300 s, the walltime 3600 s" in only(flow(state), schema, **options)[2]
    state["Fit"]["WaitTime"] = 3599
    assert "WaitTime is 3599 s" in only(flow(state), schema, **options)[2]
    state["Fit"]["WaitTime"] = 3600
    assert [f for f in check(load(flow(state), schema, **options)) if f.level != "note"] == []


def test_a_wait_is_of_a_year_at_most() -> None:
    definition = flow({"A": {"Type": "Wait", "Seconds": 40_000_000, "Next": "B"}}, pass_("B", End=True))
    assert only(definition, an_object())[1] == "$.States.A.Seconds"


def test_a_person_has_five_minutes_unless_it_is_said() -> None:
    state = action("Ask", "https://actions.globus.org/weboption/wait_for_option", {"options": []})
    assert only(flow(state), an_object())[0] == "warning"
    state["Ask"]["WaitTime"] = 86_400
    assert findings_of(Example(flow(state), an_object(), {})) == []


def test_an_input_or_a_constant_beyond_the_limit_of_a_run_is_found() -> None:
    definition = flow(pass_("A", Result={"text": "x" * 150_000}, ResultPath="$.a", End=True))
    assert findings_of(Example(definition, an_object(x=TEXT), {})) == []
    level, path, message = only(definition, an_object(x=TEXT), input={"x": "y" * 100_000})
    assert (level, path) == ("error", "$.States.A")
    assert "200,000 is the limit" in message
    findings = check(load(definition, an_object(x=TEXT), {"x": "y" * 200_000}))
    assert [(f.file, f.path) for f in findings if f.level == "error"] == [("input", "$")]


def test_a_loop_that_adds_to_the_state_is_a_warning() -> None:
    def looping(expression: str) -> Json:
        made = {"Type": "ExpressionEval", "Parameters": {"all.=": expression}, "ResultPath": "$.x", "Next": "B"}
        choice = {"Type": "Choice", "Choices": [{"Variable": "$.y", "IsNull": True, "Next": "C"}], "Default": "A"}
        return flow({"A": made}, {"B": choice}, pass_("C", End=True))

    schema = an_object(x=an_object(all={"type": "array"}), y=OPEN)
    assert only(looping("x.all + [y]"), schema)[1] == "$.States.A.Parameters['all.=']"
    assert findings_of(Example(looping("x.all[1:]"), schema, {})) == []


DRAFT = "https://json-schema.org/draft/2020-12/schema"


# -- schema and input ------------------------------------------------------------------------------------------------


def test_a_schema_that_is_none_is_found() -> None:
    schema = an_object(x={"type": "txt"})
    level, path, message = only(flow(pass_("A", End=True)), schema)
    assert (level, path) == ("error", "$.properties.x.type")
    assert message.startswith("not a JSON Schema: ")


@pytest.mark.parametrize(
    ("schema", "path", "message"),
    [
        (an_object(x={"pattern": "("}), "$.properties.x.pattern", "not a JSON Schema: '(' is not a regular expression"),
        (
            an_object(x={"type": "object", "patternProperties": {"[": TEXT}}),
            "$.properties.x.patternProperties",
            "not a JSON Schema: '[' is not a regular expression",
        ),
        (
            an_object(x={"$ref": "https://example.org/s.json"}),
            "$.properties.x['$ref']",
            "leads nowhere in this schema: https://example.org/s.json; nothing is fetched",
        ),
        (
            an_object(x={"items": {"anyOf": [TEXT, {"$ref": "#/$defs/none"}]}}),
            "$.properties.x.items.anyOf[1]['$ref']",
            "leads nowhere in this schema: #/$defs/none; nothing is fetched",
        ),
        ({"$ref": "#"}, "$['$ref']", "refers to itself without end"),
        (
            an_object(x={"$ref": "#/$defs/a"}) | {"$defs": {"a": {"allOf": [{"$ref": "#/properties/x"}]}}},
            "$.properties.x['$ref']",
            "refers to itself without end",
        ),
        ([], "$", "not a JSON Schema of an input: expected an object"),
        (True, "$", "not a JSON Schema of an input: expected an object"),
        ("text", "$", "not a JSON Schema of an input: expected an object"),
        (7, "$", "not a JSON Schema of an input: expected an object"),
    ],
)
@pytest.mark.parametrize("given", [None, {"x": "text"}], ids=["alone", "with an input"])
def test_a_schema_that_cannot_be_applied_is_found_with_an_input_and_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, schema: Any, path: str, message: str, given: Json | None
) -> None:
    monkeypatch.setattr("urllib.request.urlopen", lambda *_, **__: pytest.fail("was fetched"))
    file = tmp_path / "schema.json"
    file.write_text(json.dumps(schema))
    findings = [f for f in check(load(flow(pass_("A", End=True)), file, given)) if f.level == "error"]
    assert (findings[0].path, findings[0].message) == (path, message)
    assert len([f for f in findings if f.path == path]) == 1
    assert not [f for f in findings if "Error" in f.message]


def test_a_schema_of_trees_is_sound_and_an_endless_input_is_said() -> None:
    tree = {"type": "object", "properties": {"below": {"type": "array", "items": {"$ref": "#/$defs/tree"}}}}
    schema = an_object(tree={"$ref": "#/$defs/tree"}) | {"$defs": {"tree": tree, "draft": {"$ref": DRAFT}}}
    value: Json = {}
    for _ in range(5):
        value = {"below": [value]}
    assert not [f for f in check(load(flow(pass_("A", End=True)), schema, {"tree": value})) if f.level != "note"]
    for _ in range(400):
        value = {"below": [value]}
    (finding,) = [f for f in check(load(flow(pass_("A", End=True)), schema, {"tree": value})) if f.level != "note"]
    assert finding.message == "cannot be applied: it refers to itself without end, or the input is nested too deeply"


def test_a_schema_of_many_levels_is_a_finding() -> None:
    schema: Json = TEXT
    for _ in range(450):
        schema = an_object(x=schema)
    findings = [f for f in check(load(flow(pass_("A", End=True)), schema)) if f.level == "error"]
    assert [f.message for f in findings] == ["not a JSON Schema: is nested too deeply"]


def test_a_schema_that_no_input_can_follow_is_found() -> None:
    schema = an_object(x=TEXT)
    schema["required"].append("y")
    assert only(flow(pass_("A", End=True)), schema)[1] == "$.required"


def test_an_input_is_held_against_the_schema() -> None:
    example = EXAMPLES["transfer"]
    findings = check(load(example.definition, example.schema, {"input": {"source": {"id": "x", "path": 3}}}))
    assert [(f.level, f.path) for f in findings if f.file == "input"] == [
        ("error", "$.input"),
        ("error", "$.input"),
        ("warning", "$.input.source.id"),
        ("error", "$.input.source.path"),
    ]


def test_an_input_stands_in_for_a_schema_that_is_not_given() -> None:
    example = EXAMPLES["transfer"]
    assert [f for f in check(load(example.definition, None, example.input)) if f.level != "note"] == []
    assert (
        "$.input.recursive_tx is nowhere"
        in only(
            example.definition, None, input={"input": {k: v for k, v in example.input["input"].items() if k[0] != "r"}}
        )[2]
    )


# -- files -----------------------------------------------------------------------------------------------------------


def test_each_finding_has_file_and_line(tmp_path: Path) -> None:
    example = EXAMPLES["transfer_publish"].copy()
    example.definition["States"]["Move"]["Next"] = "Shar"
    path, schema = tmp_path / "definition.json", tmp_path / "schema.json"
    path.write_text(json.dumps(example.definition, indent=2))
    schema.write_text(json.dumps(example.schema, indent=2))
    findings = [f for f in check(load(path, schema)) if f.level == "error"]
    lines = path.read_text().splitlines()
    for finding in findings:
        assert finding.file == str(path)
        assert finding.line is not None
        last = finding.path.rpartition(".")[2].strip("'[]")
        assert last in lines[finding.line - 1] or last == "$']"
    assert {f.path for f in findings} > {"$.States.Move.Next"}


def test_yaml_is_read_too_with_its_lines(tmp_path: Path) -> None:
    path = tmp_path / "definition.yaml"
    path.write_text("StartAt: A\nStates:\n  A:\n    Type: Pass\n    Next: B\n")
    (finding,) = check(load(path, an_object()))
    assert (finding.line, finding.path) == (5, "$.States.A.Next")


def test_what_the_cli_of_globus_shows_is_read_too(tmp_path: Path) -> None:
    example = EXAMPLES["transfer_publish"]
    path = tmp_path / "shown.json"
    path.write_text(json.dumps({"id": UUID, "definition": example.definition, "input_schema": example.schema}))
    errors = [f.path for f in check(load(path)) if f.level == "error"]
    assert errors == [
        "$.definition.States.Share.Parameters['principal_type.$']",
        "$.definition.States.Share.Parameters['principal.$']",
    ]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.json", '{"StartAt": "A",\n "States": {,}}', ":2:13: invalid JSON: Expecting property name"),
        ("a.json", '{"StartAt": "A", "States": {}, "a": NaN}', "NaN is not a JSON number"),
        ("a.json", '{"States": {},\n"States": {}}', ":2: 'States' is there twice, in lines 1 and 2"),
        ("a.json", "[]", "expected an object with StartAt and States"),
        ("a.json", "{}", "not a flow definition"),
        ("a.json", '{"StartAt": "\\ud800"}', "surrogate"),
        ("a.yaml", "States: {a: b\n", "line 2, column 1"),
        ("a.yaml", "StartAt: 2020-01-01\nStates: {}\n", "StartAt: date 2020-01-01 is nothing that JSON has"),
        ("a.yaml", "States: {1: {}}\n", "States: the key 1 is not a string; quote it"),
    ],
)
def test_what_is_no_definition_is_refused_in_one_line(tmp_path: Path, name: str, text: str, message: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        load(path)
    assert str(caught.value).startswith(str(path))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_aliases_that_grow_without_end_are_refused(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    path = tmp_path / "a.yaml"
    path.write_text("\n".join(lines) + "\nStates: {}\nStartAt: x\n")
    with pytest.raises(InputError, match="more than 500,000 values"):
        load(path)


@pytest.mark.parametrize(
    "definition",
    [
        {"StartAt": 3, "States": []},
        {"StartAt": "A", "States": {"A": 3}},
        {"StartAt": "A", "States": {"A": {"Type": ["Pass"], "Next": 3}}},
        {"StartAt": "A", "States": {"A": {"Type": "Choice", "Choices": [3, {"And": [3]}], "Default": {}}}},
        {"StartAt": "A", "States": {"A": {"Type": "Action", "ActionUrl": 3, "Parameters": [], "Catch": [3]}}},
        {"StartAt": "A", "States": {"A": {"Type": "Wait", "SecondsPath": "x", "ResultPath": 3, "End": "yes"}}},
        {"StartAt": "A", "States": {"A": {"Type": "Action", "ActionUrl": "http://[", "Parameters": {"a.=": 3}}}},
        {"StartAt": "A", "States": {"A": {"Type": "Choice", "Choices": [{"Variable": 3, "IsPresent": 3}]}}},
    ],
)
def test_no_definition_is_too_odd_to_be_checked(definition: Json) -> None:
    assert any(finding.level == "error" for finding in check(load(definition, {"type": 3, "properties": 4})))
