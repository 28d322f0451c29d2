"""Daemons on other hosts that share this home: a second one for an endpoint would take its tasks away."""

from __future__ import annotations

import socket
from collections.abc import Iterator

from prov_worker.errors import InputError
from prov_worker.finding import Finding, failed, passed, warned
from prov_worker.globus import daemons
from prov_worker.sites.check import CHECKS
from prov_worker.sites.check.context import Subject
from prov_worker.sites.install import marker_of


def check(subject: Subject) -> Iterator[Finding]:
    """Yield the endpoint's own daemon, and others in the same directory."""
    line = "daemons"
    alive = daemons.look_at_all(subject.user_dir)
    if subject.name is not None:
        endpoint = subject.user_dir / subject.name
        try:
            marker = marker_of(endpoint) or {}
        except InputError as error:
            yield failed(line, str(error), "write it again: `install --overwrite`, which keeps a copy")
            return
        host = marker.get("host")
        here = socket.gethostname()
        if host is not None and host != here:
            observation = f"{endpoint} belongs to {host}, and this is {here}: a daemon here would be a duplicate"
            yield failed(line, observation, f"start it on {host}, or move it here with `install --overwrite`")
            return
        core = alive.get(endpoint)
        if core is not None and core.state == "elsewhere" and "host" in marker and host is None:
            yield passed(line, f"{endpoint}: on another host, which a batch system chose: process {core.pid}")
            return
        if core is not None and core.state == "elsewhere":
            observation = f"{endpoint / daemons.PID_FILE} is kept fresh by process {core.pid} of another host"
            yield failed(line, observation, "stop that daemon on its host before one is started here")
            return
    elsewhere = [path.name for path, core in alive.items() if core.state == "elsewhere"]
    if elsewhere:
        observation = f"{', '.join(elsewhere)} in {subject.user_dir}: running on another host"
        yield warned(line, observation, "start each endpoint on one host alone")
    else:
        running = ", ".join(path.name for path in alive) or "none"
        yield passed(line, f"running here: {running}; on another host: none")


CHECKS.add("duplicates", check, rank=100)
