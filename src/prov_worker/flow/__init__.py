"""Globus Flows: definitions checked without the service, made of what a person writes, deployed and run."""

from __future__ import annotations

from prov_worker.flow.check import check, load
from prov_worker.flow.findings import FlowFinding
from prov_worker.flow.making.make import Made, make
from prov_worker.flow.remote.deploy import Change, Plan, deploy
from prov_worker.flow.remote.dry_run import Rehearsed, dry_run
from prov_worker.flow.remote.record import record
from prov_worker.flow.remote.run import RunStatus, resume, run, status
from prov_worker.flow.states import Flow

__all__ = [
    "Change",
    "Flow",
    "FlowFinding",
    "Made",
    "Plan",
    "Rehearsed",
    "RunStatus",
    "check",
    "deploy",
    "dry_run",
    "load",
    "make",
    "record",
    "resume",
    "run",
    "status",
]
