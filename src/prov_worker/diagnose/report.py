"""What a diagnosis says: findings, stages, and what each worker answered."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prov_worker.crate.json_text import utc
from prov_worker.diagnose.checks import CHECKS
from prov_worker.diagnose.evidence import Evidence
from prov_worker.diagnose.stages import stages_of
from prov_worker.finding import FAIL, PASS, SKIPPED, WARN, Finding, failed, skipped
from prov_worker.humanize import duration, plural

STATUSES = (PASS, WARN, FAIL, SKIPPED)


@dataclass(frozen=True, slots=True)
class Report:
    """The outcome of a diagnosis.

    Attributes:
        endpoint: its UUID, or what was diagnosed in its place.
        begin_ns: when it began, since the epoch.
        findings: of each check, in their order.
        evidence: what they were judged by.
    """

    endpoint: str
    begin_ns: int
    findings: tuple[tuple[str, Finding], ...]
    evidence: Evidence

    @property
    def ok(self) -> bool:
        """Whether nothing was found that needs somebody: no warning, no failure."""
        return not (self.counts()[WARN] or self.counts()[FAIL])

    def counts(self) -> dict[str, int]:
        """Return how many findings have each status."""
        counted = Counter(finding.status for _, finding in self.findings)
        return {status: counted[status] for status in STATUSES}

    def summary(self) -> str:
        """Return the last line of the table."""
        counted = self.counts()
        trips = len({task.stage for task in self.evidence.tasks})
        return (
            f"{self.endpoint}: {counted[PASS]} passed, {plural(counted[WARN], 'warning')}, {counted[FAIL]} failed, "
            f"{counted[SKIPPED]} skipped, in {duration(self.evidence.took_s)}: "
            f"{plural(len(self.evidence.tasks), 'task')} in {plural(trips, 'round trip')}"
        )

    def to_json(self) -> dict[str, Any]:
        """Return all of it as plain data."""
        evidence = self.evidence
        return {
            "endpoint": self.endpoint,
            "client": socket.gethostname(),
            "began": utc(self.begin_ns),
            "took_s": evidence.took_s,
            "timeout_s": evidence.plan.timeout_s,
            "checks": list(evidence.plan.checks),
            "site": None if evidence.plan.promise is None else evidence.plan.promise.site,
            "ok": self.ok,
            **self.counts(),
            "findings": [{"check": name, **finding._asdict()} for name, finding in self.findings],
            "versions_here": evidence.here,
            "tasks": [
                {
                    "id": task.id,
                    "trip": task.stage,
                    "probes": list(task.probes),
                    "stages_s": stages_of(evidence, task),
                    "error": task.error,
                    "answer": task.value or None,
                }
                for task in evidence.tasks
            ],
        }

    def to_text(self) -> str:
        """Return the findings as lines of text."""
        lines = []
        for name, finding in self.findings:
            lines.append(f"{finding.status}: {name}: {finding.subject}: {finding.found}")
            if finding.remedy:
                lines.append(f"    {finding.remedy}")
        return "\n".join([*lines, self.summary()]) + "\n"

    def write(self, target: Path) -> None:
        """Write it as an RO-Crate; see :func:`prov_worker.diagnose.report_crate.write_report`.

        Raises:
            InputError: the target is there, or cannot be written.
        """
        from prov_worker.diagnose.report_crate import write_report

        write_report(self, target)


def judge(endpoint: str, begin_ns: int, evidence: Evidence) -> Report:
    """Return the report of what came back.

    Args:
        endpoint: its UUID, or what was diagnosed in its place.
        begin_ns: when it began.
        evidence: all that is known.
    """
    names = list(evidence.plan.checks)
    first = evidence.first()
    reached = first is not None and bool(first.value)
    if "connectivity" not in names and (not reached or evidence.error is not None or evidence.over):
        names.insert(0, "connectivity")  # why the others could not be checked
    findings: list[tuple[str, Finding]] = []
    for name in names:
        check = CHECKS[name]
        if check.probes and not reached:
            findings.append((name, skipped(name, "no task of this endpoint has ended well")))
            continue
        findings += [(name, finding) for finding in check.judge(evidence)]
        findings += [(name, finding) for finding in _unanswered(evidence, check.probes[:1], name)]
    return Report(endpoint, begin_ns, tuple(findings), evidence)


def _unanswered(evidence: Evidence, probes: Iterable[str], name: str) -> Iterable[Finding]:
    for probe in probes:
        sent = evidence.sent(probe)
        missing = sum(task.answer is None for task in sent)
        if missing:
            yield failed(
                name,
                f"{missing} of {plural(len(sent), 'task')} did not come back in {duration(evidence.took_s)}",
                "fewer workers than tasks, or one that hangs: look at the endpoint's log; --timeout gives it longer",
            )
