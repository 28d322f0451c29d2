"""Ids of entities of a run crate."""

from __future__ import annotations

from prov_worker.crate.identifiers import is_absolute
from prov_worker.crate.json_text import safe_name
from prov_worker.run.assembly.staging import Entry


def in_run(crate_id: str, identifier: str) -> str:
    """Return id in the run crate of an entity of a step crate; what has an absolute URI keeps it."""
    return identifier if is_absolute(identifier) else crate_id + identifier


def action_id(entry: Entry) -> str:
    """Return id in the run crate of the action of a step."""
    return in_run(entry.step.crate_id, entry.action_id)


def control_id(task_id: str) -> str:
    """Return id of the ControlAction of a task."""
    return f"#control-{safe_name(task_id)}"


def group_id(group: str) -> str:
    """Return id of a group of tasks."""
    return f"#group-{safe_name(group)}"
