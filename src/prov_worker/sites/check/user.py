"""Check the user who starts the endpoint."""

from __future__ import annotations

import getpass
from collections.abc import Iterator

from prov_worker.finding import Finding, failed, passed
from prov_worker.globus.daemons import wants_email
from prov_worker.sites.check import CHECKS
from prov_worker.sites.check.context import Subject


def check(subject: Subject) -> Iterator[Finding]:
    """Yield whether Globus Compute lets this user start an endpoint with this configuration."""
    line = "user"
    if wants_email() and not subject.values["email"]:
        observation = (
            f"{getpass.getuser()} may change users, and such an endpoint does not start without a contact address"
        )
        yield failed(line, observation, "--set email=ADDRESS, or start it as an ordinary user")
    else:
        yield passed(line, getpass.getuser())


CHECKS.add("user", check, rank=10)
