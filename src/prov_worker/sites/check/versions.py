"""Versions at both ends: of this environment, and of the one that ``worker_init`` or the image gives the workers."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from prov_worker import programs
from prov_worker.finding import Finding, failed, passed, warned
from prov_worker.redact import redact
from prov_worker.sites.check import CHECKS, container
from prov_worker.sites.check.context import Subject
from prov_worker.sites.check.worker_shell import LIMIT_S, in_worker_shell

_MARK = "prov-worker-preflight:"
_REINSTALL = "install prov-worker with its extra `endpoint` in the environment that starts the endpoint"
#: What each end is asked. At the workers' it goes through `globus-compute-endpoint python-exec`, which starts them, and
#: which runs modules alone: `timeit` is one of the standard library that takes a program as an argument.
_QUESTION = f"""
import importlib.metadata, importlib.util, json, sys
answer = dict(python='.'.join(map(str, sys.version_info[:3])), executable=sys.executable)
for name in ('parsl', 'globus-compute-endpoint', 'prov-worker'):
    try:
        answer[name] = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        answer[name] = None
answer['importable'] = importlib.util.find_spec('prov_worker') is not None
try:
    import globus_compute_endpoint.engines as engines
    answer['engine'] = hasattr(engines, 'ProvenanceEngine')
except ImportError:
    answer['engine'] = False
print('{_MARK}' + json.dumps(answer), flush=True)
"""
_TIMEIT = ["timeit", "-n", "1", "-r", "1", _QUESTION]


def check(subject: Subject) -> Iterator[Finding]:
    """Yield Python, Parsl, Globus Compute and prov-worker here, at the workers, and whether they fit."""
    # The word at the end is what prov-worker's .pth file looks for: the engine is known to the endpoint's own programs.
    here = _answer(programs.run([sys.executable, "-c", _QUESTION, "globus-compute-endpoint"], limit_s=LIMIT_S))
    if here is None:
        yield failed("versions here", f"{sys.executable} cannot be asked", _REINSTALL)
        return
    yield from _here(here)
    yield from _workers(subject, here)


def _here(here: dict[str, Any]) -> Iterator[Finding]:
    versions = _told(here)
    if here["globus-compute-endpoint"] is None or here["parsl"] is None:
        yield failed("versions here", versions, _REINSTALL)
        return
    if not here["engine"]:
        yield failed(
            "versions here",
            f"{versions}; ProvenanceEngine is not known to Globus Compute in {sys.prefix}",
            "install prov-worker with pip, not by copying: its .pth file makes the engine known",
        )
        return
    program = Path(sys.executable).parent / "globus-compute-endpoint"
    if not os.access(program, os.X_OK):
        yield failed("versions here", f"{versions}; there is no {program}", _REINSTALL)
        return
    yield passed("versions here", versions)


def _workers(subject: Subject, here: dict[str, Any]) -> Iterator[Finding]:
    line = "versions at the workers"
    launch = ["globus-compute-endpoint", "python-exec", *_TIMEIT]
    where = "the environment of worker_init"
    repair = "let worker_init activate an environment with prov-worker and globus-compute-endpoint"
    if subject.values["runtime"] == "container":
        launch = container.command(subject, launch)
        where = f"the image {subject.values['image']}"
        repair = "build the image with prov-worker and globus-compute-endpoint of the endpoint's versions"
        if not container.present(subject):
            yield warned(line, f"{where} cannot be asked here", "compare the versions on a compute node")
            return
    started = in_worker_shell(subject, launch)
    answer = started.answer
    for command, status in started.failures:
        observation = f"`{redact(command[:200])}` ended with exit status {status}; a batch job goes on after it"
        yield warned(
            "worker_init", observation, "repair that command, or end it with `|| true` if that is as it should be"
        )
    there = _answer(answer)
    if there is None:
        if "globus-compute-endpoint" in answer.errors and answer.status == 127:
            observation = (
                f"{where} has no globus-compute-endpoint on its PATH: blocks would end at once, again and again"
            )
        else:
            observation = f"{where} cannot be asked: {answer.message}"
        # A login node may lack what compute nodes have; a machine without a scheduler is both.
        yield failed(line, observation, repair)
        return
    versions = f"{_told(there)} ({there['executable']})"
    for name, key, digits in (("Python", "python", 2), ("Parsl", "parsl", 9)):
        mine, theirs = (str(side[key]).split(".")[:digits] for side in (here, there))
        if mine != theirs:
            yield failed(line, f"{versions}; {name} is {here[key]} here, and Parsl refuses such workers", repair)
            return
    if not there["importable"]:
        yield failed(line, f"{versions}; prov_worker cannot be imported: every task would fail", repair)
    elif there["prov-worker"] != here["prov-worker"]:
        yield failed(line, f"{versions}; prov-worker is {here['prov-worker']} here", repair)
    elif there["globus-compute-endpoint"] != here["globus-compute-endpoint"]:
        observation = f"{versions}; globus-compute-endpoint is {here['globus-compute-endpoint']} here"
        yield warned(line, observation, "use one version at both ends: Globus Compute tests no other combination")
    else:
        yield passed(line, versions)


def _answer(answer: programs.Result) -> dict[str, Any] | None:
    for line in answer.output.splitlines():
        if line.startswith(_MARK):
            data = json.loads(line.removeprefix(_MARK))
            return data if isinstance(data, dict) else None
    return None


def _told(answer: dict[str, Any]) -> str:
    names = ("parsl", "globus-compute-endpoint", "prov-worker")
    return ", ".join([f"Python {answer['python']}", *(f"{name} {answer[name] or 'missing'}" for name in names)])


CHECKS.add("versions", check, rank=20)
