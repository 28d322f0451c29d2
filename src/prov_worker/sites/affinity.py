"""Which CPUs each worker of a node is bound to.

As Parsl's worker pool does it (parsl 2026.10, ``process_worker_pool.py``, ``worker``): ``block`` and ``alternating``
share out the sorted logical CPUs that the pool may use, ``list:`` names them.
"""

from __future__ import annotations

from collections.abc import Sequence

_MOST = 8191  # the most logical CPUs that Linux counts (NR_CPUS of x86-64)


def lists(affinity: str) -> list[list[int]]:
    """Return logical CPUs of each worker that ``list:`` names.

    Raises:
        ValueError: says which part is none.
    """
    cpu_lists: list[list[int]] = []
    for rank in affinity.removeprefix("list:").split(":"):
        cpus: list[int] = []
        for part in rank.split(","):
            first, dash, last = part.partition("-")
            if not first.isdigit() or (dash and not last.isdigit()):
                raise ValueError(f"{part!r} is not a CPU and no range of CPUs such as 0-7")
            if int(last or first) > _MOST:
                raise ValueError(f"{part}: no node has so many CPUs")
            if dash and int(last) < int(first):
                raise ValueError(f"{part} runs backwards")
            cpus += range(int(first), int(last or first) + 1)
        cpu_lists.append(cpus)
    return cpu_lists


def bound(affinity: str, workers: int, cpus: Sequence[int]) -> list[list[int]]:
    """Return logical CPUs of each worker; all of them for ``none``.

    Args:
        affinity: the option.
        workers: of a node, at most as many as CPUs unless it is ``none``.
        cpus: that the pool may use, sorted.
    """
    if affinity.startswith("list:"):
        return lists(affinity)
    if affinity == "alternating":
        return [list(cpus[rank::workers]) for rank in range(workers)]
    if affinity in ("block", "block-reverse"):
        each = len(cpus) // workers
        blocks = [list(cpus[each * rank : each * (rank + 1)]) for rank in range(workers)]
        return blocks if affinity == "block" else blocks[::-1]
    return [list(cpus)] * workers


def shared_core(affinity: str, workers: int, cpus: Sequence[int], cores: int) -> tuple[int, int, int] | None:
    """Return two workers that are bound to one core, and that core; None if each has its own.

    Args:
        affinity: the option, not ``none``.
        workers: of a node.
        cpus: logical CPUs that the pool may use, sorted.
        cores: of a node; logical CPUs that differ by a multiple of it are threads of one core.
    """
    owner: dict[int, int] = {}
    for rank, mine in enumerate(bound(affinity, workers, cpus)):
        for core in sorted({cpu % cores for cpu in mine}):
            if owner.setdefault(core, rank) != rank:
                return owner[core], rank, core
    return None
