"""Whether this process is a child that a task forked: there, nothing is recorded."""

from __future__ import annotations

import os


class Forks:
    """Counts the forks that led to this process: a child must not write what is its parent's."""

    count = 0

    @classmethod
    def happened(cls) -> None:
        """Note the fork, in the child."""
        cls.count += 1


os.register_at_fork(after_in_child=Forks.happened)
