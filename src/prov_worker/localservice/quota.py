"""What one identity may have at once, so that it leaves disk, memory and broker to the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from prov_worker.localservice.apierrors import ApiError

if TYPE_CHECKING:
    from prov_worker.localservice.records import Usage


@dataclass(frozen=True)
class Quota:
    """Limits of each identity.

    Attributes:
        functions: registered.
        tasks: without a result.
        kept_bytes: of functions, tasks and results that are kept.
        queues: of endpoints, of their user endpoints, and of task groups.
        channels: on the broker, and half as many connections, if it has an account there.
    """

    functions: int = 10_000
    tasks: int = 100_000
    kept_bytes: int = 4 * 1024**3
    queues: int = 20_000
    channels: int = 2_000

    def check(self, usage: Usage, *, functions: int = 0, tasks: int = 0, kept_bytes: int = 0, queues: int = 0) -> None:
        """Refuse what would go beyond.

        Raises:
            ApiError: 403, with both numbers.
        """
        for name, present, more, limit in (
            ("functions", usage.functions, functions, self.functions),
            ("unfinished tasks", usage.tasks, tasks, self.tasks),
            ("bytes of functions, tasks and results", usage.bytes, kept_bytes, self.kept_bytes),
            ("endpoints and task groups", usage.queues, queues, self.queues),
        ):
            if more and present + more > limit:
                reason = f"{present + more} {name}; one identity may have {limit} at once"
                raise ApiError(403, reason, "QUOTA_EXCEEDED")
