"""Ask an endpoint what is wrong with it: checks that run there, and a verdict.

::

    from prov_worker import diagnose

    report = diagnose.endpoint(endpoint_id, site="polaris")
    print(report.ok, report.to_text())
"""

from __future__ import annotations

from prov_worker.diagnose.checks import CHECKS
from prov_worker.diagnose.diagnosis import embedded, endpoint
from prov_worker.diagnose.report import Report

__all__ = ["CHECKS", "Report", "embedded", "endpoint"]
