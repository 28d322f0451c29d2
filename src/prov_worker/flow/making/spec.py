"""``flow.yaml``: the steps of a flow by name, and its inputs. Every key is checked before anything is made of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from prov_worker.errors import InputError
from prov_worker.flow.checks.wait_time import YEAR_S, seconds_of
from prov_worker.flow.source import Document, Steps, json_path
from prov_worker.humanize import nearest

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*\Z")
#: Names of the run's state that are not a step's.
_RESERVED = ("input", "done")
DAY_S = 86_400
#: A task's crate is written when its worker is found dead, at the latest.
_GRACE_S = 60


@dataclass(frozen=True, slots=True)
class Crates:
    """Which way crates are brought back.

    Attributes:
        source: input of the collection, and directory, in which the endpoint writes crates.
        target: where they are to go.
        grace_s: seconds between the failure of a step and the transfer of its crates.
        required: whether the flow fails if crates do not come.
    """

    source: str
    target: str
    grace_s: int = _GRACE_S
    required: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """A step.

    Attributes:
        name: of its state.
        kind: ``transfer``, ``compute`` or ``person``.
        options: its keys, checked.
        place: to the step in the document.
        wait_s: the longest that the flow waits for it.
        crates: whether its crates are brought back.
    """

    name: str
    kind: str
    options: Mapping[str, Any]
    place: Steps
    wait_s: int
    crates: bool = True


@dataclass(frozen=True, slots=True)
class Spec:
    """What was written.

    Attributes:
        document: the file.
        name: of the flow.
        inputs: schemas, or short forms of them, by name.
        steps: in their order.
        crates: None if crates stay where they are.
    """

    document: Document
    name: str
    inputs: Mapping[str, Any]
    steps: list[Step] = field(default_factory=list)
    crates: Crates | None = None

    def refuse(self, place: Steps, problem: str) -> InputError:
        """Return the error that names file, line and key."""
        line = self.document.line(place)
        where = self.document.name if line is None else f"{self.document.name}:{line}"
        return InputError(f"{where}: {json_path(place)[2:] or 'the top'}: {problem}")


_STEP_KEYS = ("name", "transfer", "compute", "person")
_KINDS: dict[str, dict[str, tuple[type, ...]]] = {
    "transfer": {
        "from": (str, dict),
        "to": (str, dict),
        "recursive": (bool, str),
        "sync": (bool,),
        "label": (str,),
        "wait": (str, int),
    },
    "compute": {
        "endpoint": (str,),
        "function": (str,),
        "args": (list, str),
        "kwargs": (dict, str),
        "batch": (list, str),
        "config": (dict, str),
        "resources": (dict, str),
        "walltime": (str, int),
        "wait": (str, int),
        "crates": (bool,),
    },
    "person": {"message": (str,), "options": (dict,), "by": (list,), "wait": (str, int)},
}
_NEEDED = {"transfer": ("from", "to"), "compute": ("endpoint", "function"), "person": ("message", "options")}
_WORDS = {str: "a text", dict: "a mapping", list: "a list", bool: "true or false", int: "a number"}


def read_spec(document: Document) -> Spec:
    """Read what a person wrote.

    Raises:
        InputError: names file, line and key.
    """
    value = document.value
    if not isinstance(value, dict):
        raise InputError(f"{document.name}: expected a mapping with inputs and steps")
    spec = Spec(document, str(value.get("name", "Flow")), value.get("inputs") or {})
    _keys(spec, (), value, ("name", "inputs", "crates", "steps"))
    if not isinstance(spec.inputs, dict):
        raise spec.refuse(("inputs",), "expected a mapping of names")
    for name in spec.inputs:
        if not _NAME.match(name):
            raise spec.refuse(("inputs", name), "a name has letters, digits and underscores, and begins with a letter")
    crates = _crates(spec, value["crates"]) if value.get("crates") is not None else None
    steps = value.get("steps")
    if not isinstance(steps, list) or not steps:
        raise spec.refuse(("steps",) if "steps" in value else (), "expected steps: a list of at least one")
    read = [_step(spec, entry, ("steps", number)) for number, entry in enumerate(steps)]
    names: set[str] = set()
    for step in read:
        if step.name in names:
            raise spec.refuse((*step.place, "name"), f"{step.name!r} is there twice")
        names.add(step.name)
    return Spec(document, spec.name, spec.inputs, read, crates)


def _keys(spec: Spec, place: Steps, value: Mapping[str, Any], names: tuple[str, ...]) -> None:
    for key in value:
        if key not in names:
            hint = nearest(key, names) or f"there are {', '.join(names)}"
            raise spec.refuse((*place, key), f"unknown key; {hint}")


def _crates(spec: Spec, value: Any) -> Crates:
    place: Steps = ("crates",)
    if not isinstance(value, dict):
        raise spec.refuse(place, "expected a mapping with from and to")
    _keys(spec, place, value, ("from", "to", "grace", "required"))
    for key in ("from", "to"):
        if not isinstance(value.get(key), str):
            raise spec.refuse((*place, key) if key in value else place, f"expected {key}: the name of an input")
    grace = seconds_of(value.get("grace", _GRACE_S))
    if grace is None or not 1 <= grace <= YEAR_S:
        raise spec.refuse((*place, "grace"), "expected seconds, 1 or more, or a time such as 00:01:00")
    if not isinstance(value.get("required", False), bool):
        raise spec.refuse((*place, "required"), "expected true or false")
    return Crates(value["from"], value["to"], int(grace), value.get("required", False))


def _step(spec: Spec, value: Any, place: Steps) -> Step:
    if not isinstance(value, dict):
        raise spec.refuse(place, "expected a mapping with name and one of transfer, compute, person")
    _keys(spec, place, value, _STEP_KEYS)
    name = value.get("name")
    if not isinstance(name, str) or not _NAME.match(name) or name in _RESERVED:
        problem = "expected a name of letters, digits and underscores that begins with a letter"
        raise spec.refuse((*place, "name"), f"{problem}, and is not one of {', '.join(_RESERVED)}")
    kinds = [kind for kind in _KINDS if kind in value]
    if len(kinds) != 1:
        raise spec.refuse(place, f"step {name}: expected one of transfer, compute, person; got {len(kinds)}")
    kind, options = kinds[0], value[kinds[0]]
    inner = (*place, kind)
    if not isinstance(options, dict):
        raise spec.refuse(inner, "expected a mapping")
    _keys(spec, inner, options, tuple(_KINDS[kind]))
    for key in _NEEDED[kind]:
        if key not in options:
            raise spec.refuse(inner, f"{key} is missing")
    for key, option in options.items():
        if not isinstance(option, _KINDS[kind][key]) or (isinstance(option, bool) and bool not in _KINDS[kind][key]):
            kinds_text = " or ".join(_WORDS[expected] for expected in _KINDS[kind][key])
            raise spec.refuse((*inner, key), f"expected {kinds_text}")
    return Step(name, kind, options, place, _wait(spec, kind, options, inner), options.get("crates", True))


def _wait(spec: Spec, kind: str, options: Mapping[str, Any], place: Steps) -> int:
    """Return seconds that the flow waits for a step: as stated, else walltime and a day; a week for a person."""
    times: dict[str, float | None] = {}
    config = options.get("config")
    stated = {"wait": options.get("wait"), "walltime": options.get("walltime")}
    if stated["walltime"] is None and isinstance(config, dict):
        stated["walltime"] = seconds_of(config.get("walltime"))
    for key, text in stated.items():
        times[key] = None if text is None else seconds_of(text)
        if text is not None and not times[key]:
            raise spec.refuse((*place, key), f"{text!r}: expected a time such as 01:30:00, or seconds")
    walltime, wait = times["walltime"] or 0.0, times["wait"]
    if wait is None:
        wait = 7 * DAY_S if kind == "person" else DAY_S + walltime
    if wait < walltime:
        raise spec.refuse((*place, "wait"), f"{wait:.0f} s is less than the walltime, {walltime:.0f} s")
    if wait > YEAR_S:
        raise spec.refuse((*place, "wait"), "a run of a flow takes a year at most")
    return int(wait)
