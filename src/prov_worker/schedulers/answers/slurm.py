"""What Slurm's programs answer, and what the end of a job has to do with that of a task."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from prov_worker import programs
from prov_worker.finding import Finding, failed, passed, warned
from prov_worker.schedulers.answers import JobWord, walltime

if TYPE_CHECKING:
    from prov_worker.model import TaskRecord
    from prov_worker.schedulers.base import JobRequest

_LIMIT_S = 4.0
#: Reasons for which Slurm itself holds a job (squeue(1), "JOB REASON CODES").
_STUCK = ("JobHoldMaxRequeue", "launch failed requeued held")
#: A scheduler that did not answer is left alone for so long.
_PAUSE_S = 60.0
#: A job's end is given in whole seconds, by another clock than that of the task.
_SLACK_NS = 3_000_000_000
#: States of a job that explain why its processes were ended (squeue(1), "JOB STATE CODES"), in words.
_STATES = {
    "TIMEOUT": "reached its time limit (walltime)",
    "CANCELLED": "was cancelled",
    "PREEMPTED": "was preempted",
    "NODE_FAIL": "lost a node",
    "OUT_OF_MEMORY": "ran out of memory",
    "DEADLINE": "reached its deadline",
    "BOOT_FAIL": "lost a node",
    "REQUEUED": "was put back into the queue",
}


def look(job: str) -> JobWord | None:
    """See ``Scheduler.look``; of a job that it could not launch, Slurm gives one of two reasons for holding it."""
    # %A is the id of an array's task, %i would be that of the array with an index.
    answer = programs.run(["squeue", "-h", "-o", "%A|%T|%r", "-j", job], limit_s=_LIMIT_S)
    for line in answer.output.splitlines():
        number, state, reason = [*line.split("|"), "", ""][:3]
        if number == job:
            held = state == "PENDING" and (reason.startswith("JobHeld") or reason in _STUCK)
            how = "is held" if held else f"is in state {state}"
            return JobWord(f"batch job {job} {how} (Slurm: {reason})", held, reason in _STUCK)
    fields = "JobIDRaw,State,ExitCode"
    answer = programs.run(["sacct", "-X", "-n", "-P", "-j", job, "-o", fields], limit_s=_LIMIT_S)
    for line in answer.output.splitlines():
        number, state, status = [*line.split("|"), "", ""][:3]
        if number == job:
            return JobWord(f"batch job {job} ended with exit status {status} (Slurm: {state})")
    return None


def preflight(job: JobRequest) -> Iterator[Finding]:
    """See ``Scheduler.preflight``: the queue's answer, account and QOS, partition, and a trial of the very script."""
    import getpass

    listing = programs.run(["squeue", "--noheader", "--format=%i %t", "--user", getpass.getuser()])
    if listing.status != 0:
        yield failed("scheduler answers", listing.message, "wait until Slurm answers, or ask the site's support")
        return
    yield passed("scheduler answers", f"your jobs: {len(listing.output.splitlines())}")
    yield _account(job.values["account"], job.values.get("qos", ""), getpass.getuser())
    partition = job.values.get("partition")
    if partition:
        yield _partition(partition, job.values["walltime"])
    yield _trial(job.script)


class _JobRun(NamedTuple):
    """One run of a job: a job that is requeued has several under one id.

    Attributes:
        job: its id.
        state: the scheduler's word, with what it adds: ``CANCELLED by 1000``.
        start_s: when it began, seconds since the epoch.
        end_s: when it ended, likewise; None if it runs.
        limit: its time limit as text.
    """

    job: str
    state: str
    start_s: int
    end_s: int | None
    limit: str

    @property
    def ended(self) -> bool:
        """Whether it ended in a way that explains why its processes were ended."""
        return self.end_s is not None and self.state.partition(" ")[0] in _STATES

    def __str__(self) -> str:
        reason = _STATES.get(self.state.partition(" ")[0], "ended")
        limit = f" of {self.limit}" if self.limit and self.state == "TIMEOUT" else ""
        return f"batch job {self.job} {reason}{limit} (Slurm: {self.state})"


class JobEnds:
    """Asks about the jobs of tasks that failed, each as seldom as can be.

    ``sacct`` is asked, and ``scontrol`` on clusters without accounting. If neither is there, as in most images, a
    failure says no more than what was seen of the process.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = {**environ, "SLURM_TIME_FORMAT": "%s", "LC_ALL": "C"}
        self._runs: dict[str, list[_JobRun]] = {}
        self._running: dict[str, int] = {}
        self._quiet_until = 0.0

    def explain(self, record: TaskRecord, death_seen: bool) -> None:
        """Say in a failure that the job's end was its cause, if the job had ended by then."""
        failure, job = record.failure, record.worker.scheduler.get("SLURM_JOB_ID", "")
        if failure is None or not job.isdecimal():
            return
        end = self._end_of(job, record.end_ns)
        if end is None or end.end_s is None:
            return
        if end.end_s * 1_000_000_000 <= record.end_ns + _SLACK_NS:
            failure.message = f"{end}: {failure.message}"
        elif failure.kind == "unknown":
            # Nobody saw the task end, and a job ends some day: this may be its cause, or may not.
            at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(end.end_s))
            failure.message = f"{failure.message}; {end} at {at}"

    def _end_of(self, job: str, at_ns: int) -> _JobRun | None:
        """Return the run in which a task ended, if the run has ended too."""
        run = _run_at(self._runs.get(job, ()), at_ns)
        if (run is None or not run.ended) and at_ns > self._running.get(job, -1):
            now_ns = time.time_ns()
            runs = self._by_sacct(job)
            # Slurm's daemon knows of an end before its accounting does.
            if not any(run.ended for run in runs):
                runs = [run for run in self._by_scontrol(job) if run.ended] or runs
            self._runs[job] = runs
            run = _run_at(runs, at_ns)
            if run is None or not run.ended:
                self._running[job] = now_ns
        return run if run is not None and run.ended else None

    def _by_sacct(self, job: str) -> list[_JobRun]:
        """Return the runs of exactly this job: of an array or a heterogeneous job, sacct lists all parts.

        ``JobIDRaw`` is the id that a part has as a job (``SLURM_JOB_ID``). The last task of an array has the array's.
        """
        fields = "JobIDRaw,State,Start,End,Timelimit"
        answer = self._ask("sacct", "-X", "-D", "-n", "-P", "-j", job, "-o", fields)
        rows = [line.split("|") for line in answer.splitlines()]
        return [
            _JobRun(job, row[1], int(row[2]), int(row[3]) if row[3].isdigit() else None, row[4])
            for row in rows
            if len(row) == 5 and row[0] == job and row[2].isdigit()
        ]

    def _by_scontrol(self, job: str) -> list[_JobRun]:
        runs = []
        for line in self._ask("scontrol", "-o", "show", "job", job).splitlines():
            fields = _fields(line)
            if fields.get("JobId") != job:
                continue
            state, start, end = fields.get("JobState", ""), fields.get("StartTime", ""), fields.get("EndTime", "")
            if state == "COMPLETING" and fields.get("Reason") == "TimeLimit":
                state = "TIMEOUT"  # its processes are being killed
            if start.isdigit():
                end_s = int(end) if end.isdigit() else None
                runs.append(_JobRun(job, state, int(start), end_s, fields.get("TimeLimit", "")))
        return runs

    def _ask(self, *command: str) -> str:
        if time.monotonic() < self._quiet_until:
            return ""
        program = programs.find(command[0], self._environ.get("PATH", os.defpath))
        if program is None:
            return ""
        result = programs.run([program, *command[1:]], limit_s=_LIMIT_S, environment=self._environ)
        if result.status is None:
            self._quiet_until = time.monotonic() + _PAUSE_S
            return ""
        return result.output


def _run_at(runs: Iterable[_JobRun], at_ns: int) -> _JobRun | None:
    """Return the last run that had begun at some time."""
    begun = [run for run in runs if run.start_s * 1_000_000_000 <= at_ns + _SLACK_NS]
    return max(begun, key=lambda run: run.start_s, default=None)


def _fields(text: str) -> dict[str, str]:
    """Return what ``scontrol --oneliner`` writes, ``Key=value`` pairs, as a mapping."""
    return dict(pair.split("=", 1) for pair in text.split() if "=" in pair)


def _account(account: str, qos: str, user: str) -> Finding:
    line = "account"
    if programs.find("sacctmgr") is None:
        return warned(line, "there is no sacctmgr to ask", "see the trial of the batch script")
    query = ["show", "associations", f"user={user}", "format=account,qos"]
    listing = programs.run(["sacctmgr", "--noheader", "--parsable2", *query])
    if listing.status != 0 or not listing.output.strip():
        problem = listing.message if listing.status != 0 else "Slurm's accounting knows no account of yours"
        return warned(line, problem, "see the trial of the batch script")
    accounts: dict[str, set[str]] = {}
    for row in listing.output.splitlines():
        name, _, kinds = row.partition("|")
        accounts.setdefault(name, set()).update(kind for kind in kinds.split(",") if kind)
    # NERSC's accounts for GPU nodes have a suffix, which Slurm adds by the constraint.
    usable = {name for name in (account, f"{account}_g") if name in accounts}
    if not usable:
        remedy = f"--set account= one of {', '.join(sorted(accounts))}"
        return failed(line, f"{account} is not one of your accounts", remedy)
    allowed = set().union(*(accounts[name] for name in usable))
    # A site's plugin may complete names: QOS debug becomes gpu_debug at NERSC.
    if qos and allowed and not any(kind == qos or kind.endswith(f"_{qos}") for kind in allowed):
        return failed(line, f"{account} has no QOS {qos}", f"--set qos= one of {', '.join(sorted(allowed))}")
    return passed(line, f"{account}, QOS {qos}" if qos else account)


def _partition(partition: str, limit: str) -> Finding:
    line = "partition"
    shown = programs.run(["scontrol", "--oneliner", "show", "partition", partition])
    if shown.status != 0:
        names = " ".join(programs.run(["sinfo", "--noheader", "--format=%R"]).output.split())
        return failed(line, shown.message, f"--set partition= one of {names}" if names else "name another one")
    fields = _fields(shown.output)
    state = fields.get("State", "UP")
    if state != "UP":
        return failed(line, f"{partition} is {state}", "wait, or name another one")
    most_s, wanted_s = walltime.seconds(fields.get("MaxTime", "")), walltime.seconds(limit)
    if most_s is not None and wanted_s is not None and wanted_s > most_s:
        problem = f"{partition} allows {fields['MaxTime']}, and walltime is {limit}"
        return failed(line, problem, f"--set walltime={fields['MaxTime']}")
    return passed(line, f"{partition} is up, with walltimes to {fields.get('MaxTime', 'any length')}")


def _trial(text: str) -> Finding:
    """Ask ``sbatch --test-only``, which checks everything and submits nothing."""
    import tempfile
    from pathlib import Path

    line = "trial of the batch script"
    with tempfile.TemporaryDirectory() as directory:
        script = Path(directory) / "preflight.submit"
        script.write_text(text, encoding="utf-8")
        result = programs.run(["sbatch", "--test-only", str(script)])
    if result.status != 0:
        remedy = "change the option that it names; `prov-worker sites render --script` shows the script"
        return failed(line, result.message, remedy)
    return passed(line, result.message.removeprefix("sbatch: "))
