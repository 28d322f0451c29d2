"""What PBS's programs answer, and what the end of a job has to do with that of a task."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from prov_worker import programs
from prov_worker.finding import Finding, failed, passed, warned
from prov_worker.schedulers.answers import JobWord, walltime

if TYPE_CHECKING:
    from prov_worker.model import TaskRecord
    from prov_worker.schedulers.base import JobRequest

#: Signals by which PBS ends jobs.
_ENDING = ("SIGTERM", "SIGKILL")
#: A job's script starts so much later than the job, at most.
_EARLY_S = 5.0
_LOOK_LIMIT_S = 4.0
#: States of jobs that are over, or nearly (qstat(1B)): finished, exiting, subjob finished.
_OVER = ("F", "E", "X")
#: ALCF's program that knows accounts.
_ALLOCATIONS = "sbank-list-allocations"


def look(job: str) -> JobWord | None:
    """See ``Scheduler.look``; PBS holds a job that it could not start 21 times (``Hold_Types`` has ``s``)."""
    answer = programs.run(["qstat", "-x", "-f", "-F", "json", job], limit_s=_LOOK_LIMIT_S)
    try:
        (facts,) = json.loads(answer.output)["Jobs"].values()
        state, comment = facts["job_state"], facts.get("comment") or "no comment"
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    if state == "H":
        return JobWord(f"batch job {job} is held (PBS: {comment})", True, "s" in facts.get("Hold_Types", ""))
    if state in _OVER:
        ended = f" with exit status {facts['Exit_status']}" if "Exit_status" in facts else ""
        return JobWord(f"batch job {job} ended{ended} (PBS: {comment})")
    return JobWord(f"batch job {job} is in state {state} (PBS: {comment})")


def preflight(job: JobRequest) -> Iterator[Finding]:
    """See ``Scheduler.preflight``: queue and its limits, job history, account."""
    listing = programs.run(["qstat", "-Q", "-f", "-F", "json"])
    if listing.status != 0:
        yield failed("scheduler answers", listing.message, "wait until PBS answers, or ask the site's support")
        return
    try:
        queues = json.loads(listing.output)["Queue"]
    except (ValueError, KeyError, TypeError):
        queues = None
    if isinstance(queues, dict):
        yield passed("scheduler answers", f"queues: {len(queues)}")
        yield _queue(job.values, queues)
    else:
        yield warned("scheduler answers", "no JSON about queues", "look at `qstat -Q -f` by eye")
    yield _history()
    yield _account(job.values["account"])


def explain(record: TaskRecord, death_seen: bool) -> None:
    """Add whether the job's time was over: PBS tells a job nothing of why it is ended."""
    failure, variables = record.failure, record.worker.scheduler
    until = variables.get("PBS_JOB_END_TIME", "")
    if failure is None or not death_seen or not until.isdecimal():
        return
    if failure.kind != "unknown" and failure.signal not in _ENDING:
        return
    job, left_s = variables["PBS_JOBID"], int(until) - record.end_ns / 1e9
    if left_s <= _EARLY_S:
        failure.message += f"; the walltime of batch job {job} was over"
    else:
        failure.message += f"; batch job {job} had {left_s:.0f} s of its walltime left"


def _queue(values: Mapping[str, Any], queues: dict[str, Any]) -> Finding:
    line = "queue"
    name, nodes, limit_text = values["queue"], values["nodes_per_block"], values["walltime"]
    if name not in queues:
        return failed(line, f"there is no queue {name}", f"--set queue= one of {', '.join(sorted(queues))}")
    queue = queues[name]
    if queue.get("enabled") == "False" or queue.get("from_route_only") == "True":
        why = "takes no jobs now" if queue.get("enabled") == "False" else "takes jobs from a routing queue alone"
        return failed(line, f"{name} {why}", "name another one, such as prod, or wait")
    low, high = queue.get("resources_min") or {}, queue.get("resources_max") or {}
    for limit, sign in ((low, 1), (high, -1)):
        bound = "at least" if sign > 0 else "at most"
        if "nodect" in limit and sign * (int(limit["nodect"]) - nodes) > 0:
            problem = f"{name} takes jobs of {bound} {limit['nodect']} nodes, and nodes_per_block is {nodes}"
            return failed(line, problem, f"--set nodes_per_block={limit['nodect']}, or another queue")
        bound_s, wanted_s = walltime.seconds(str(limit.get("walltime", ""))), walltime.seconds(limit_text)
        if bound_s is not None and wanted_s is not None and sign * (bound_s - wanted_s) > 0:
            problem = f"{name} takes walltimes of {bound} {limit['walltime']}, and walltime is {limit_text}"
            return failed(line, problem, f"--set walltime={limit['walltime']}, or another queue")
    if queue.get("started") == "False":
        return warned(line, f"{name} takes jobs, but starts none now", "wait, or name another one")
    return passed(line, f"{name}, for {nodes} node(s) and {limit_text}")


def _history() -> Finding:
    """Ask with ``-x``, as Parsl does: without history every running job is over for it at its first look."""
    import getpass

    line, remedy = "job history", "try `qstat -x` after a job of yours has ended"
    jobs = programs.run(["qstat", "-x", "-u", getpass.getuser()])
    if "not configured to maintain job history" in jobs.errors + jobs.output:
        return failed(line, jobs.message, "ask the site to set job_history_enable: Parsl cannot follow jobs without it")
    if jobs.status != 0:
        return warned(line, f"qstat -x: {jobs.message}", remedy)
    server = programs.run(["qstat", "-B", "-f"])
    if server.status == 0 and "job_history_enable = True" not in server.output:
        return warned(line, "PBS does not say that it keeps one", remedy)
    return passed(line, "is kept")


def _account(account: str) -> Finding:
    line = "account"
    if programs.find(_ALLOCATIONS) is None:
        remedy = f"`qsub -h -A {account} ...` tells whether PBS takes it; qdel that job then"
        return warned(line, f"{account}: there is nothing to ask ({_ALLOCATIONS} is not here)", remedy)
    listing = programs.run([_ALLOCATIONS, "-p", account])
    if listing.status != 0:
        return warned(line, f"{account}: {_ALLOCATIONS}: {listing.message}", f"look at `{_ALLOCATIONS}` by eye")
    if not re.search(rf"(?<![\w.-]){re.escape(account)}(?![\w.-])", listing.output):
        return failed(line, f"{account}: no allocation", f"--set account= one that `{_ALLOCATIONS}` lists")
    return passed(line, f"{account}, by {_ALLOCATIONS}")
