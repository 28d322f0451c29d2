"""The batch job of a task: one and the same in everything that a crate says of it."""

from __future__ import annotations

from collections.abc import Iterator

from prov_worker import schedulers
from prov_worker.crate import vocabulary as v
from prov_worker.crate.graph import hardware_of
from prov_worker.crate.rules import RULES, Checked
from prov_worker.crate.violations import ERROR, Violation
from prov_worker.errors import CrateError


def job(checked: Checked) -> Iterator[Violation]:
    """Compare the job of the worker's environment with that of the hardware report.

    A report of another job, or of none, may name another job's nodes, limits and software: early releases wrote one
    per node.
    """
    values = {entity["@id"]: entity.get("value") for entity in checked.graph}
    environ = {s.job_id: str(values.get(f"#env-{s.job_id}") or "") for s in schedulers.SCHEDULERS}
    ran_in = schedulers.job_id(environ)
    if ran_in is None:
        return
    try:
        report = hardware_of(checked.source)["probes"].get("scheduler")
    except (CrateError, KeyError):
        return  # the rule for files names it
    if report is None or report.get("error"):
        return
    reported = (report.get("data") or {}).get("job_id")
    if reported != ran_in:
        message = f"describes {f'job {reported}' if reported else 'no job'}, the task ran in job {ran_in}"
        yield Violation(ERROR, "other-job", f"{v.HARDWARE_FILE}.probes.scheduler", message)


RULES.add("job", job)
