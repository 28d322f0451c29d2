"""Make a flow of a spec, and check it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prov_worker.flow import source
from prov_worker.flow.check import Source, check, load
from prov_worker.flow.findings import ERROR, FlowFinding
from prov_worker.flow.making.inputs import schema_of, template_of
from prov_worker.flow.making.spec import Spec, read_spec
from prov_worker.flow.making.states import states_of
from prov_worker.flow.source import Document

_STATE = re.compile(r"\$\.States\.([A-Za-z0-9_]+)")
#: States that are made for a step end so.
_SUFFIXES = re.compile(r"_(?:crates|crates_home|failed|failed_wait|failed_crates_home|choice|stopped)\Z")


@dataclass(frozen=True, slots=True)
class Made:
    """A flow that was made.

    Attributes:
        definition: for the service.
        schema: of its input.
        template: of an input, for Jinja.
    """

    definition: dict[str, Any]
    schema: dict[str, Any]
    template: str

    def files(self) -> dict[str, str]:
        """Return names and contents of the files."""
        return {
            "definition.json": json.dumps(self.definition, indent=2, ensure_ascii=False) + "\n",
            "schema.json": json.dumps(self.schema, indent=2, ensure_ascii=False) + "\n",
            "input.json.j2": self.template,
        }


def make(spec: Source) -> Made:
    """Make a definition, an input schema and an input template.

    Args:
        spec: ``flow.yaml``, or its content. Compute steps bring their crates home, whatever their outcome, if it has
            ``crates``.

    Raises:
        InputError: a key is wrong, or the flow that follows from it would be; names file, line and key.
    """
    given = Document("spec", dict(spec)) if isinstance(spec, Mapping) else source.read(Path(spec))
    read = read_spec(given)
    schema = schema_of(read)
    states: dict[str, Any] = {}
    for number, step in enumerate(read.steps):
        after = read.steps[number + 1].name if number + 1 < len(read.steps) else "done"
        if step.kind == "person" and not any(way == "continue" for way in step.options["options"].values()):
            raise read.refuse((*step.place, "person", "options"), "none of them is continue")
        for option, way in step.options["options"].items() if step.kind == "person" else ():
            if way not in ("continue", "stop"):
                raise read.refuse((*step.place, "person", "options", option), "expected continue or stop")
        for name, state in states_of(read, step, after).items():
            if name in states or any(name == other.name for other in read.steps if other is not step):
                raise read.refuse((*step.place, "name"), f"a state {name!r} is made for it, which is there already")
            states[name] = state
    states["done"] = {"Type": "Pass", "End": True}
    definition = {"Comment": read.name, "StartAt": read.steps[0].name, "States": states}
    made = Made(definition, schema, template_of(read))
    _refuse_errors(read, check(load(made.definition, made.schema)))
    return made


def _refuse_errors(spec: Spec, findings: list[FlowFinding]) -> None:
    """Refuse a spec of which a wrong flow follows: what it reads is its author's."""
    errors = [finding for finding in findings if finding.level == ERROR]
    if not errors:
        return
    first, more = errors[0], len(errors) - 1
    text = f"{first.message}{f' (and {more} more)' if more else ''}"
    match = _STATE.match(first.path)
    state = _SUFFIXES.sub("", match[1]) if match is not None and first.file == "definition" else ""
    for step in spec.steps:
        if step.name in (state, match[1] if match is not None else ""):
            raise spec.refuse(step.place, f"step {step.name}: {text}")
    raise spec.refuse(("inputs",), f"{first.path}: {text}")
