"""Slurm: whether it would take the job, by its own word and without a job."""

from __future__ import annotations

import getpass
import tempfile
from collections.abc import Iterator
from pathlib import Path

from prov_worker.sites import walltime
from prov_worker.sites.check.asking import ask, there
from prov_worker.sites.check.finding import Finding, failed, passed, warned
from prov_worker.sites.check.subject import Subject


def check(subject: Subject) -> Iterator[Finding]:
    """The queue's answer, account and QOS, partition, and a trial of the very script."""
    listed = ask(["squeue", "--noheader", "--format=%i %t", "--user", getpass.getuser()])
    if listed.status != 0:
        yield failed("scheduler answers", listed.told, "wait until Slurm answers, or ask the site's support")
        return
    yield passed("scheduler answers", f"{len(listed.output.splitlines())} jobs of yours")
    yield _account(subject)
    partition = subject.values.get("partition")
    if partition:
        yield _partition(subject, partition)
    yield _trial(subject)


def _account(subject: Subject) -> Finding:
    line = "account"
    account, qos = subject.values["account"], subject.values.get("qos", "")
    if there("sacctmgr") is None:
        return warned(line, "there is no sacctmgr to ask", "see the trial of the batch script")
    asked = ask(
        [
            "sacctmgr",
            "--noheader",
            "--parsable2",
            "show",
            "associations",
            f"user={getpass.getuser()}",
            "format=account,qos",
        ]
    )
    if asked.status != 0 or not asked.output.strip():
        told = asked.told if asked.status != 0 else "Slurm's accounting knows no account of yours"
        return warned(line, told, "see the trial of the batch script")
    known: dict[str, set[str]] = {}
    for row in asked.output.splitlines():
        name, _, more = row.partition("|")
        known.setdefault(name, set()).update(one for one in more.split(",") if one)
    # NERSC's accounts for GPU nodes have a suffix, which Slurm adds by the constraint.
    found = {name for name in (account, f"{account}_g") if name in known}
    if not found:
        return failed(line, f"{account} is none of yours", f"--set account= one of {', '.join(sorted(known))}")
    allowed = set().union(*(known[name] for name in found))
    # A site's plugin may complete names: QOS debug becomes gpu_debug at NERSC.
    if qos and allowed and not any(one == qos or one.endswith(f"_{qos}") for one in allowed):
        return failed(line, f"{account} has no QOS {qos}", f"--set qos= one of {', '.join(sorted(allowed))}")
    return passed(line, f"{account}, QOS {qos}" if qos else account)


def _partition(subject: Subject, partition: str) -> Finding:
    line = "partition"
    asked = ask(["scontrol", "--oneliner", "show", "partition", partition])
    if asked.status != 0:
        names = " ".join(ask(["sinfo", "--noheader", "--format=%R"]).output.split())
        return failed(line, asked.told, f"--set partition= one of {names}" if names else "name another one")
    fields = dict(word.split("=", 1) for word in asked.output.split() if "=" in word)
    state = fields.get("State", "UP")
    if state != "UP":
        return failed(line, f"{partition} is {state}", "wait, or name another one")
    limit, asked_s = walltime.seconds(fields.get("MaxTime", "")), walltime.seconds(subject.values["walltime"])
    if limit is not None and asked_s is not None and asked_s > limit:
        found = f"{partition} allows {fields['MaxTime']}, and walltime is {subject.values['walltime']}"
        return failed(line, found, f"--set walltime={fields['MaxTime']}")
    return passed(line, f"{partition} is up, with walltimes to {fields.get('MaxTime', 'any length')}")


def _trial(subject: Subject) -> Finding:
    """``sbatch --test-only`` checks everything and submits nothing."""
    line = "trial of the batch script"
    with tempfile.TemporaryDirectory() as directory:
        script = Path(directory) / "preflight.submit"
        script.write_text(subject.script, encoding="utf-8")
        asked = ask(["sbatch", "--test-only", str(script)])
    if asked.status != 0:
        remedy = "change the option that it names; `prov-worker sites render --script` shows the script"
        return failed(line, asked.told, remedy)
    return passed(line, asked.told.removeprefix("sbatch: "))
