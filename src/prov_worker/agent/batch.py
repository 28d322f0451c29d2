"""How a batch job ended, asked of its scheduler: a worker that is killed with its job cannot know why.

Slurm alone is asked, by its own commands: ``sacct``, and ``scontrol`` on clusters without accounting. Where neither is
there, as in most images, a failure says no more than what was seen of the process.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone

from prov_worker.model import TaskRecord

_LIMIT_S = 4.0
#: A scheduler that did not answer is left alone for so long.
_PAUSE_S = 60.0
#: A job's end is told in whole seconds, by another clock than that of the task.
_SLACK_NS = 3_000_000_000
#: States of a job that tell why its processes were ended (squeue(1), "JOB STATE CODES"), in words.
_STATES = {
    "TIMEOUT": "reached its time limit (walltime)",
    "CANCELLED": "was cancelled",
    "PREEMPTED": "was preempted",
    "NODE_FAIL": "lost a node",
    "OUT_OF_MEMORY": "ran out of memory",
    "DEADLINE": "reached its deadline",
    "BOOT_FAIL": "lost a node",
}


@dataclass(frozen=True, slots=True)
class JobEnd:
    """How a job ended.

    Attributes:
        job: its id.
        state: the scheduler's word, with what it adds: ``CANCELLED by 1000``.
        end_s: when, seconds since the epoch.
        limit: its time limit as text, where that was reached.
    """

    job: str
    state: str
    end_s: int
    limit: str | None = None

    def __str__(self) -> str:
        told = _STATES.get(self.state.partition(" ")[0], "ended")
        limit = f" of {self.limit}" if self.limit else ""
        return f"batch job {self.job} {told}{limit} (Slurm: {self.state})"


class BatchJobs:
    """Asks about the jobs of tasks that failed, each as seldom as can be. No method raises.

    Args:
        environ: where the scheduler's commands are found, and how they find their configuration.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._environ = {**environ, "SLURM_TIME_FORMAT": "%s", "LC_ALL": "C"}
        self._ended: dict[str, JobEnd] = {}
        self._running: dict[str, int] = {}
        self._quiet_until = 0.0

    def explain(self, record: TaskRecord) -> None:
        """Say in a failure that the job's end was its cause, where the job had ended by then."""
        failure, job = record.failure, record.worker.scheduler.get("SLURM_JOB_ID", "")
        if failure is None or failure.kind == "exception" or not job.isdecimal():
            return
        found = self._end_of(job, record.end_ns)
        if found is None:
            return
        if found.end_s * 1_000_000_000 <= record.end_ns + _SLACK_NS:
            failure.message = f"{found}: {failure.message}"
        elif failure.kind == "unknown":
            # Nobody saw the task end, and a job ends some day: this may be its cause, or may not.
            at = datetime.fromtimestamp(found.end_s, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
            failure.message = f"{failure.message}; {found} at {at}"

    def _end_of(self, job: str, at_ns: int) -> JobEnd | None:
        known = self._ended.get(job)
        if known is not None or at_ns <= self._running.get(job, -1):
            return known
        now_ns = time.time_ns()
        found = self._by_sacct(job) or self._by_scontrol(job)
        if found is None:
            self._running[job] = now_ns
        else:
            self._ended[job] = found
        return found

    def _by_sacct(self, job: str) -> JobEnd | None:
        for line in self._ask("sacct", "-X", "-n", "-P", "-j", job, "-o", "State,End,Timelimit").splitlines():
            state, end, limit = [*line.split("|"), "", ""][:3]
            if state.partition(" ")[0] in _STATES and end.isdigit():
                return JobEnd(job, state, int(end), limit if state == "TIMEOUT" else None)
        return None

    def _by_scontrol(self, job: str) -> JobEnd | None:
        words = dict(
            word.split("=", 1) for word in self._ask("scontrol", "-o", "show", "job", job).split() if "=" in word
        )
        state, end = words.get("JobState", ""), words.get("EndTime", "")
        if state == "COMPLETING" and words.get("Reason") == "TimeLimit":
            state = "TIMEOUT"  # its processes are being killed
        if state not in _STATES or not end.isdigit():
            return None
        return JobEnd(job, state, int(end), words.get("TimeLimit") if state == "TIMEOUT" else None)

    def _ask(self, *command: str) -> str:
        if time.monotonic() < self._quiet_until:
            return ""
        program = shutil.which(command[0], path=self._environ.get("PATH"))
        if program is None:
            return ""
        try:
            return subprocess.run(
                [program, *command[1:]],
                env=self._environ,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_LIMIT_S,
                check=False,
            ).stdout
        except (OSError, subprocess.SubprocessError):
            self._quiet_until = time.monotonic() + _PAUSE_S
            return ""
