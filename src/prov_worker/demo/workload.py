"""The functions of the demo, one for each way in which tasks use a machine or end.

Each stands alone, as functions do that are sent to an endpoint: what it needs it imports itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any


def add(left: int, right: int) -> int:
    """Return at once: a task far shorter than the sampling interval."""
    return left + right


def count_primes(limit: int) -> int:
    """Count primes by trial division: a CPU-bound loop in Python."""
    primes: list[int] = []
    for candidate in range(2, limit):
        for prime in primes:
            if prime * prime > candidate:
                primes.append(candidate)
                break
            if candidate % prime == 0:
                break
        else:
            primes.append(candidate)
    return len(primes)


def sum_range(stop: int) -> int:
    """Sum integers in one call into C, which never lets go of the GIL: no thread of the worker could sample this."""
    return sum(range(stop))


def wait(seconds: float) -> float:
    """Sleep: a task that takes time and no CPU."""
    import time

    time.sleep(seconds)
    return seconds


def fill_memory(size_mib: int, seconds: float) -> int:
    """Hold a block of touched memory for a while."""
    import time

    block = bytearray(size_mib << 20)
    block[::4096] = b"\x01" * len(block[::4096])
    time.sleep(seconds)
    return len(block)


def write_files(count: int, size_bytes: int) -> list[str]:
    """Write files into the working directory, which is the task's sandbox."""
    import os
    from pathlib import Path

    names = []
    for number in range(count):
        path = Path(f"part-{number}.dat")
        path.write_bytes(os.urandom(size_bytes))
        names.append(path.name)
    return names


def run_program(seconds: float) -> int:
    """Run another program that is busy: CPU time of a child, not of the worker."""
    import subprocess
    import sys

    code = "import sys, time\nend = time.monotonic() + float(sys.argv[1])\nwhile time.monotonic() < end: pass"
    return subprocess.run([sys.executable, "-c", code, str(seconds)], check=True).returncode


def divide(left: float, right: float) -> float:
    """Divide; raises for zero."""
    return left / right


def die(seconds: float) -> None:
    """Work for a while, then be killed as the kernel's out-of-memory killer does it."""
    import os
    import signal
    import time

    end = time.monotonic() + seconds
    while time.monotonic() < end:
        sum(range(10_000))
    os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True, slots=True)
class Call:
    """One task of a workload; ``fails`` says how it is meant to end."""

    function: Callable[..., Any]
    args: Sequence[Any] = ()
    fails: bool = False


def workload(*, quick: bool = False) -> list[Call]:
    """Return the demo's tasks: about 20 seconds of work for two cores; ``quick`` takes a few."""
    scale = 0.25 if quick else 1.0
    calls = [Call(add, (number, number + 1)) for number in range(4 if quick else 8)]
    calls += [Call(sum_range, (int(120_000_000 * scale),)) for _ in range(1 if quick else 2)]
    calls += [Call(count_primes, (int(3_000_000 * scale),)) for _ in range(1 if quick else 2)]
    calls += [
        Call(wait, (2.0 * scale,)),
        Call(fill_memory, (200, 1.5 * scale)),
        Call(write_files, (3, 200_000)),
        Call(run_program, (2.0 * scale,)),
        Call(divide, (1, 0), fails=True),
        Call(die, (1.5 * scale,), fails=True),
    ]
    return calls
