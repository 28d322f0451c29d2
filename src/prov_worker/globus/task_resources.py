"""Resources that a task asks for, such as nodes and ranks, before Parsl takes them.

Parsl puts a task that asks for more nodes than a block has into a queue that no block ever takes it from, and its
manager ends over one that names no nodes (``mpi_resource_management.py`` of parsl 2026.10; its issue 3427). Whatever
else it takes is left to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prov_worker.errors import InputError
from prov_worker.humanize import plural

_SPECIFICATION = "resource_specification"
_NODES = f"{_SPECIFICATION}: num_nodes"


def check_resources(specification: Mapping[str, Any], executor: Any) -> None:
    """Refuse what Parsl does not take.

    Args:
        specification: ``resource_specification`` of the task.
        executor: Parsl's.

    Raises:
        InputError: with Parsl's reason.
    """
    from parsl.executors.errors import InvalidResourceSpecification

    try:
        executor.validate_resource_spec(specification)
    except InvalidResourceSpecification as error:
        raise InputError(f"{_SPECIFICATION}: {error}") from error


def check_placement(specification: dict[str, Any], block_nodes: int, max_ranks_per_node: int | None = None) -> None:
    """Refuse what no block of the endpoint could run; fill in the ranks of a node if they follow from the others.

    Parsl fills in a fraction, as in ``srun --ntasks-per-node 2.0`` (``mpi_prefix_composer.py`` of parsl 2026.10).

    Args:
        specification: ``resource_specification`` of the task; it is completed.
        block_nodes: nodes of a block.
        max_ranks_per_node: ranks that a task may have on each node; None: any number.

    Raises:
        InputError: a number is missing or is none, or it is more than the endpoint has.
    """
    if specification.get("num_nodes") is None:
        raise InputError(f"{_NODES}: must be set for an endpoint with an MPI engine, with num_ranks")
    nodes = _count(specification, "num_nodes")
    if nodes > block_nodes:
        raise InputError(f"{_NODES}: {nodes}, and a block of this endpoint has {plural(block_nodes, 'node')}")
    ranks = None if specification.get("num_ranks") is None else _count(specification, "num_ranks")
    if specification.get("ranks_per_node") is None and ranks is not None:
        if ranks % nodes:
            why = f"{ranks} cannot be shared out evenly among {nodes} nodes; set ranks_per_node too"
            raise InputError(f"{_SPECIFICATION}: num_ranks: {why}")
        specification["ranks_per_node"] = ranks // nodes
    if specification.get("ranks_per_node") is None:
        return
    on_node = _count(specification, "ranks_per_node")
    if max_ranks_per_node is not None:
        limit = f"a node of this endpoint takes {plural(max_ranks_per_node, 'rank')} of a task"
        if on_node > max_ranks_per_node:
            raise InputError(f"{_SPECIFICATION}: ranks_per_node: {on_node}, and {limit}")
        if ranks is not None and ranks > nodes * max_ranks_per_node:
            raise InputError(f"{_SPECIFICATION}: num_ranks: {ranks} on {plural(nodes, 'node')}, and {limit}")


def _count(specification: Mapping[str, Any], key: str) -> int:
    """Return a number of nodes or ranks.

    Raises:
        InputError: it is none.
    """
    value = specification[key]
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InputError(f"{_SPECIFICATION}: {key}: {value!r}: is not a number of 1 or more")
    return value
