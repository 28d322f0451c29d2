"""What a diagnosis is to do: which checks, how many tasks, and what the site promises."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prov_worker.errors import InputError


@dataclass(frozen=True, slots=True)
class Promise:
    """What a site's template makes of a node, with the options of an endpoint.

    Attributes:
        site: its name.
        workers: of a node; of a block if it has an MPI engine.
        nodes: of a block.
        cpu_lists: logical CPUs of each worker, by its rank; None if workers are not bound.
        accelerators: what workers are given by masks, one each; empty for none.
        per_block: whether all workers of a block are on its first node, as with an MPI engine.
    """

    site: str
    workers: int
    nodes: int
    cpu_lists: tuple[tuple[int, ...], ...] | None
    accelerators: tuple[str, ...]
    per_block: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done.

    Attributes:
        checks: names, in their order.
        named: whether a person named them: what cannot be checked then is a failure.
        tasks: how many are to run at once; None: as many as there are workers.
        promise: what the site promises; None: nothing is known.
        resources: ``resource_specification`` of all tasks, for an MPI engine; None for none.
        timeout_s: for all of it.
    """

    checks: tuple[str, ...]
    named: bool = False
    tasks: int | None = None
    promise: Promise | None = None
    resources: Mapping[str, Any] | None = None
    timeout_s: float = 300.0

    @property
    def ranks(self) -> int:
        """Ranks that the MPI check starts."""
        return int((self.resources or {}).get("num_ranks", 2))

    @property
    def promised_tasks(self) -> int | None:
        """Tasks that a block runs at once, as the site promises it; None: nothing is known."""
        promise = self.promise
        if promise is None:
            return None
        if promise.per_block:
            return max(1, min(promise.workers, promise.nodes // int((self.resources or {}).get("num_nodes", 1))))
        return promise.workers * promise.nodes


def make_plan(
    checks: Iterable[str],
    *,
    site: str | None = None,
    options: Mapping[str, Any] | None = None,
    tasks: int | None = None,
    ranks: int | None = None,
    nodes: int | None = None,
    timeout_s: float = 300.0,
) -> Plan:
    """Return a plan.

    Args:
        checks: names; none for all.
        site: whose template the endpoint was made of.
        options: of the endpoint; those that the site has go over its defaults.
        tasks: that are to run at once.
        ranks: of an MPI task; None: the engine is none for MPI.
        nodes: that these ranks are shared out among.
        timeout_s: seconds for all of it.

    Raises:
        InputError: an argument is not allowed.
    """
    from prov_worker.diagnose.checks import CHECKS

    wanted = tuple(checks)
    names = CHECKS.names()
    for name in wanted:
        if name not in names:
            raise InputError(f"check: {name!r}: not one of {', '.join(names)}")
    if tasks is not None and tasks < 1:
        raise InputError(f"number of tasks: {tasks}: must be at least 1")
    if not timeout_s > 0:
        raise InputError(f"timeout: {timeout_s:g}: must be more than 0 seconds")
    resources = None
    if ranks is not None or nodes is not None:
        number, shared_by = ranks or nodes or 1, nodes or 1
        if number < 1 or shared_by < 1 or number % shared_by:
            raise InputError(f"ranks: {number} cannot be shared out evenly among {shared_by} nodes")
        resources = {"num_nodes": shared_by, "ranks_per_node": number // shared_by, "num_ranks": number}
    return Plan(
        tuple(name for name in names if not wanted or name in wanted),
        bool(wanted),
        tasks,
        None if site is None else promise_of(site, options or {}),
        resources,
        timeout_s,
    )


def promise_of(name: str, options: Mapping[str, Any]) -> Promise:
    """Return what a site promises.

    Raises:
        InputError: there is no such site.
    """
    from prov_worker.sites import affinity, catalog

    site = catalog.site(name)
    values = {key: option["default"] for key, option in site.options.items() if "default" in option}
    values |= {key: value for key, value in options.items() if key in site.options}
    nodes = int(values.get("nodes_per_block", 1))
    if values.get("mpi", "none") != "none":  # a pool per block, whose tasks have nodes of their own
        return Promise(name, int(values["mpi_tasks"]), nodes, None, (), per_block=True)
    workers = int(values["workers"])
    binding = str(values.get("affinity", "none"))
    lists: Sequence[Sequence[int]] | None = None
    if binding.startswith("list:") or (binding != "none" and site.cpus):
        try:
            lists = affinity.bound(binding, workers, range(site.cpus))
        except ValueError as error:
            raise InputError(f"affinity: {error}") from None
    return Promise(
        name,
        workers,
        nodes,
        None if lists is None else tuple(tuple(cpus) for cpus in lists),
        tuple(str(mask) for mask in values.get("accelerators") or ()),
    )
