"""Workloads that hold memory, and say by ``/proc/PID/status`` how much that is."""

from __future__ import annotations

import mmap
import os
import subprocess
import time
from pathlib import Path

from workloads import python

#: A program that fills memory, writes its own high-water mark, and ends with its input.
FILL = (
    "import mmap, sys\nblock = mmap.mmap(-1, {mib} << 20)\n"
    "for _ in range({mib}): block.write(b'x' * (1 << 20))\n"
    "mark = next(line for line in open('/proc/self/status') if line.startswith('VmHWM'))\n"
    "print(int(mark.split()[1]) * 1024, flush=True)\nsys.stdin.read()\n"
)


def status_bytes(key: str, pid: int | str = "self") -> int:
    """A size of ``/proc/PID/status``, such as ``VmHWM``."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in text.splitlines() if line.startswith(f"{key}:")).split()[1]) * 1024


def hold(mib: int, seconds: float) -> dict[str, int]:
    """Fill memory and hold it; gives what is resident meanwhile, and the high-water mark."""
    block = mmap.mmap(-1, mib << 20)
    for _ in range(mib):
        block.write(b"x" * (1 << 20))
    resident = status_bytes("VmRSS")
    time.sleep(seconds)
    mark = status_bytes("VmHWM")
    block.close()
    return {"resident": resident, "mark": mark}


def filled_children(count: int, mib: int, seconds: float) -> dict[str, int]:
    """Children that hold memory at once; gives the largest one's own mark, and what all hold together."""
    children = [
        subprocess.Popen(python(FILL.format(mib=mib)), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(count)
    ]
    marks = [int(child.stdout.readline()) for child in children if child.stdout is not None]
    time.sleep(seconds)
    together = status_bytes("VmRSS") + sum(status_bytes("VmRSS", child.pid) for child in children)
    for child in children:
        child.communicate()
    return {"mark": max(marks), "together": together}


def late_child(before_s: float, seconds: float) -> dict[str, int]:
    """A child that has its parent's memory for a while before it runs its program; gives the program's own mark."""
    child = os.fork()
    if child == 0:
        time.sleep(before_s)
        os.execvp("sleep", ["sleep", str(seconds)])
    time.sleep(before_s + 0.7 * seconds)
    mark = status_bytes("VmHWM", child)
    os.waitpid(child, 0)
    return {"program": mark}


def large_child_of_a_moment(mib: int) -> dict[str, int]:
    """Two children: a small one that stays, and a large one that ends as soon as it is full; gives that one's mark."""
    stays = subprocess.Popen(python(FILL.format(mib=4)), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    time.sleep(0.4)
    program = FILL.format(mib=mib).removesuffix("sys.stdin.read()\n")
    mark = int(subprocess.run(python(program), check=True, capture_output=True).stdout)
    time.sleep(0.4)
    stays.communicate()
    return {"moment": mark}


def short_child() -> None:
    subprocess.run(["true"], check=True)
