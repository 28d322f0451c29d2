"""Start the node's agent from a worker or an engine, and know whether it lives.

Called on a task's path, once per worker and then every few seconds, so it costs microseconds while an agent lives. The
agent becomes nobody's child: a worker's own children, and what they use, must stay the user's.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from typing import Any

from prov_worker import schedulers
from prov_worker.interruptions import is_own
from prov_worker.locks import lock
from prov_worker.spool.own_files import open_own
from prov_worker.spool.slot import MARK

LOCK = "agent.lock"
STARTING = "agent.starting"
LOG = "agent.log"
_STARTING_TIMEOUT_S = 15.0
_CODE = (
    "import sys, json; a = json.loads(sys.argv[1]); sys.path[:] = a.pop('path'); "
    "from prov_worker.agent.main import main; main(**a)"
)


def open_lock(runtime: str, name: str = LOCK) -> int:
    """Open a file of a runtime directory that is there to be locked, and make it if it is missing.

    Raises:
        OSError: it cannot be made, or it is not a file of this user's.
    """
    return open_own(os.path.join(runtime, name), os.O_RDWR | os.O_CREAT)


def agent_lives(runtime: str) -> bool:
    """Return whether an agent holds the lock of this runtime directory."""
    try:
        fd = open_lock(runtime)
    except OSError as error:
        if not is_own(error):
            raise
        return False
    try:
        return not lock(fd)
    except OSError as error:
        if not is_own(error):
            raise
        return True
    finally:
        os.close(fd)


def ensure_agent(runtime: str, crate_dir: str) -> bool:
    """Start an agent if none lives and none is starting.

    Args:
        runtime: the runtime directory that it serves.
        crate_dir: the directory that it publishes crates in.

    Returns:
        Whether one lives or is starting. Never raises: without an agent the journal still is complete.
    """
    try:
        if agent_lives(runtime):
            return True
        starting = os.path.join(runtime, STARTING)
        try:
            os.close(os.open(starting, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        except FileExistsError:
            if time.time() - os.stat(starting).st_mtime < _STARTING_TIMEOUT_S:
                return True
            os.utime(starting)
        _spawn(runtime, crate_dir)
    except Exception as error:
        if not is_own(error):
            raise
        return False
    return True


def _spawn(runtime: str, crate_dir: str) -> None:
    # the import path of this worker, without what depends on the working directory, which is the user's
    path = [p for p in sys.path if p and os.path.isabs(p)]
    argument: dict[str, Any] = {"path": path, "runtime": runtime, "crate_dir": crate_dir}
    # the agent needs none of these, and must not hold what it does not need
    left_out = {"GLOBUS_COMPUTE_CLIENT_SECRET", MARK, *schedulers.secrets()}
    environment = {k: v for k, v in os.environ.items() if k not in left_out}
    log = _open_log(runtime)
    # The shell puts the agent in the background and leaves, so that it is adopted by init and not by this process.
    command = ["/bin/sh", "-c", '"$@" &', "sh", sys.executable, "-I", "-S", "-c", _CODE, json.dumps(argument)]
    settings: dict[str, Any] = {
        "file_actions": [
            (os.POSIX_SPAWN_DUP2, log, 1),
            (os.POSIX_SPAWN_DUP2, log, 2),
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),  # the log may have this number
        ],
        # what the user's code did to this process's signals is not the agent's
        "setsigmask": [],
        "setsigdef": [signal.SIGCHLD, signal.SIGHUP, signal.SIGINT, signal.SIGTERM],
    }
    # Parsl ends a block by a signal to its process group, PBS a job by signals to all that is left of its session:
    # either may come before the agent could do this itself.
    try:
        pid = os.posix_spawn(command[0], command, environment, setsid=True, **settings)
    except NotImplementedError:  # built for a C library before glibc 2.26
        pid = os.posix_spawn(command[0], command, environment, setpgroup=0, **settings)
    finally:
        os.close(log)
    try:
        os.waitpid(pid, 0)
    except ChildProcessError:
        pass  # the user's code has set SIGCHLD to be ignored


def _open_log(runtime: str) -> int:
    """Open the agent's log; what is not a file of this user's is left alone, and nothing is logged."""
    try:
        return open_own(os.path.join(runtime, LOG), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    except OSError as error:
        if not is_own(error):
            raise
        return os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
