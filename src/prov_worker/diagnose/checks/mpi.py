"""Whether the MPI launcher of workers starts ranks that know each other, and where these stand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import combinations
from typing import Any

from prov_worker.crate.json_text import ranges
from prov_worker.diagnose.checks import CHECKS, Check
from prov_worker.diagnose.evidence import Evidence, SentTask
from prov_worker.finding import Finding, failed, passed, skipped, warned
from prov_worker.humanize import duration, plural


def _judge(evidence: Evidence) -> Iterator[Finding]:
    for reason in evidence.errors("launcher"):
        yield failed("launcher", f"the check failed on its worker: {reason}", "look at the endpoint's log")
    for task, answer in evidence.answers("launcher"):
        if answer["launcher"] is None:
            yield _missing(evidence, task, answer)
            return
        yield from _ranks(evidence, answer)


def _missing(evidence: Evidence, task: SentTask, answer: dict[str, Any]) -> Finding:
    name = answer["wanted"] or "mpiexec, mpirun or srun"
    text = f"MPI launcher missing: {name} is not on the PATH of workers on {task.host}"
    if not (evidence.plan.named or evidence.plan.resources or answer["engine_says"]):
        return skipped("launcher", text)
    return failed("launcher", text, "load the site's MPI module in worker_init")


def _ranks(evidence: Evidence, answer: dict[str, Any]) -> Iterator[Finding]:
    wanted, ranks = evidence.plan.ranks, answer["ranks"]
    output = " ".join(answer["output"].split())[-300:]
    if answer["status"] is None:
        yield failed(
            "launcher",
            f"{answer['launcher']} did not end in time; {len(ranks)} of {plural(wanted, 'rank')} began: {output}",
            "run it by hand in a job; look at its network options",
        )  # fmt: skip
        return
    if answer["status"] != 0:
        yield failed(
            "launcher", f"{answer['launcher']} ended with {answer['status']}: {output}", "run it by hand in a job"
        )
        return
    numbers = sorted(int(rank["rank"]) for rank in ranks if str(rank["rank"]).isdigit())
    sizes = {rank["size"] for rank in ranks}
    if len(ranks) != wanted or numbers != list(range(wanted)):
        yield failed(
            "ranks",
            f"{answer['launcher']} started {len(ranks)} of {plural(wanted, 'rank')}, numbered {numbers or 'not'}",
            "the launcher and its MPI do not fit each other: look which mpiexec is first on PATH",
        )
        return
    if sizes - {None, str(wanted)}:
        yield failed("ranks", f"ranks see a size of {', '.join(map(str, sizes))}, not {wanted}", "as above")
        return
    hosts = Counter(rank["host"] for rank in ranks)
    places = ", ".join(f"{count} on {host}" for host, count in sorted(hosts.items()))
    variables = ", ".join(sorted({rank["variable"] for rank in ranks}))
    yield passed("ranks", f"{wanted} by {answer['launcher']} in {duration(answer['took_s'])}: {places} ({variables})")
    nodes = int((evidence.plan.resources or {}).get("num_nodes", 1))
    if len(hosts) != nodes:
        yield failed(
            "ranks", f"they stand on {plural(len(hosts), 'node')}, not {nodes}", "look at the launcher's options"
        )
    yield _bindings(ranks)


def _bindings(ranks: list[dict[str, Any]]) -> Finding:
    sets = {(rank["host"], rank["rank"]): frozenset(rank["cpus"]) for rank in ranks}
    if len(set(sets.values())) == 1 and len(sets) > 1 and len(next(iter(sets.values()))) > 1:
        return passed("bindings", f"ranks are not bound: each may use CPUs {ranges(ranks[0]['cpus'])}")
    for (host, first), (other, second) in combinations(sets, 2):
        shared = sets[host, first] & sets[other, second]
        if host == other and shared:
            return warned(
                "bindings",
                f"ranks {first} and {second} of {host} share CPUs {ranges(shared)}",
                "look at the launcher's --bind-to, --cpu-bind or --depth",
            )
    return passed("bindings", "; ".join(f"rank {rank}: {ranges(cpus)}" for (_, rank), cpus in sorted(sets.items())))


CHECKS.add("mpi", Check(("launcher",), _judge), rank=50)
