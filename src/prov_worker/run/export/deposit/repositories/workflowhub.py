"""WorkflowHub: the crate itself is what is submitted; the hub reads its metadata.

Source: the submission of Workflow RO-Crates, https://about.workflowhub.eu, ``POST /workflows/submit``. The hub takes a
file whose name ends in ``.crate.zip``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prov_worker.run.export.deposit.repository import REPOSITORIES, Destination, Receipt, Repository
from prov_worker.run.export.deposit.submission import Submission
from prov_worker.run.export.deposit.web import Session, text_at


def document(_: Submission, destination: Destination) -> dict[str, Any]:
    """Return the fields of the form beside the file."""
    return {"workflow[project_ids][]": destination.project}


def send(session: Session, submission: Submission, destination: Destination, archive: Path) -> Receipt:
    """Submit the crate; who may see it is the team's setting."""
    fields = document(submission, destination)
    answer = session.form("/workflows/submit", fields, "ro_crate", archive, submission.archive, (200, 201))
    identifier = text_at(answer, "data", "id")
    return Receipt(identifier, f"{session.url}/workflows/{identifier}", published=False)


REPOSITORIES.add(
    "workflowhub",
    Repository(
        "WorkflowHub",
        "WORKFLOWHUB_TOKEN",
        ("Authorization", "Token "),
        "https://workflowhub.eu",
        ("project",),
        False,
        document,
        send,
    ),
)
