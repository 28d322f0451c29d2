"""A run's record, brought back: the service forgets it after 90 days (https://docs.globus.org/api/flows/limits/)."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prov_worker import files
from prov_worker.errors import InputError
from prov_worker.flow.remote.service import FlowsService, refusals
from prov_worker.run.assembly.flow_record import DEFINITION_FILE, INPUT_FILE, LOG_FILE, RUN_FILE, SCHEMA_FILE


def record(run_id: str, directory: str | os.PathLike[str], service: FlowsService | None = None) -> dict[str, Path]:
    """Write what the service has of a run into a directory: its document, log, input, definition and schema.

    Args:
        run_id: of the run.
        directory: that is made if it is missing; one with the record of the same run is brought up to date.
        service: the service; None for one with the credentials of Globus Compute.

    Returns:
        The files, by what is in them.

    Raises:
        InputError: there is no such run, the directory holds another one's record, or cannot be written.
        ProvWorkerError: the service cannot be reached.
    """
    place = Path(directory)
    service = service or FlowsService()
    with refusals(run_id):
        run = dict(service.flows.get_run(run_id, include_flow_description=True).data)
        log = list(service.flows.paginated.get_run_logs(run_id, limit=100).items())
        defined = service.flows.get_run_definition(run_id).data
    _refuse_other(place, str(run["run_id"]))
    contents = {
        RUN_FILE: run,
        LOG_FILE: {"run_id": run["run_id"], "entries": log},
        INPUT_FILE: input_of(log),
        DEFINITION_FILE: defined["definition"],
        SCHEMA_FILE: defined.get("input_schema") or {},
    }
    try:
        place.mkdir(parents=True, exist_ok=True)
        files.write_files(
            {os.fspath(place / name): _text(value) for name, value in contents.items() if value is not None}
        )
    except OSError as error:
        raise InputError(f"{place}: cannot be written: {error.strerror or error}") from error
    return {name: place / name for name, value in contents.items() if value is not None}


def input_of(log: list[Mapping[str, Any]]) -> Any:
    """Return the input of a run by its log; None if the log does not tell."""
    for entry in log:
        if entry.get("code") == "FlowStarted":
            return (entry.get("details") or {}).get("input")
    return None


def _refuse_other(place: Path, run_id: str) -> None:
    if place.exists() and not place.is_dir():
        raise InputError(f"{place}: not a directory")
    if not place.is_dir() or not any(place.iterdir()):
        return
    try:
        present = json.loads((place / RUN_FILE).read_bytes())
    except (OSError, ValueError):
        raise InputError(f"{place}: holds something else; name a directory that is empty or missing") from None
    if not isinstance(present, dict) or present.get("run_id") != run_id:
        raise InputError(f"{place}: holds the record of another run; name another directory")


def _text(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"
