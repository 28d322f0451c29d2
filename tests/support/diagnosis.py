"""Evidence of diagnoses as endpoints of all kinds would give it."""

from __future__ import annotations

from typing import Any

from prov_worker.diagnose.evidence import Evidence, SentTask
from prov_worker.diagnose.plan import Plan, make_plan
from prov_worker.diagnose.report import Report, judge
from prov_worker.globus.answers import Answer
from prov_worker.globus.endpoint_report import EndpointReport

ENDPOINT = "4b116d3c-1703-4f8f-9f6f-39921e5864df"
BEGIN_NS = 1_796_000_000_000_000_000
SECOND_NS = 1_000_000_000
ONLINE = EndpointReport(online=True)
VERSIONS: dict[str, str | None] = {
    "python": "3.11.7",
    "dill": "0.3.9",
    "globus-compute-sdk": "4.19.0",
    "globus-compute-endpoint": "4.19.0",
    "globus-compute-common": "1.0.0",
    "parsl": "2026.10.26",
    "prov-worker": "0.1.0",
}


def environment(**changes: Any) -> dict[str, Any]:
    """What the probe says of a sound worker, with changes."""
    disk = {"name": "home", "path": "/home/ada", "error": None, "free_bytes": 1 << 40, "free_inodes": 1 << 20}
    return {
        "versions": VERSIONS,
        "path": ["/env/bin", "/usr/bin"],
        "missing_path": [],
        "endpoint_program": "/env/bin/globus-compute-endpoint",
        "proxies": [],
        "no_proxy": None,
        "disks": [disk],
        "umask": "0022",
        "switched_on": None,
        **changes,
    }


def placement(cpus: list[int], **changes: Any) -> dict[str, Any]:
    """What the probe says of a worker on a node of 32 cores and 64 CPUs; changes go over it."""
    return {
        "most": 1,
        "arrived_ns": BEGIN_NS + SECOND_NS,
        "left_ns": BEGIN_NS + 2 * SECOND_NS,
        "cpus": cpus,
        "cores": sorted({cpu % 32 for cpu in cpus}),
        "node_cpus": 64,
        "numa_nodes": sorted({cpu % 32 // 8 for cpu in cpus}),
        "masks": {},
        "gpu_numa_nodes": [],
        **changes,
    }


def sent(
    *probes: str, rank: int = 0, host: str = "nid001", stage: int = 1, ahead_s: float = 0.0, **answers: Any
) -> SentTask:
    """A task that a worker answered, half a second after it was sent, by a clock that is ahead."""
    offset_ns = int(ahead_s * SECOND_NS)
    begin_ns, end_ns = BEGIN_NS + SECOND_NS // 4 + offset_ns, BEGIN_NS + SECOND_NS // 3 + offset_ns
    name = f"00000000-0000-4000-8000-{stage:06d}{rank:06d}"
    worker = {
        "host": host,
        "pid": 1000 + rank,
        "executable": "/env/bin/python",
        "age_s": 60.0,
        "rank": str(rank),
        "count": "4",
        "block": "0",
        "pool": "0",
    }
    return SentTask(
        tuple(answers) or probes,
        stage,
        BEGIN_NS,
        BEGIN_NS + SECOND_NS // 10,
        name,
        Answer(name, True, "", True, None, begin_ns, end_ns),
        BEGIN_NS + SECOND_NS // 2,
        {"begin_ns": begin_ns, "worker": worker, **answers},
    )


def judged(
    plan: Plan | str,
    tasks: list[SentTask],
    *,
    report: EndpointReport | None = ONLINE,
    **known_besides: Any,
) -> Report:
    """The report of these tasks; a plan may be the name of a check."""
    plan = make_plan([plan]) if isinstance(plan, str) else plan
    evidence = Evidence(plan, VERSIONS, report, tasks=tasks, took_s=1.5, **known_besides)
    return judge(ENDPOINT, BEGIN_NS, evidence)


def lines(report: Report) -> list[str]:
    """Its findings, as ``status subject: text``, without those of connectivity if it was not asked for."""
    return [f"{finding.status} {finding.subject}: {finding.found}" for _, finding in report.findings]
