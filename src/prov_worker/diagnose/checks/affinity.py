"""Whether each worker has CPUs and an accelerator of its own, as the site's template says."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from prov_worker.crate.json_text import ranges
from prov_worker.diagnose.checks import CHECKS, Check
from prov_worker.diagnose.evidence import Evidence, listed
from prov_worker.diagnose.plan import Promise
from prov_worker.diagnose.workers import PlacedWorker, placed_workers
from prov_worker.finding import Finding, failed, passed, skipped, warned
from prov_worker.humanize import plural

_SHOWN = 4
_TEMPLATE = (
    "look at cpu_affinity and available_accelerators in the endpoint's template, and at what worker_init changes"
)


def _judge(evidence: Evidence) -> Iterator[Finding]:
    workers = placed_workers(evidence)
    if not workers:
        yield skipped("CPUs", "no worker said where it is")
        return
    promise = evidence.plan.promise
    yield from _cpus(workers, promise)
    yield from _accelerators(workers, promise)
    yield from _memory(workers)


def _cpus(workers: list[PlacedWorker], promise: Promise | None) -> Iterator[Finding]:
    bound = [worker for worker in workers if worker.bound]
    lists = None if promise is None else promise.cpu_lists
    wrong = False
    if lists is not None and promise is not None:
        for worker in workers:
            wanted = lists[worker.rank] if worker.rank is not None and worker.rank < len(lists) else None
            if wanted is not None and set(wanted) != set(worker.cpus):
                wrong = True
                yield failed(
                    "CPUs",
                    f"{worker} may use CPUs {ranges(worker.cpus)}, and the template of {promise.site} binds it to "
                    f"{ranges(wanted)}",
                    _TEMPLATE,
                )
    shared = [
        (first, second, set(first.cores) & set(second.cores))
        for first, second in combinations(workers, 2)
        if first.host == second.host and (first.bound or second.bound) and set(first.cores) & set(second.cores)
    ]
    for first, second, cores in shared[:_SHOWN]:
        yield failed("CPUs", f"{first} shares cores with {second} (cores {ranges(cores)})", _TEMPLATE)
    if len(shared) > _SHOWN:
        yield failed(
            "CPUs",
            f"{plural(len(shared) - _SHOWN, 'more pair of workers shares', 'more pairs of workers share')} cores",
            _TEMPLATE,
        )
    if not shared and not wrong:
        if not bound:
            first = workers[0]
            yield passed("CPUs", f"workers are not bound: each may use all {plural(len(first.cpus), 'CPU')}")
        else:
            yield passed("CPUs", "; ".join(f"{worker}: {ranges(worker.cpus)}" for worker in workers))


def _accelerators(workers: list[PlacedWorker], promise: Promise | None) -> Iterator[Finding]:
    masks: dict[tuple[str, str], list[PlacedWorker]] = {}
    for worker in workers:
        if worker.mask is not None:
            masks.setdefault((worker.host, worker.mask), []).append(worker)
    alike = False
    for (_, mask), holders in masks.items():
        if len(holders) > 1:
            alike = True
            yield failed("accelerators", f"{listed(holders)} share accelerator {mask}", _TEMPLATE)
    wanted = () if promise is None else promise.accelerators
    for host in dict.fromkeys(worker.host for worker in workers):
        used = {mask for place, mask in masks if place == host}
        missing = [name for name in wanted if name not in used]
        if wanted and missing and promise is not None:
            yield failed(
                "accelerators",
                f"only {len(wanted) - len(missing)} of {plural(len(wanted), 'accelerator')} of {host} are used; "
                f"the template of {promise.site} gives workers {listed(missing)} too",
                _TEMPLATE,
            )
            alike = True
    if masks and not alike:
        texts = [f"{holders[0]}: {mask}" for (_, mask), holders in masks.items()]
        yield passed("accelerators", "; ".join(texts))
    elif not masks and not wanted:
        yield skipped("accelerators", "no worker is given one")


def _memory(workers: list[PlacedWorker]) -> Iterator[Finding]:
    """Judge whether each GPU is fed by CPUs of its own NUMA node."""
    far = near = 0
    for worker in workers:
        node = worker.gpu_numa_node
        if node is None or not worker.bound:
            continue
        if node in worker.numa_nodes:
            near += 1
            continue
        far += 1
        yield warned(
            "NUMA",
            f"{worker} has accelerator {worker.mask} at NUMA node {node}, and CPUs at {listed(worker.numa_nodes)}",
            "bind it to CPUs of that node: data for the GPU cross the sockets' link",
        )
    if near and not far:
        yield passed("NUMA", f"{plural(near, 'worker')} at the NUMA node of the accelerator")


CHECKS.add("affinity", Check(("placement",), _judge), rank=30)
