"""Workloads that measure themselves: by getrusage(2), by their own CPU clocks and by ``/proc/self`` around the work."""

from __future__ import annotations

import contextlib
import hashlib
import json
import multiprocessing
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

BURN = "import time\nwhile time.process_time() < {seconds}: pass\n"
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
#: What outlives a task.
KEPT: dict[str, Any] = {}


def burn(seconds: float) -> float:
    """Use the CPU for so long; gives the process's CPU time since its start."""
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass
    return time.process_time()


def python(code: str) -> list[str]:
    return [sys.executable, "-S", "-c", code]


def measured(name: str, *args: Any) -> dict[str, Any]:
    """Run a function of this module, and say what it used: of the process, and of all that are below it."""
    here = sys.modules[__name__]
    own, children, tree = _own_s(), _children_s(), _tree_s()
    details = getattr(here, name)(*args) or {}
    own_after, children_after, tree_after = _own_s(), _children_s(), _tree_s()
    below = children_after - children
    below += sum(after - tree.get(pid, 0) for pid, after in tree_after.items())
    below -= sum(before for pid, before in tree.items() if pid not in tree_after)
    return {"self_s": own_after - own, "below_s": below, **details}


def _own_s() -> float:
    return time.clock_gettime(time.CLOCK_PROCESS_CPUTIME_ID)


def _children_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _tree_s() -> dict[int, float]:
    """CPU time of each living descendant, with that of children it has waited for."""
    clocks: dict[int, float] = {}
    todo = [os.getpid()]
    while todo:
        pid = todo.pop()
        for path in Path(f"/proc/{pid}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                todo += [int(word) for word in path.read_text().split()]
        if pid != os.getpid():
            with contextlib.suppress(OSError):
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                clocks[pid] = time.clock_gettime((~pid << 3) | 2) + (int(fields[13]) + int(fields[14])) * _TICK_S
    return clocks


# -- time ------------------------------------------------------------------------------------------------------------


def sleep(seconds: float) -> None:
    time.sleep(seconds)


def own(seconds: float) -> None:
    burn(seconds)


def threads(seconds: float) -> None:
    """Two native threads, outside the interpreter's lock."""
    data = bytearray(4 << 20)

    def work() -> None:
        while time.thread_time() < seconds:
            hashlib.sha256(data).digest()

    workers = [threading.Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


def child(seconds: float) -> None:
    subprocess.run(python(BURN.format(seconds=seconds)), check=True)


def grandchild(seconds: float) -> None:
    subprocess.run(["sh", "-c", '"$@"; true', "sh", *python(BURN.format(seconds=seconds))], check=True)


def short_children(count: int) -> None:
    for _ in range(count):
        subprocess.run(["sh", "-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done"], check=True)


def forked_children(count: int, seconds: float) -> None:
    for _ in range(count):
        pid = os.fork()
        if pid == 0:
            burn(seconds)
            os._exit(0)
        os.waitpid(pid, 0)


def _reported(start: Callable[[int], None], linger_s: float) -> dict[str, float]:
    """Start what reports its own CPU time through a pipe, and wait for its report."""
    reader, writer = os.pipe()
    start(writer)
    os.close(writer)
    with os.fdopen(reader) as file:
        text = file.readline()
    time.sleep(linger_s)
    return {"reported_s": float(text)}


def _burn_and_report(seconds: float, writer: int, linger_s: float) -> str:
    """A program that burns, writes what it used, and stays for a moment: long enough for a last look at it."""
    return (
        f"import os, time\nwhile time.process_time() < {seconds}: pass\n"
        f"os.write({writer}, (repr(time.process_time()) + chr(10)).encode())\ntime.sleep({linger_s})\n"
    )


def orphan(seconds: float) -> dict[str, float]:
    """The child leaves at once; its child goes on, and belongs to init."""

    def start(writer: int) -> None:
        program = _burn_and_report(seconds, writer, 3.0)
        outer = (
            f"import subprocess, sys\nsubprocess.Popen([sys.executable, '-S', '-c', {program!r}], pass_fds=({writer},))"
        )
        subprocess.run(python(outer), check=True, pass_fds=(writer,))

    return _reported(start, 1.0)


def daemon(seconds: float) -> dict[str, float]:
    """As ``orphan``, in a session of its own."""

    def start(writer: int) -> None:
        program = python(_burn_and_report(seconds, writer, 3.0))
        subprocess.run(["setsid", "-f", *program], check=True, pass_fds=(writer,))

    return _reported(start, 1.0)


def forked_daemon(seconds: float) -> dict[str, float]:
    """Forked twice and never executed: it has the worker's own environment and command line."""

    def start(writer: int) -> None:
        pid = os.fork()
        if pid == 0:
            os.setsid()
            if os.fork() == 0:
                burn(seconds)
                os.write(writer, f"{time.process_time()!r}\n".encode())
                time.sleep(3.0)
            os._exit(0)
        os.waitpid(pid, 0)

    return _reported(start, 1.0)


def ignored(seconds: float) -> dict[str, float]:
    """Nobody can wait for the children of a process that ignores SIGCHLD."""
    handler = signal.signal(signal.SIGCHLD, signal.SIG_IGN)

    def start(writer: int) -> None:
        if os.fork() == 0:
            burn(seconds)
            os.write(writer, f"{time.process_time()!r}\n".encode())
            time.sleep(0.7)
            os._exit(0)

    try:
        return _reported(start, 1.5)
    finally:
        signal.signal(signal.SIGCHLD, handler)


def pool(name: str, method: str, seconds: float) -> None:
    """Two processes of a pool that stays, as that of joblib does."""
    if name not in KEPT:
        KEPT[name] = ProcessPoolExecutor(2, multiprocessing.get_context(method))
    list(KEPT[name].map(burn, [seconds, seconds]))


def end_pool(name: str) -> None:
    KEPT.pop(name).shutdown()


def _program(seconds: float) -> None:
    subprocess.run(python(BURN.format(seconds=seconds)), check=True)


def programs_of_pool(name: str, seconds: float) -> None:
    """A process of a pool that stays runs a program, and waits for it."""
    if name not in KEPT:
        KEPT[name] = ProcessPoolExecutor(1, multiprocessing.get_context("fork"))
    KEPT[name].submit(_program, seconds).result()


def killed_group(seconds: float) -> dict[str, float]:
    """A shell and its child, killed at one moment: nobody waits for the child."""
    burn_on = f"{sys.executable} -S -c 'while True: pass' & wait"
    shell = subprocess.Popen(["sh", "-c", burn_on], start_new_session=True)
    time.sleep(seconds)
    (child,) = Path(f"/proc/{shell.pid}/task/{shell.pid}/children").read_text().split()
    used_s = time.clock_gettime((~int(child) << 3) | 2)
    os.killpg(shell.pid, signal.SIGKILL)
    shell.wait()
    return {"reported_s": used_s}


def terminated_pool(seconds: float) -> None:
    with multiprocessing.get_context("spawn").Pool(2) as processes:
        processes.map(burn, [seconds, seconds])


def leave_child(seconds: float, wait_s: float) -> None:
    KEPT["child"] = subprocess.Popen(python(BURN.format(seconds=seconds)))
    time.sleep(wait_s)


def sleep_beside_child(seconds: float) -> dict[str, float]:
    clock = (~KEPT["child"].pid << 3) | 2
    before = time.clock_gettime(clock)
    time.sleep(seconds)
    return {"beside_s": time.clock_gettime(clock) - before}


def reap_child() -> dict[str, float]:
    child = KEPT.pop("child")
    before = time.clock_gettime((~child.pid << 3) | 2)
    _, _, usage = os.wait4(child.pid, 0)
    child.returncode = 0
    return {"beside_s": usage.ru_utime + usage.ru_stime - before}


def quick_or_child(seconds: float) -> dict[str, Any] | None:
    """Return at once, or run a child: the same function, so that it is known as quick."""
    return measured("child", seconds) if seconds else None


# -- bytes -----------------------------------------------------------------------------------------------------------

_IO = ("rchar", "wchar", "read_bytes", "write_bytes")


def io_of_self() -> dict[str, int]:
    """Counters of ``/proc/self/io``: of the process and of all children that it has waited for."""
    lines = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return {key: int(lines[key]) for key in _IO}


def moved(name: str, *args: Any) -> dict[str, Any]:
    """Run a function of this module, and say what the process and its waited-for children read and wrote."""
    before = io_of_self()
    details = getattr(sys.modules[__name__], name)(*args) or {}
    after = io_of_self()
    reported = details.get("io", dict.fromkeys(_IO, 0))
    return {key: after[key] - before[key] + reported[key] for key in _IO}


def write_file(path: str, mib: int) -> None:
    with open(path, "wb", buffering=0) as file:
        for _ in range(mib):
            file.write(b"x" * (1 << 20))
        os.fsync(file.fileno())


def read_file(path: str, cold: bool) -> None:
    fd = os.open(path, os.O_RDONLY)
    if cold:
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    while os.read(fd, 1 << 20):
        pass
    os.close(fd)


def pool_writes(name: str, path: str, mib: int) -> dict[str, Any]:
    """A process of a pool that stays writes; it says itself what it read and wrote."""
    if name not in KEPT:
        KEPT[name] = ProcessPoolExecutor(1, multiprocessing.get_context("fork"))
    return {"io": KEPT[name].submit(moved, "write_file", path, mib).result()}


def child_writes(path: str, mib: int) -> None:
    command = ["dd", "if=/dev/zero", f"of={path}", "bs=1M", f"count={mib}", "conv=fsync"]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)


def orphan_writes(path: str, mib: int) -> dict[str, Any]:
    """Written by a process that init waits for; it says itself how much that was."""
    reader, writer = os.pipe()
    program = (
        f"import json, os, time\nfd = os.open({path!r}, os.O_CREAT | os.O_WRONLY, 0o600)\n"
        f"for _ in range({mib}): os.write(fd, b'x' * (1 << 20))\n"
        "os.fsync(fd)\nlines = dict(line.split(': ') for line in open('/proc/self/io').read().splitlines())\n"
        f"os.write({writer}, (json.dumps(lines) + chr(10)).encode())\ntime.sleep(4)\n"
    )
    subprocess.run(["setsid", "-f", *python(program)], check=True, pass_fds=(writer,))
    os.close(writer)
    with os.fdopen(reader) as file:
        lines = json.loads(file.readline())
    time.sleep(1.0)
    return {"io": {key: int(lines[key]) for key in _IO}}


def quick_or_writes(path: str, mib: int) -> dict[str, Any] | None:
    """Return at once, or write: the same function, so that it is known as quick."""
    return moved("write_file", path, mib) if mib else None


# -- files -----------------------------------------------------------------------------------------------------------


def make_files(count: int, seconds: float) -> str:
    """Leave files in the sandbox, and stay for a while; gives the sandbox."""
    Path("sub").mkdir()
    for number in range(count):
        Path("sub" if number == 2 else ".", f"file{number}").write_text("hello")
    time.sleep(seconds)
    return os.getcwd()


def remove_sandbox() -> None:
    """Leave no sandbox: to stand in a directory that is gone is what upstream's helper bears."""
    Path("file").write_text("hello")
    here = os.getcwd()
    shutil.rmtree(here)


# -- threads of one process ------------------------------------------------------------------------------------------


def in_thread(name: str, *args: Any) -> dict[str, float]:
    """Run a function of this module, and say what this thread used, and what children of the process did."""
    thread, children = time.thread_time(), _children_s()
    getattr(sys.modules[__name__], name)(*args)
    return {"thread_s": time.thread_time() - thread, "children_s": _children_s() - children}


def own_thread(seconds: float) -> None:
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def lingering_child(seconds: float) -> None:
    """A child that stays for a moment when it has burnt, so that a last look at it sees all."""
    subprocess.run(python(BURN.format(seconds=seconds) + "time.sleep(1.5)\n"), check=True)
