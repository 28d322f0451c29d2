"""Batch schedulers: all that the product knows of each, one file per scheduler.

A module of this package that calls ``SCHEDULERS.add`` is all that a scheduler needs: settings, probe, agent, preflight,
options of sites and the summary of a crate ask the registry. Standard library only: workers import this package.
"""

from __future__ import annotations

from collections.abc import Mapping

from prov_worker.registry import Registry
from prov_worker.schedulers.base import Scheduler

__all__ = [
    "SCHEDULERS",
    "Scheduler",
    "for_provider",
    "job_facts",
    "job_id",
    "launcher_program",
    "of_job",
    "secrets",
    "variables",
]

#: Schedulers by name. A job that has the variables of several belongs to the first.
SCHEDULERS: Registry[Scheduler] = Registry("prov_worker.schedulers")


def variables() -> tuple[str, ...]:
    """Return the environment variables by which schedulers describe a job: names, without any secret."""
    return tuple(name for scheduler in SCHEDULERS for name in scheduler.variables)


def job_facts(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables from which all facts of the job come whose environment this is; empty outside a job."""
    scheduler = of_job(environ)
    if scheduler is None:
        return {}
    names = dict.fromkeys((*scheduler.facts.values(), *scheduler.node_variables))
    return {name: environ[name] for name in names if environ.get(name)}


def secrets() -> tuple[str, ...]:
    """Return the environment variables of jobs that let their holder act as the job."""
    return tuple(name for scheduler in SCHEDULERS for name in scheduler.secrets)


def of_job(environ: Mapping[str, str]) -> Scheduler | None:
    """Return the scheduler of the job whose variables these are; None outside a job."""
    return next((scheduler for scheduler in SCHEDULERS if environ.get(scheduler.job_id)), None)


def job_id(environ: Mapping[str, str]) -> str | None:
    """Return the id of the job whose variables these are; None outside a job."""
    scheduler = of_job(environ)
    return None if scheduler is None else environ[scheduler.job_id]


def for_provider(kind: str) -> Scheduler | None:
    """Return the scheduler that a Parsl provider submits to, such as ``SlurmProvider``; None if it uses none."""
    return next((scheduler for scheduler in SCHEDULERS if kind in scheduler.providers), None)


def launcher_program(kind: str) -> str | None:
    """Return the program that a Parsl launcher runs in a job, such as ``srun``; None if it needs none."""
    return next((scheduler.launchers[kind] for scheduler in SCHEDULERS if kind in scheduler.launchers), None)
