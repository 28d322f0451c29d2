"""What the tests of the preflight share."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from prov_worker.finding import Finding
from prov_worker.sites import options
from prov_worker.sites.catalog import site
from prov_worker.sites.check.context import Subject
from prov_worker.sites.check.preflight import subject_of


def subject(name: str, user_dir: Path, endpoint: str | None = None, **values: Any) -> Subject:
    """A site with options, as the command makes it."""
    definition = site(name)
    if name != "local":
        values = {"account": "MyProject", **values}
    if name == "aurora":
        values = {"submit_dir": "/flare/MyProject", **values}
    return subject_of(definition, options.complete(definition, values, "test"), user_dir=user_dir, name=endpoint)


def statuses(findings: Iterable[Finding]) -> dict[str, str]:
    """By subject."""
    return {finding.subject: finding.status for finding in findings}


def only(findings: Iterable[Finding], status: str) -> Finding:
    """The one line that is not fine."""
    (finding,) = [line for line in findings if line.status != "pass"]
    assert finding.status == status
    assert finding.remedy
    return finding


def program(directory: Path, name: str, body: str) -> None:
    directory.mkdir(exist_ok=True)
    path = directory / name
    path.write_text("#!/bin/sh\n" + textwrap.dedent(body))
    path.chmod(0o755)
