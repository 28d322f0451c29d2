"""Functions that tests send to workers; each imports what it needs."""

from __future__ import annotations

from typing import Any


def add(left: Any, right: Any) -> Any:
    return left + right


def refuse(message: str) -> None:
    raise ValueError(message)


def die() -> None:
    import os
    import signal
    import time

    time.sleep(0.2)  # results that the worker sent before leave by a thread
    os.kill(os.getpid(), signal.SIGKILL)


def in_run(name: str) -> str:
    import prov_worker

    prov_worker.name_run(name)
    return name


def helper_in_use() -> tuple[str, bool]:
    """In a worker: the module of the helper that the engine called, and whether the stock one is wrapped there."""
    import sys

    from globus_compute_endpoint.engines import helper

    frame = sys._getframe()
    modules = []
    while frame is not None:
        if frame.f_code.co_name in ("execute_task", "recorded"):
            modules.append(frame.f_globals["__name__"])
        frame = frame.f_back  # type: ignore[assignment]
    return ",".join(modules), hasattr(helper.execute_task, "__wrapped__")


def kill_manager() -> str:
    """Kill the pool that this worker belongs to, and run on as an orphan."""
    import os
    import signal
    import time

    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(3)
    return "orphan"


def mpi_nodes() -> str | None:
    import os

    return os.environ.get("PARSL_MPI_NODELIST")


def work_for(seconds: float) -> float:
    """Keep a CPU busy; gives the CPU seconds that it took."""
    import time

    until, before = time.monotonic() + seconds, time.process_time()
    while time.monotonic() < until:
        pass
    return time.process_time() - before


def work_after(path: str, seconds: float) -> float:
    """Wait for a file, at most five minutes; then as :func:`work_for`."""
    import os
    import time

    until = time.monotonic() + 300
    while not os.path.exists(path) and time.monotonic() < until:
        time.sleep(0.05)
    return work_for(seconds)


def repeat(text: str, times: int) -> str:
    return text * times


def credentials() -> list[str]:
    """Names of the endpoint's credentials that a task can see."""
    import os

    return sorted(name for name in os.environ if name.startswith("GLOBUS_COMPUTE_CLIENT"))


def chatter(word: str) -> str:
    import logging
    import sys

    print("printed", word)
    handler = logging.StreamHandler(sys.stderr)
    handler.emit(logging.LogRecord("chatter", logging.WARNING, "", 0, f"warned {word}, password=hunter2", None, None))
    return word


def leave_line(path: str, seconds: float = 0.0, killed: bool = False) -> int:
    """Say in a file that it runs; gives the number of times that it has. Takes some time, or the worker's end."""
    import os
    import signal
    import time

    with open(path, "a") as file:
        file.write("x\n")
    time.sleep(seconds)
    if killed:
        os.kill(os.getpid(), signal.SIGKILL)
    with open(path) as file:
        return len(file.readlines())
