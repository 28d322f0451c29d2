"""What it costs to see what runs: the agent's live file alone, and with ``prov-worker top`` beside it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator

from benchmarks.agent import WORKERS, await_workers, used_percent
from benchmarks.harness import Bench, beside, cpu_ns, end_agent, environment, median, quartiles
from benchmarks.rows import Row, Target

#: Of a terminal that shows all tasks.
_COLUMNS, _LINES = 120, 90
#: Until the program has drawn its first pictures, s.
_START_S = 6.0


def run(bench: Bench) -> list[Row]:
    """Rows for the agent without and with somebody who looks, by turns, and for the program that looks."""
    rounds, window = bench.pick(5, 1), float(bench.pick(10, 3))
    alone: list[float] = []
    consulted: list[float] = []
    top: list[float] = []
    crate_dir = bench.crate_dir()
    held = rounds * (2 * window + _START_S + 4) + 40
    crew = {"crate_dir": crate_dir, "workers": WORKERS, "seconds": held, "plots": "none"}
    try:
        with beside("benchmarks.crew:sleepers", **crew):
            agent = await_workers(crate_dir)
            time.sleep(3.0)
            for _ in range(rounds):
                bench.say(f"agent with {WORKERS} running tasks that nobody looks at, {rounds} windows")
                alone.append(sum(used_percent(agent, window)))
                bench.say(f"prov-worker top on {WORKERS} running tasks, {rounds} windows")
                with _top(crate_dir) as pid:
                    before, began = cpu_ns(pid), time.monotonic_ns()
                    consulted.append(sum(used_percent(agent, window)))
                    top.append(100 * (cpu_ns(pid) - before) / (time.monotonic_ns() - began))
    finally:
        end_agent(crate_dir)
    where = f"{WORKERS} workers with a running task, 20 Hz"
    return [
        Row(
            f"agent that nobody looks at, {where}: CPU",
            median(alone),
            "% of a core",
            target=Target(0.6),
            n=rounds,
            **quartiles(alone),
            note="with its live file, which it renews every 2 s",
        ),
        Row(
            f"agent that top asks each second, {where}: CPU",
            median(consulted),
            "% of a core",
            target=Target(1),
            n=rounds,
            **quartiles(consulted),
        ),
        Row(
            f"prov-worker top, full screen of {_LINES} lines, {where}: CPU",
            median(top),
            "% of a core",
            target=Target(1),
            n=rounds,
            **quartiles(top),
        ),
    ]


@contextlib.contextmanager
def _top(crate_dir: str) -> Iterator[int]:
    """``prov-worker top`` in a terminal; gives its process id once it has drawn."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", _LINES, _COLUMNS, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "prov_worker", "top", crate_dir],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**environment(), "TERM": "xterm"},
        start_new_session=True,
    )
    os.close(theirs)
    threading.Thread(target=_discard, args=(ours,), daemon=True).start()
    try:
        time.sleep(_START_S)
        yield process.pid
    finally:
        process.terminate()
        process.wait()
        os.close(ours)


def _discard(descriptor: int) -> None:
    with contextlib.suppress(OSError):
        while os.read(descriptor, 1 << 16):
            pass
