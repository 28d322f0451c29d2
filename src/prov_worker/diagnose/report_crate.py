"""A report as an RO-Crate, to attach to a ticket: the findings for people, and all of it for programs."""

from __future__ import annotations

import json
import socket
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from prov_worker.crate import process_run
from prov_worker.crate.people import account_name, people
from prov_worker.errors import InputError
from prov_worker.files import need_new
from prov_worker.settings import Settings

if TYPE_CHECKING:
    from prov_worker.diagnose.report import Report

_JSON, _TEXT = "report.json", "report.txt"
_ACTION = "#diagnosis"


def write_report(report: Report, target: Path) -> None:
    """Write a report, whole or not at all: a directory, or a zip file if the name ends so.

    Args:
        report: what is written.
        target: must not be there.

    Raises:
        InputError: the target is there, or cannot be written.
    """
    need_new(target)
    parts = {_JSON: json.dumps(report.to_json(), indent=1, ensure_ascii=False) + "\n", _TEXT: report.to_text()}
    persons = people(Settings(), account_name(), "when the endpoint was diagnosed")
    end_ns = report.begin_ns + int(report.evidence.took_s * 1e9)
    counts = ", ".join(f"{count} {status}" for status, count in report.counts().items())
    place = f"urn:uuid:{report.endpoint}" if _is_uuid(report.endpoint) else "#endpoint"
    action = {
        "@id": _ACTION,
        "@type": "CreateAction",
        "name": f"Diagnosis of endpoint {report.endpoint}",
        "description": f"Checks: {', '.join(report.evidence.plan.checks)}; findings: {counts}",
        "object": {"@id": place},
        "result": [{"@id": name} for name in parts],
    }
    graph = [
        *process_run.head(
            persons,
            name=f"Diagnosis of endpoint {report.endpoint}",
            description=f"What tasks found at an endpoint of Globus Compute, sent from {socket.gethostname()}",
            identifier=f"urn:uuid:{uuid.uuid4()}",
            published_ns=end_ns,
            parts=parts,
            action=_ACTION,
        ),
        process_run.file_entity(
            _JSON, parts[_JSON], "Report", "Findings, times of all stages, and the workers' answers"
        ),
        process_run.file_entity(_TEXT, parts[_TEXT], "Findings", "Findings as lines of text"),
        *process_run.action_entities(persons, action, "diagnose", report.begin_ns, end_ns),
        {
            "@id": place,
            "@type": "CreativeWork",
            "name": f"Endpoint {report.endpoint}",
            "description": "An endpoint of Globus Compute",
        },
    ]
    try:
        process_run.publish(target, parts, graph)
    except OSError as error:
        raise InputError(f"{target}: cannot be written: {error.strerror or error}") from None


def _is_uuid(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True
