"""States of each kind of step: what runs, what brings crates home, and what a failure leads to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prov_worker.flow.making.inputs import kind_of
from prov_worker.flow.making.spec import Crates, Spec, Step
from prov_worker.flow.making.values import expression, name, parameter, parameters
from prov_worker.flow.source import Steps

TRANSFER = "https://transfer.actions.globus.org/transfer"
COMPUTE = "https://compute.actions.globus.org/v3"
PERSON = "https://actions.globus.org/weboption/wait_for_option"
#: https://docs.globus.org/api/flows/authoring-flows/exceptions/
ERRORS = ["ActionUnableToRun", "ActionFailedException", "ActionTimeout"]
#: https://docs.globus.org/api/transfer/task_submit/: a file is sent if its checksum is another there.
CHECKSUM = 3
_DAY_S = 86_400
States = dict[str, dict[str, Any]]


def states_of(spec: Spec, step: Step, after: str) -> States:
    """Return the states of a step by name, the first one first; they lead to the state ``after``."""
    if step.kind == "transfer":
        return _transfer(spec, step, after)
    return _compute(spec, step, after) if step.kind == "compute" else _person(step, after)


def _action(url: str, body: Mapping[str, Any], result: str, wait_s: int, after: str) -> dict[str, Any]:
    return {
        "Type": "Action",
        "ActionUrl": url,
        "Parameters": body,
        "ResultPath": f"$.{result}",
        "WaitTime": wait_s,
        "ExceptionOnActionFailure": True,
        "Next": after,
    }


def _caught(result: str, after: str) -> list[dict[str, Any]]:
    return [{"ErrorEquals": ERRORS, "ResultPath": f"$.{result}", "Next": after}]


class _Place:
    """A directory of a collection: ``raw``, ``raw/sub/directory``, or a mapping with id and path."""

    def __init__(self, spec: Spec, value: Any, place: Steps) -> None:
        if isinstance(value, Mapping):
            if set(value) != {"id", "path"} or not all(isinstance(part, str) and part for part in value.values()):
                raise spec.refuse(place, "expected id and path, or the name of an input of type collection")
            self.id, self._path = value["id"], value["path"]
            if not self._path.startswith(("$.", "=")):
                _refuse_upwards(spec, self._path, (*place, "path"))
            return
        collection, slash, below = str(value).partition("/")
        if kind_of(spec.inputs.get(collection)) != "collection":
            raise spec.refuse(place, f"there is no input {collection!r} of type collection")
        _refuse_upwards(spec, below, place)
        self.id = f"$.input.{collection}.id"
        self._path = f"$.input.{collection}.path"
        if slash and below.strip("/"):
            self._path = f"={name(self._path)}.rstrip('/') + {'/' + below.strip('/') + '/'!r}"

    def path(self, key: str) -> dict[str, Any]:
        """Return the path as a parameter."""
        return parameter(key, self._path)

    def below(self, tail: str) -> str:
        """Return expression of a path below it; ``tail`` is an expression."""
        return f"{expression(self._path)}.rstrip('/') + '/' + {tail}"


def _refuse_upwards(spec: Spec, path: str, place: Steps) -> None:
    if ".." in path.split("/"):
        raise spec.refuse(place, f"{path!r}: '..' leads out of the directory; write the path without it")


def _transfer(spec: Spec, step: Step, after: str) -> States:
    options, place = step.options, (*step.place, "transfer")
    source, target = (_Place(spec, options[key], (*place, key)) for key in ("from", "to"))
    item = {
        **source.path("source_path"),
        **target.path("destination_path"),
        **parameter("recursive", options.get("recursive", True)),
    }
    body: dict[str, Any] = {
        **parameter("source_endpoint", source.id),
        **parameter("destination_endpoint", target.id),
        "DATA": [item],
    }
    if options.get("sync", True):
        body["sync_level"] = CHECKSUM
    if "label" in options:
        body |= parameter("label", options["label"])
    return {step.name: _action(TRANSFER, body, step.name, step.wait_s, after)}


def _compute(spec: Spec, step: Step, after: str) -> States:
    options = step.options
    body: dict[str, Any] = {**parameter("endpoint_id", options["endpoint"]), **_tasks(spec, step)}
    for key, called in (("config", "user_endpoint_config"), ("resources", "resource_specification")):
        if key in options:
            body |= parameter(called, options[key])
    run = _action(COMPUTE, body, step.name, step.wait_s, after)
    if spec.crates is None or not step.crates:
        return {step.name: run}
    states = _crates(spec, spec.crates, step.name, after)
    run["Next"] = f"{step.name}_crates"
    run["Catch"] = _caught(f"{step.name}_error", f"{step.name}_failed_wait")
    return {step.name: run, **states}


def _tasks(spec: Spec, step: Step) -> dict[str, Any]:
    options, place = step.options, (*step.place, "compute")
    function = parameter("function_id", options["function"])
    batch = options.get("batch")
    if batch is None:
        arguments = {key: options[key] for key in ("args", "kwargs") if key in options}
        return {"tasks": [{**function, **parameters(arguments)}]}
    if "args" in options or "kwargs" in options:
        raise spec.refuse((*place, "batch"), "goes without args and kwargs: each of its members has its own")
    if isinstance(batch, str):
        if not batch.startswith("$."):
            raise spec.refuse((*place, "batch"), "expected a list, or a reference to one such as $.input.segments")
        called = expression(options["function"])
        return {"tasks.=": f"[{{'function_id': {called}, 'kwargs': item}} for item in {name(batch)}]"}
    if not batch:
        raise spec.refuse((*place, "batch"), "has no member")
    tasks = []
    for number, member in enumerate(batch):
        if not isinstance(member, Mapping) or not set(member) <= {"args", "kwargs"}:
            raise spec.refuse((*place, "batch", number), "expected a mapping with args, kwargs, or both")
        tasks.append({**function, **parameters(member)})
    return {"tasks": tasks}


def _crates(spec: Spec, crates: Crates, step: str, after: str) -> States:
    """Return states that bring crates home: those of all tasks by their ids; after a failure, all that are there.

    A failed action does not tell its tasks, so the directory is compared by checksum: what came before is not sent.
    """
    source, target = _Place(spec, crates.source, ("crates", "from")), _Place(spec, crates.target, ("crates", "to"))
    ends = {**parameter("source_endpoint", source.id), **parameter("destination_endpoint", target.id)}
    tail = "item.task_id + '.crate/'"
    item = f"{{'source_path': {source.below(tail)}, 'destination_path': {target.below(tail)}, 'recursive': True}}"
    folder = {**source.path("source_path"), **target.path("destination_path"), "recursive": True}
    home = _action(
        TRANSFER,
        {**ends, "DATA.$": f"$.{step}_crates.items", "sync_level": CHECKSUM},
        f"{step}_crates_home",
        _DAY_S,
        after,
    )
    if not crates.required:
        home["Catch"] = _caught(f"{step}_crates_error", after)
    rescue = _action(
        TRANSFER,
        {**ends, "DATA": [folder], "sync_level": CHECKSUM},
        f"{step}_failed_crates_home",
        _DAY_S,
        f"{step}_failed",
    )
    rescue["Catch"] = _caught(f"{step}_crates_error", f"{step}_failed")
    return {
        f"{step}_crates": {
            "Type": "ExpressionEval",
            "Parameters": {"items.=": f"[{item} for item in {step}.details.results]"},
            "ResultPath": f"$.{step}_crates",
            "Next": f"{step}_crates_home",
        },
        f"{step}_crates_home": home,
        f"{step}_failed_wait": {"Type": "Wait", "Seconds": crates.grace_s, "Next": f"{step}_failed_crates_home"},
        f"{step}_failed_crates_home": rescue,
        f"{step}_failed": {
            "Type": "Fail",
            "Error": f"{step}_failed",
            "Cause": f"the compute step {step} failed; $.{step}_error of the run says why",
        },
    }


def _person(step: Step, after: str) -> States:
    options = step.options
    choices = [
        {
            "name": option,
            "description": option,
            "url_suffix.=": f"_context.run_id + {'_' + step.name + '_' + option!r}",
            "completed_message": f"{option}: the flow {'goes on' if way == 'continue' else 'stops'}",
            **({"selectable_by": options["by"]} if "by" in options else {}),
        }
        for option, way in options["options"].items()
    ]
    page = {
        "url_suffix.=": f"_context.run_id + {'_' + step.name!r}",
        "page_title": step.name,
        "header_text": step.name,
        **parameter("preamble_text", options["message"]),
    }
    body = {"landing_page": page, "options": choices}
    stopped = f"{step.name}_stopped"
    rules = [
        {"Variable": f"$.{step.name}.details.name", "StringEquals": option, "Next": after}
        for option, way in options["options"].items()
        if way == "continue"
    ]
    return {
        step.name: _action(PERSON, body, step.name, step.wait_s, f"{step.name}_choice"),
        f"{step.name}_choice": {"Type": "Choice", "Choices": rules, "Default": stopped},
        stopped: {
            "Type": "Fail",
            "Error": stopped,
            "Cause": f"a person chose to stop at {step.name}",
        },
    }
