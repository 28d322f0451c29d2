"""Where workers are put on a node, as an engine's configuration says it."""

from __future__ import annotations

import math
from typing import Any

from prov_worker.errors import SettingsError
from prov_worker.humanize import plural


def check_affinity(executor: Any) -> None:
    """Refuse a list of CPUs that does not have one part for each worker.

    Parsl's workers would each end with a ValueError when they start, again and again, while tasks wait (parsl 2026.10,
    ``process_worker_pool.py``). How many workers there are depends on the node if neither their number nor
    accelerators are given; then nothing is refused.

    Args:
        executor: Parsl's, as the stock engine has made it.

    Raises:
        SettingsError: by the key ``engine.cpu_affinity``.
    """
    affinity = getattr(executor, "cpu_affinity", None)
    if not isinstance(affinity, str) or not affinity.startswith("list:"):
        return
    accelerators = getattr(executor, "available_accelerators", None) or ()
    workers = min(getattr(executor, "max_workers_per_node", math.inf), len(accelerators) or math.inf)
    lists = affinity.split(":")[1:]
    if math.isfinite(workers) and len(lists) != workers:
        raise SettingsError(
            "engine.cpu_affinity",
            f"{plural(len(lists), 'list')} for {plural(round(workers), 'worker')} on a node; Parsl wants one for each",
        )
