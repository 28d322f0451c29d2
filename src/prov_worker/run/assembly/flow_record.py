"""The record of a run of a Globus Flow, as ``flow record`` brings it back: what a run crate takes of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from prov_worker import files
from prov_worker.errors import InputError

DEFINITION_FILE, SCHEMA_FILE, INPUT_FILE = "definition.json", "schema.json", "input.json"
RUN_FILE, LOG_FILE = "run.json", "log.json"
#: Files of the record beside the definition, and what they are in a run crate.
DESCRIPTIONS = {
    RUN_FILE: "The run of the Globus Flow, as the service gave it",
    LOG_FILE: "Its log",
    INPUT_FILE: "Its input",
    SCHEMA_FILE: "Schema of the input of the flow",
}
_PREFIX = "flow-"
_MAX_BYTES = 64 << 20


def read_record(directory: Path) -> tuple[dict[str, bytes], dict[str, str]]:
    """Return a record's files by their names in a run crate, and the state of each task that its log names.

    Args:
        directory: that ``flow record`` wrote.

    Raises:
        InputError: a file cannot be read, or the log is none.
    """
    contents: dict[str, bytes] = {}
    for name in DESCRIPTIONS:
        try:
            contents[_PREFIX + name] = files.read_regular(directory / name, _MAX_BYTES)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise InputError(f"{directory / name}: cannot be read: {error.strerror or error}") from None
    log = contents.get(_PREFIX + LOG_FILE)
    return contents, {} if log is None else dict(_tasks(directory / LOG_FILE, log))


def description_of(name: str) -> str:
    """Return what a file of a record is, by its name in a run crate."""
    return DESCRIPTIONS[name.removeprefix(_PREFIX)]


def _tasks(path: Path, text: bytes) -> Iterator[tuple[str, str]]:
    """Yield tasks and the states that ran them: an action that succeeded tells its tasks."""
    try:
        log = json.loads(text)
        entries = log["entries"]
    except (ValueError, RecursionError, LookupError, TypeError):
        raise InputError(f"{path}: no log of a run: expected an object with entries") from None
    for entry in entries if isinstance(entries, list) else ():
        details = entry.get("details") if isinstance(entry, Mapping) else None
        if not isinstance(details, Mapping) or entry.get("code") != "ActionCompleted":
            continue
        state = details.get("state_name")
        for task in _results(details.get("output")):
            if isinstance(state, str) and isinstance(task, str):
                yield task, state


def _results(output: Any) -> Iterator[Any]:
    details = output.get("details") if isinstance(output, Mapping) else None
    results = details.get("results") if isinstance(details, Mapping) else None
    for result in results if isinstance(results, list) else ():
        if isinstance(result, Mapping):
            yield result.get("task_id")
