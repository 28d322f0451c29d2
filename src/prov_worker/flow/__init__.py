"""Globus Flows: definitions checked without the service, and made of what a person writes."""

from __future__ import annotations

from prov_worker.flow.check import check, load
from prov_worker.flow.findings import FlowFinding
from prov_worker.flow.making.make import Made, make
from prov_worker.flow.states import Flow

__all__ = ["Flow", "FlowFinding", "Made", "check", "load", "make"]
