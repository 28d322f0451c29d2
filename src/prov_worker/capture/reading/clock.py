"""How long a reader may take."""

from __future__ import annotations

import time

#: Seconds for the store of one library.
LIMIT_S = 10.0


class Deadline:
    """A moment after which a reader gives up.

    Args:
        limit_s: seconds from now.
    """

    def __init__(self, limit_s: float = LIMIT_S) -> None:
        self.limit_s = limit_s
        self._at = time.monotonic() + limit_s

    @property
    def left_s(self) -> float:
        """Seconds that are left, none or more."""
        return max(0.0, self._at - time.monotonic())

    def check(self) -> None:
        """Return if there is time left.

        Raises:
            TimeoutError: there is none.
        """
        if not self.left_s:
            raise TimeoutError(f"it took longer than {self.limit_s:g} s")
