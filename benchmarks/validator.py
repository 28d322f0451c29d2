"""CPU time of roc-validator per crate, as ``prov-worker check`` runs it."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import time
from pathlib import Path
from typing import Any

from benchmarks.harness import Bench, BenchmarkError
from benchmarks.rows import Row, Target
from benchmarks.trees import BASELINE, THIS
from prov_worker.crate.validator.client import STEP_PROFILE, find_validator
from prov_worker.testing import make_run

#: Below the package, in this tree and in the earlier one.
_SCRIPTS = {THIS.name: "crate/validator/script.py", BASELINE: "crate/validator/run.py"}


def run(bench: Bench) -> list[Row]:
    """Validate the crates of one made-up run, a process per CPU, loading of the profiles included."""
    python = find_validator()
    if python is None:
        raise BenchmarkError("no interpreter has roc-validator; PROV_WORKER_VALIDATOR names one")
    crates = sorted(make_run(Path(bench.crate_dir()) / "crates", bench.pick(228, 40)).glob("*.crate"))
    request = {
        "paths": list(map(str, crates)),
        "level": "recommended",
        "profile": STEP_PROFILE,
        "skip_checks": [],
        "jobs": len(os.sched_getaffinity(0)),
    }
    cpu_s: dict[str, float] = {}
    wall_s: dict[str, float] = {}
    verdicts: dict[str, Any] = {}
    for tree in bench.trees:
        bench.say(f"validating {len(crates)} crates by {tree.name}")
        before, begun = _children_s(), time.monotonic()
        command = [str(python), "-I", str(tree.source / "prov_worker" / _SCRIPTS[tree.name])]
        done = subprocess.run(command, input=json.dumps(request) + "\n", capture_output=True, text=True, check=False)
        if done.returncode:
            raise BenchmarkError(f"the validator of {tree.name} failed: {done.stderr.strip()[-500:]}")
        cpu_s[tree.name], wall_s[tree.name] = _children_s() - before, time.monotonic() - begun
        verdicts[tree.name] = _verdicts(done.stdout)
    count = len(crates)
    row = Row(
        "CPU time to validate a crate", cpu_s[THIS.name] / count, "s", n=count, note="loading of profiles included"
    )
    earlier = cpu_s[BASELINE] / count if BASELINE in cpu_s else None
    rows = [row, Row("validating all of them", wall_s[THIS.name], "s", wall_s.get(BASELINE), n=count)]
    rows.append(bench.against(row, earlier, Target(0.1, of_ratio=True)))
    if BASELINE in verdicts:
        differ = sum(verdicts[THIS.name].get(path) != issues for path, issues in verdicts[BASELINE].items())
        rows.append(
            Row(f"crates with another verdict than by {BASELINE}", float(differ), "crates", target=Target(0), n=count)
        )
    return rows


def _children_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _verdicts(text: str) -> dict[str, Any]:
    """Return what was found in each crate, without order."""
    answers = [json.loads(line) for line in text.splitlines()]
    return {
        answer["path"]: sorted((issue["severity"], issue["rule"], issue["message"]) for issue in answer["issues"])
        for answer in answers
    }
