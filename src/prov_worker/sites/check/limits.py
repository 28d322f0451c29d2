"""Limits of the system: paths of sockets, open files, CPUs."""

from __future__ import annotations

import os
import resource
import tempfile
from collections.abc import Iterator

from prov_worker.finding import Finding, failed, passed, warned
from prov_worker.humanize import plural
from prov_worker.sites import affinity as binding
from prov_worker.sites.check import CHECKS
from prov_worker.sites.check.context import Subject
from prov_worker.sites.check.worker_shell import temporary_directory

#: unix(7): sun_path has 108 bytes, the last of which is a zero.
_SOCKET_BYTES = 107
#: Python's multiprocessing, by which Parsl's workers talk with their manager, puts its sockets below TMPDIR.
_SOCKET = "/pymp-12345678/listener-12345678"
_LEAST_FILES = 1024


def check(subject: Subject) -> Iterator[Finding]:
    """Yield each limit that is known to stop an endpoint or its workers."""
    yield from _sockets(subject)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < _LEAST_FILES:
        bound = "unlimited" if hard == resource.RLIM_INFINITY else hard
        remedy = f"ulimit -n {_LEAST_FILES} (to {bound} at most) before the endpoint is started"
        yield warned("open files", f"{soft} at a time", remedy)
    else:
        yield passed("open files", f"{'any number' if soft == resource.RLIM_INFINITY else soft} at a time")
    if subject.values.get("mpi", "none") != "none":
        return  # the launcher binds ranks
    if subject.scheduler:
        yield from _cores(subject)
    else:
        yield _cpus(subject)


def _sockets(subject: Subject) -> Iterator[Finding]:
    line = "paths of sockets"
    for where, directory in (("here", tempfile.gettempdir()), ("at the workers", temporary_directory(subject))):
        if directory is None:
            continue
        length = len(os.fsencode(directory + _SOCKET))
        if length > _SOCKET_BYTES:
            observation = (
                f"TMPDIR {where} is {directory}: sockets in it need {length} bytes, and {_SOCKET_BYTES} are allowed"
            )
            repair = "export TMPDIR=/tmp" + (" in worker_init" if where != "here" else "")
            yield failed(line, observation, repair)
        else:
            yield passed(line, f"TMPDIR {where} is {directory}: {length} of {_SOCKET_BYTES} bytes")


def _cpus(subject: Subject) -> Finding:
    """Compare the workers' CPUs with those of a machine without a scheduler."""
    line = "CPUs"
    mine = os.sched_getaffinity(0)
    affinity, workers = str(subject.values["affinity"]), int(subject.values["workers"])
    if affinity.startswith("list:"):
        wanted = {cpu for cpus in binding.lists(affinity) for cpu in cpus}
        if wanted - mine:
            names = ", ".join(map(str, sorted(wanted - mine)))
            return failed(line, f"affinity names {names}, which this process may not use", "name those that are here")
    if workers > len(mine):
        return warned(
            line,
            f"{plural(workers, 'worker')} for {plural(len(mine), 'CPU')}",
            f"--set workers={len(mine)}, if tasks compute",
        )
    return passed(line, f"{plural(workers, 'worker')} for {plural(len(mine), 'CPU')}")


def _cores(subject: Subject) -> Iterator[Finding]:
    """Judge, for a node of the site, whether workers are bound to the same core while there are enough for all."""
    line = "CPUs"
    values, site = subject.values, subject.site
    given, workers = str(values["affinity"]), int(values["workers"])
    if not site.cores or given == "none":
        return
    several = values.get("cpus_per_task", values.get("cpus_per_node", site.cpus))
    shared = binding.shared_core(given, workers, range(site.cpus), site.cores) if several == site.cpus else None
    if shared is None:
        yield passed(
            line, f"{plural(workers, 'worker')} for {several} logical CPUs of a node with {plural(site.cores, 'core')}"
        )
    elif workers > site.cores:
        yield warned(
            line,
            f"{plural(workers, 'worker')} for {plural(site.cores, 'core')}",
            f"--set workers={site.cores}, if tasks compute",
        )
    else:
        first, second, core = shared
        observation = (
            f"affinity={given.partition(':')[0]} binds workers {first} and {second} of {workers} to core {core}"
        )
        remedy = f"--set affinity=alternating with a number of workers that divides {site.cores}, or a list"
        yield warned(line, observation, remedy)


CHECKS.add("limits", check, rank=80)
