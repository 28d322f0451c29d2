"""Tasks while the file system that takes their crates is frozen, as one is that hangs; needs root and a loop device."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks import functions
from benchmarks.harness import Bench, BenchmarkError, await_crates, end_agent, fresh, live_agent, median, provenance
from benchmarks.rows import Row, Target
from benchmarks.trees import BASELINE, THIS

#: A task's length: one that takes no time differs from stock by what recording costs, frozen or not.
TASK_S = 0.01
_WARM_UP = 20
_SIZE = 256 << 20


def run(bench: Bench) -> list[Row]:
    """Rows for each tree, and for how many of the tasks have a crate after the thaw."""
    missing = [name for name in ("mkfs.ext4", "fsfreeze") if shutil.which(name) is None]
    if os.getuid() != 0 or missing:
        raise BenchmarkError(f"a file system is frozen by root{', and here is no ' + missing[0] if missing else ''}")
    seconds = float(bench.pick(30, 3))
    answers: dict[str, dict[str, Any]] = {}
    for tree in bench.trees:
        bench.say(f"tasks while their crates' file system is frozen {seconds:g} s, {tree.name}")
        with _mounted(bench.disk) as mount:
            crate_dir = str(mount / "crates")
            os.mkdir(crate_dir)
            with live_agent(crate_dir, tree):
                answer = fresh(
                    "benchmarks.frozen:calls", tree=tree, crate_dir=crate_dir, mount=str(mount), seconds=seconds
                )
                answer["crates"] = await_crates(crate_dir, answer["tasks"], 60.0)
            end_agent(crate_dir)
            answers[tree.name] = answer
    ours, earlier = answers[THIS.name], answers.get(BASELINE)
    row = Row(
        f"latency of a task of {TASK_S * 1e3:g} ms while its crates' file system is frozen {seconds:g} s",
        _mean(ours["ours_ms"]),
        "ms",
        _mean(ours["stock_ms"]),
        Target(1.1, of_ratio=True),
        len(ours["ours_ms"]),
        note=f"mean of all that began in the freeze; p50 {median(ours['ours_ms']):.2f} ms (stock "
        f"{median(ours['stock_ms']):.2f}), longest {max(ours['ours_ms']):.1f} ms (stock {max(ours['stock_ms']):.1f}); "
        f"{ours['crates']} crates of {ours['tasks']} tasks after the thaw",
    )
    return [row, bench.against(row, _mean(earlier["ours_ms"]) if earlier else None)]


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


@contextlib.contextmanager
def _mounted(directory: Path) -> Iterator[Path]:
    """Mount a new file system from a file."""
    image = Path(tempfile.mkstemp(prefix="disk-", dir=directory)[1])
    mount = Path(tempfile.mkdtemp(prefix="mount-", dir=directory))
    os.truncate(image, _SIZE)
    try:
        _command("mkfs.ext4", "-q", "-F", str(image))
        _command("mount", "-o", "loop", str(image), str(mount))
        try:
            yield mount
        finally:
            subprocess.run(["fsfreeze", "-u", str(mount)], capture_output=True, check=False)  # most often it is thawed
            _command("umount", "-l", str(mount))
    finally:
        image.unlink()


def _command(*arguments: str) -> None:
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchmarkError(f"{' '.join(arguments)}: {done.stderr.strip()}")


def calls(crate_dir: str, mount: str, seconds: float) -> dict[str, Any]:
    """In a fresh process: pairs of tasks, stock and recorded, from the freeze of a mount to its thaw.

    Returns:
        ``stock_ms`` and ``ours_ms``: of each call that began in the freeze. ``tasks``: number of recorded tasks.
    """
    from benchmarks.tasks import Caller, body, our_helper, stock_helper

    task = body(functions.sleep, TASK_S)
    times: dict[str, list[float]] = {"stock_ms": [], "ours_ms": []}
    with tempfile.TemporaryDirectory() as run_dir:
        stock = Caller(stock_helper(), task, run_dir)
        ours = Caller(our_helper(provenance(crate_dir, plots="none")), task, run_dir)
        for _ in range(_WARM_UP):
            stock()
            ours()
        time.sleep(1.0)  # their crates are written
        # whatever becomes of this process, the mount is thawed
        thaw = subprocess.Popen(["sh", "-c", 'sleep "$1"; fsfreeze -u "$2"', "sh", str(seconds), mount])
        subprocess.run(["fsfreeze", "-f", mount], check=True)
        until = time.monotonic() + seconds - 0.2
        while time.monotonic() < until:
            times["stock_ms"].append(stock.timed_ns() / 1e6)
            times["ours_ms"].append(ours.timed_ns() / 1e6)
        thaw.wait()
    return {**times, "tasks": _WARM_UP + len(times["ours_ms"])}
