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

_SETTINGS_PATH = "resource_specification"
_NODES = f"{_SETTINGS_PATH}: num_nodes"


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
        raise InputError(f"{_SETTINGS_PATH}: {error}") from error


def check_placement(specification: Mapping[str, Any], block_nodes: int) -> None:
    """Refuse what no block of the endpoint could run.

    Args:
        specification: ``resource_specification`` of the task.
        block_nodes: nodes of a block.

    Raises:
        InputError: the number of nodes is missing or is none, or a block has fewer.
    """
    nodes = specification.get("num_nodes")
    if nodes is None:
        raise InputError(f"{_NODES}: must be set for an endpoint with an MPI engine, with num_ranks")
    if isinstance(nodes, bool) or not isinstance(nodes, int) or nodes < 1:
        raise InputError(f"{_NODES}: {nodes!r}: is not a number of 1 or more")
    if nodes > block_nodes:
        raise InputError(f"{_NODES}: {nodes}, and a block of this endpoint has {plural(block_nodes, 'node')}")
