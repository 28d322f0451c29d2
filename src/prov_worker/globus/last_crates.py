"""Waits until the agent has written the crates of tasks whose workers have ended."""

from __future__ import annotations

import time
from collections.abc import Set

from prov_worker.agent.orphaned_journals import journals
from prov_worker.spool.agent_about import finaliser_lives
from prov_worker.spool.paths import JournalName, places_here, runtime_dirs_of

#: The agent reads what libraries stored for some 25 s at most.
LIMIT_S = 40.0
_PAUSE_S = 0.05


class LastCrates:
    """The crates of workers that begin from now on.

    Args:
        crate_dir: where they appear.
    """

    def __init__(self, crate_dir: str) -> None:
        self._crate_dir = crate_dir
        self._earlier = frozenset(self._journals())

    def wait(self, workers: Set[int], limit_s: float = LIMIT_S) -> bool:
        """Wait until no worker that ends, or has ended on this node, has a task without its crate; others may go on.

        Args:
            workers: ids of processes that end, workers among them.
            limit_s: seconds after which it is left to the agent.

        Returns:
            Whether that is so. False too if no agent lives that could do it.
        """
        end = time.monotonic() + limit_s
        while self._is_unfinished(workers):
            lives = any(map(finaliser_lives, runtime_dirs_of(self._crate_dir)))
            if not lives or time.monotonic() > end:
                return not self._is_unfinished(workers)
            time.sleep(_PAUSE_S)
        return True

    def _is_unfinished(self, workers: Set[int]) -> bool:
        here = places_here()
        return any(
            name.place in here and (name.pid in workers or not name.lives(here))
            for name in self._journals()
            if name not in self._earlier
        )

    def _journals(self) -> list[JournalName]:
        """Return journals that are not put away: that of a worker is, once all of its tasks have crates."""
        try:
            return [name for _, name in journals(self._crate_dir, runtime_dirs_of(self._crate_dir))]
        except OSError:
            return []
