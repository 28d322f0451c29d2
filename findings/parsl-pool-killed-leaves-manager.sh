#!/usr/bin/env bash
# parsl 2026.10.26: a process_worker_pool.py that is killed leaves a process that never ends.
#
# The pool starts its workers and, beside them, a server of multiprocessing.Manager. If the pool gets SIGKILL, as by the
# out-of-memory killer, the workers see that their parent is gone and end. The server, and its tracker of resources, do
# not look for it: a minute later they run on, and nothing of the executor ends them. What cleans up after a block has to
# look for them beside the workers.
#
# Seen:
#   60 s after SIGKILL of the pool: 0 worker
#   60 s after SIGKILL of the pool: 1 resource tracker
#   60 s after SIGKILL of the pool: 1 multiprocessing manager
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check parsl==2026.10.26 psutil==7.1.3
cat >"$work/run.py" <<'PY'
"""Start a block of one worker, kill its pool, and look for what is left."""

import os
import signal
import sys
import tempfile
import time

import parsl
import psutil
from parsl.config import Config
from parsl.executors import HighThroughputExecutor
from parsl.providers import LocalProvider


def kind(process: psutil.Process) -> str:
    """Return what a child of a pool is for."""
    command = " ".join(process.cmdline())
    if "resource_tracker" in command:
        return "resource tracker"
    return "worker" if process.pid == worker else "multiprocessing manager"


def runs(process: psutil.Process) -> bool:
    """Return whether a process is neither gone nor a zombie."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


@parsl.python_app
def who() -> tuple[int, int]:
    """Return the numbers of the worker and of its pool."""
    import os

    return os.getpid(), os.getppid()


executor = HighThroughputExecutor(
    label="htex", address="127.0.0.1", encrypted=False, max_workers_per_node=1,
    provider=LocalProvider(init_blocks=1, min_blocks=1, max_blocks=1),
)  # fmt: skip
with tempfile.TemporaryDirectory() as folder:
    parsl.load(Config(executors=[executor], run_dir=folder, strategy="none", usage_tracking=0))
    interchange = executor.interchange_proc
    worker, pool = who().result(120)
    kinds = {process: kind(process) for process in psutil.Process(pool).children(recursive=True)}
    os.kill(pool, signal.SIGKILL)
    time.sleep(60)
    for name in ("worker", "resource tracker", "multiprocessing manager"):
        left = [process for process, its in kinds.items() if its == name and runs(process)]
        print(f"60 s after SIGKILL of the pool: {len(left)} {name}", flush=True)
    for process in [*kinds, psutil.Process(interchange.pid)]:
        if runs(process):
            process.kill()
    os._exit(0)
PY
cd "$work"
PATH=$work/venv/bin:$PATH venv/bin/python run.py </dev/null | tee output
diff output - <<'SEEN'
60 s after SIGKILL of the pool: 0 worker
60 s after SIGKILL of the pool: 1 resource tracker
60 s after SIGKILL of the pool: 1 multiprocessing manager
SEEN
