"""PBS: queue and limits, job history, account and file systems, without a job."""

from __future__ import annotations

import getpass
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from prov_worker.probes.base import ProbeContext
from prov_worker.probes.mounts import holding, read_mounts
from prov_worker.sites import walltime
from prov_worker.sites.check.asking import ask, there
from prov_worker.sites.check.finding import Finding, failed, passed, warned
from prov_worker.sites.check.subject import Subject


def check(subject: Subject) -> Iterator[Finding]:
    """The server's answers, and what cannot be asked."""
    asked = ask(["qstat", "-Q", "-f", "-F", "json"])
    try:
        queues = json.loads(asked.output)["Queue"] if asked.status == 0 else None
    except (ValueError, KeyError, TypeError):
        queues = None
    if asked.status != 0:
        yield failed("scheduler answers", asked.told, "wait until PBS answers, or ask the site's support")
        return
    if isinstance(queues, dict):
        yield passed("scheduler answers", f"{len(queues)} queues")
        yield _queue(subject, queues)
    else:
        yield warned("scheduler answers", "no JSON about queues", "look at `qstat -Q -f` by eye")
    yield _history()
    yield _account(subject)
    yield from _file_systems(subject)


def _queue(subject: Subject, queues: dict[str, Any]) -> Finding:
    line = "queue"
    name, nodes = subject.values["queue"], subject.values["nodes_per_block"]
    if name not in queues:
        return failed(line, f"there is no queue {name}", f"--set queue= one of {', '.join(sorted(queues))}")
    queue = queues[name]
    if queue.get("enabled") == "False" or queue.get("from_route_only") == "True":
        why = "takes no jobs now" if queue.get("enabled") == "False" else "takes jobs from a routing queue alone"
        return failed(line, f"{name} {why}", "name another one, such as prod, or wait")
    low, high = queue.get("resources_min") or {}, queue.get("resources_max") or {}
    for limit, sign in ((low, 1), (high, -1)):
        word = "at least" if sign > 0 else "at most"
        if "nodect" in limit and sign * (int(limit["nodect"]) - nodes) > 0:
            found = f"{name} takes jobs of {word} {limit['nodect']} nodes, and nodes_per_block is {nodes}"
            return failed(line, found, f"--set nodes_per_block={limit['nodect']}, or another queue")
        bound, wanted = walltime.seconds(str(limit.get("walltime", ""))), walltime.seconds(subject.values["walltime"])
        if bound is not None and wanted is not None and sign * (bound - wanted) > 0:
            found = (
                f"{name} takes walltimes of {word} {limit['walltime']}, and walltime is {subject.values['walltime']}"
            )
            return failed(line, found, f"--set walltime={limit['walltime']}, or another queue")
    if queue.get("started") == "False":
        return warned(line, f"{name} takes jobs, but starts none now", "wait, or name another one")
    return passed(line, f"{name}, for {nodes} node(s) and {subject.values['walltime']}")


def _history() -> Finding:
    """Parsl asks with ``-x``: without history every running job is over for it at its first look."""
    line = "job history"
    asked = ask(["qstat", "-x", "-u", getpass.getuser()])
    if "not configured to maintain job history" in asked.errors + asked.output:
        return failed(line, asked.told, "ask the site to set job_history_enable: Parsl cannot follow jobs without it")
    if asked.status != 0:
        return warned(line, f"qstat -x: {asked.told}", "try `qstat -x` after a job of yours has ended")
    server = ask(["qstat", "-B", "-f"])
    if server.status == 0 and "job_history_enable = True" not in server.output:
        return warned(line, "PBS does not say that it keeps one", "try `qstat -x` after a job of yours has ended")
    return passed(line, "is kept")


def _account(subject: Subject) -> Finding:
    line, account = "account", subject.values["account"]
    program = "sbank-list-allocations"
    if there(program) is None:
        remedy = f"`qsub -h -A {account} ...` tells whether PBS takes it; qdel that job then"
        return warned(line, f"{account}: there is nothing to ask ({program} is not here)", remedy)
    asked = ask([program, "-p", account])
    if asked.status != 0:
        return warned(line, f"{account}: {program}: {asked.told}", f"look at `{program}` by eye")
    if not re.search(rf"(?<![\w.-]){re.escape(account)}(?![\w.-])", asked.output):
        return failed(line, f"{account}: no allocation", f"--set account= one that `{program}` lists")
    return passed(line, f"{account}, by {program}")


def _file_systems(subject: Subject) -> Iterator[Finding]:
    line = "file systems"
    wanted = subject.values["filesystems"].split(":")
    mounts = read_mounts(ProbeContext())
    missing = [one for one in wanted if not any(one in Path(mount.point).parts for mount in mounts)]
    missing = [one for one in missing if not Path("/", one).exists()]
    if missing:
        found = f"{', '.join(missing)}: no mount of that name here (filesystems={subject.values['filesystems']})"
        yield warned(line, found, "check the spelling: PBS refuses or holds jobs that ask for an unknown one")
    # What lies on a file system that the job has not asked for may be away while it runs.
    needed = {"crate_dir": str(subject.crate_dir), "run directory": str(subject.user_dir)}
    for what, path in needed.items():
        mount = holding(str(Path(path).resolve()), mounts)
        parts = {
            *Path(path).parts,
            *Path(path).resolve().parts,
            *(Path(mount.point).parts if mount is not None else ()),
        }
        if not parts & set(wanted):
            yield warned(
                line,
                f"{what} {path} is on none of {subject.values['filesystems']}",
                "--set filesystems= so that its file system is named, or choose another directory",
            )
            return
    if not missing:
        yield passed(line, subject.values["filesystems"])
