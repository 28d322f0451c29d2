"""The execution that a step crate is about."""

from __future__ import annotations

from collections.abc import Iterator

from prov_worker.crate import vocabulary as v
from prov_worker.crate.graph import reference_ids
from prov_worker.crate.reader import StepCrate
from prov_worker.crate.rules import RULES, Checked
from prov_worker.crate.violations import ERROR, Violation
from prov_worker.errors import CrateError


def action(checked: Checked) -> Iterator[Violation]:
    """Look at the execution: that there is one, its times, its step."""
    try:
        crate = StepCrate(checked.source, checked.graph)
    except CrateError as error:
        yield Violation(ERROR, "not-a-step", error.key or v.METADATA_FILE, error.problem)
        return
    execution = crate.action
    if crate.start is not None and crate.end < crate.start:
        where = f"{execution['@id']}.endTime"
        yield Violation(ERROR, "time-order", where, f"{execution['endTime']} is before {execution['startTime']}")
    steps = reference_ids(execution.get("step"))
    if not steps:
        yield Violation(ERROR, "step", f"{execution['@id']}.step", "the execution names no step")
    for identifier in steps:
        position = crate.entities.get(identifier, {}).get("position")
        if position in (None, ""):
            yield Violation(ERROR, "step", f"{identifier}.position", "a step has a position")


RULES.add("action", action)
