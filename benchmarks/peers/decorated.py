"""What a decorator adds to a call: paired with the bare function, in turns. Runs in environments of others."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


def differences(bare: Callable[..., Any], decorated: Callable[..., Any], count: int, *arguments: Any) -> list[float]:
    """Return what each decorated call took more than the bare one beside it, µs."""
    added = []
    for number in range(count):
        if number % 10 == 0:
            time.sleep(0.002)
        took = [0, 0]
        for which in (0, 1) if number % 2 else (1, 0):
            call = (bare, decorated)[which]
            begin = time.perf_counter_ns()
            call(*arguments)
            took[which] = time.perf_counter_ns() - begin
        added.append((took[1] - took[0]) / 1e3)
    return added
