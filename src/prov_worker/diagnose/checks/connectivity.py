"""Whether a task gets to a worker and its result back, and how long each stage takes."""

from __future__ import annotations

from collections.abc import Iterator

from prov_worker.diagnose.checks import CHECKS, Check
from prov_worker.diagnose.evidence import Evidence, SentTask, reason
from prov_worker.diagnose.stages import stages_of
from prov_worker.finding import Finding, failed, passed
from prov_worker.globus.task_client import NoRightsError, RefusedError
from prov_worker.humanize import duration, moment

_LOG = "~/.globus_compute/NAME/endpoint.log and ~/.globus_compute/uep.*/endpoint.log, on the endpoint's host"


def _judge(evidence: Evidence) -> Iterator[Finding]:
    first = evidence.first()
    if isinstance(evidence.error, NoRightsError):
        yield failed(
            "rights",
            f"no rights to use this endpoint: {evidence.error}",
            "log in as another identity, or have the endpoint's owner let this one in",
        )
        return
    report = evidence.report
    if report is None:
        problem = evidence.error or f"no answer in {duration(evidence.took_s)}"
        yield failed("web service", str(problem), "look at the network and proxy of this machine")
        return
    if not report.online:
        since = "the web service does not say since when" if report.since is None else _ago(report.since)
        yield failed(
            "endpoint",
            f"offline: {since}",
            "start it on its host: globus-compute-endpoint start NAME; why it ended is in its endpoint.log",
        )
        return
    yield passed("endpoint", "online")
    if first is None or first.id is None:
        yield _not_sent(evidence)
    elif first.answer is None:
        yield _unanswered(evidence)
    elif first.error is not None:
        yield _failed(first)
    else:
        stages = ", ".join(f"{name} {duration(seconds)}" for name, seconds in stages_of(evidence, first).items())
        yield passed("round trip", f"{duration((first.received_ns - first.sent_ns) / 1e9)}: {stages}")
    if first is not None and first.value and (evidence.error is not None or evidence.over):
        problem = str(evidence.error or f"not all tasks were back after {evidence.plan.timeout_s:g} s")
        yield failed("later tasks", problem, "what is missing is said below; give it longer with --timeout")


def _ago(since: float) -> str:
    return f"heard of last at {moment(int(since * 1e9))}"


def _not_sent(evidence: Evidence) -> Finding:
    if isinstance(evidence.error, RefusedError):
        return failed("task", str(evidence.error), "the web service says what it does not take")
    problem = evidence.error or f"not sent in {duration(evidence.took_s)}"
    return failed("task", str(problem), "look at the network of this machine, and ask the web service again")


def _unanswered(evidence: Evidence) -> Finding:
    report = evidence.late_report
    if report is not None and not report.online:
        return failed("task", "the endpoint went offline while a task waited", f"look at its log: {_LOG}")
    problem = evidence.error or f"no worker answered in {duration(evidence.took_s)}, and the endpoint is online"
    return failed(
        "task",
        str(problem),
        "its block waits in the scheduler's queue (qstat, squeue), or ends at once: worker_init must reach an "
        f"environment with globus-compute-endpoint; look at {_LOG}",
    )


def _failed(first: SentTask) -> Finding:
    answer = first.answer
    if answer is not None and answer.by_worker:
        return failed("task", f"failed on the worker: {reason(first.error or '')}", f"look at {_LOG}")
    return failed(
        "task",
        f"no worker could take it: {reason(first.error or '')}",
        "if its block ended, worker_init must reach an environment with globus-compute-endpoint; an engine for MPI "
        f"wants --ranks; look at {_LOG}",
    )


CHECKS.add("connectivity", Check((), _judge), rank=0)
