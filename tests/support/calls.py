"""Functions that are sent to workers: what users do to the process that runs their code.

Each imports what it needs and says in its return value what it saw, so that a test can tell it from a stub.
"""

from __future__ import annotations

from typing import Any


def add(left: Any, right: Any) -> Any:
    return left + right


def nothing() -> None:
    return None


def refuse(message: str) -> None:
    raise ValueError(message)


def sleep(seconds: float) -> float:
    import time

    time.sleep(seconds)
    return seconds


def burn(seconds: float) -> float:
    """Use that much CPU time of one core."""
    import time

    start = time.process_time()
    while time.process_time() - start < seconds:
        sum(range(2000))
    return seconds


def hold_gil(stop: int) -> int:
    return sum(range(stop))


def burn_then_sleep(burn_s: float, sleep_s: float) -> float:
    import time

    start = time.process_time()
    while time.process_time() - start < burn_s:
        sum(range(2000))
    time.sleep(sleep_s)
    return burn_s


def kill_self(number: int, after_s: float = 0.0) -> None:
    import os
    import time

    end = time.monotonic() + after_s
    while time.monotonic() < end:
        sum(range(2000))
    os.kill(os.getpid(), number)
    time.sleep(30)


def wait_for_file(path: str) -> str:
    import os
    import time

    while not os.path.exists(path):
        time.sleep(0.01)
    return path


def touch_and_wait(started: str, release: str) -> str:
    import os
    import time

    open(started, "w").close()
    while not os.path.exists(release):
        time.sleep(0.01)
    return "released"


def run_program(script: str) -> int:
    """Run a shell script."""
    import subprocess

    return subprocess.run(["/bin/sh", "-c", script], check=False).returncode


def chdir(path: str) -> str:
    import os

    os.chdir(path)
    return os.getcwd()


def leave(status: int) -> None:
    import os

    os._exit(status)


def leave_by_sys_exit(status: Any) -> None:
    import sys

    sys.exit(status)


def interrupt() -> None:
    raise KeyboardInterrupt("asked by the user's code")


def close_stdio() -> str:
    import os

    for fd in (0, 1, 2):
        os.close(fd)
    return "closed"


def close_all_and_write(directory: str, count: int) -> list[str]:
    """Close every descriptor but stdio, then fill the freed numbers with files of the user's own; keep them open."""
    import builtins
    import os

    os.closerange(3, 1 << 16)
    kept = builtins.__dict__.setdefault("_kept_open", [])
    names = []
    for number in range(count):
        path = os.path.join(directory, f"user-{number}.txt")
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        os.write(fd, f"mine {number}\n".encode())
        kept.append(fd)
        names.append(path)
    # also under high numbers, where journals keep theirs
    for number in range(390, 420):
        path = os.path.join(directory, f"user-{number}.txt")
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        os.dup2(fd, number)
        os.write(number, f"mine {number}\n".encode())
        kept.append(number)
        names.append(path)
    return names


def still_open() -> list[bool]:
    """Whether each descriptor that ``close_all_and_write`` left open still is one."""
    import builtins
    import os

    states = []
    for fd in builtins.__dict__["_kept_open"]:
        try:
            os.fstat(fd)
            states.append(True)
        except OSError:
            states.append(False)
    return states


def fork_and_outlive(seconds: float) -> int:
    """Leave a busy child behind."""
    import os
    import time

    pid = os.fork()
    if pid == 0:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            sum(range(2000))
        os._exit(0)
    return pid


def fork_and_wait() -> int:
    import os

    pid = os.fork()
    if pid == 0:
        os._exit(7)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def return_twice() -> str:
    """The child of a fork returns from the function too."""
    import os

    return "child" if os.fork() == 0 else "parent"


def threads(count: int, seconds: float) -> int:
    import threading
    import time

    def work() -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            sum(range(2000))

    started = [threading.Thread(target=work) for _ in range(count)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()
    return count


def ignore_children() -> str:
    import signal

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    return "ignored"


def wait_for_any_child() -> str:
    import os

    try:
        pid, _ = os.wait()
    except ChildProcessError:
        return "no child"
    return f"child {pid}"


def limit(name: str, soft: int, hard: int = -2) -> tuple[int, int]:
    import resource

    which = getattr(resource, name)
    resource.setrlimit(which, (soft, resource.getrlimit(which)[1] if hard == -2 else hard))
    return resource.getrlimit(which)


def limit_file_size_and_die_of_it() -> str:
    """No byte may be written to any file, and whoever tries gets the signal's default action."""
    import resource
    import signal

    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    return "limited"


def umask(mask: int) -> int:
    import os

    return os.umask(mask)


def become(uid: int) -> int:
    import os

    os.setgid(uid)
    os.setuid(uid)
    return os.getuid()


def execute_another_program(path: str) -> None:
    import os
    import sys

    os.execv(sys.executable, [sys.executable, "-c", f"open({path!r}, 'w').write('it ran')\nraise SystemExit(9)"])


def unserialisable() -> Any:
    return (number for number in range(3))


def die_once(marker: str) -> str:
    import os
    import signal
    import time
    from pathlib import Path

    if Path(marker).exists():
        return "second attempt"
    Path(marker).touch()
    time.sleep(0.2)  # results that the worker sent before leave by a thread
    os.kill(os.getpid(), signal.SIGKILL)
    return "never"


class Stubborn:
    """An argument that cannot be rebuilt where it arrives."""

    def __reduce__(self) -> Any:
        return (_refuse_to_rebuild, ())


def _refuse_to_rebuild() -> None:
    raise RuntimeError("this argument refuses to be rebuilt")


def length(data: Any) -> int:
    return len(data)


def large(size: int) -> str:
    return "x" * size


def remove_tree(path: str) -> str:
    import shutil

    shutil.rmtree(path)
    return "gone"


def step_clock(seconds: float) -> str:
    """Have this process see a wall clock that jumped."""
    import time

    real = time.time_ns
    time.time_ns = lambda: real() + int(seconds * 1e9)  # type: ignore[assignment]
    return "stepped"


def allocate(mib: int) -> int:
    block = bytearray(mib << 20)
    block[::4096] = b"\x01" * len(block[::4096])
    return len(block)


def write_file(name: str, text: str) -> str:
    with open(name, "w") as file:
        file.write(text)
    return name


def read_secret(name: str) -> int:
    """Documented with password=hunter2-in-the-docstring."""
    import os

    return len(os.environ[name])


def fail_with_secrets(token: str, *, password: str) -> None:
    """Call home with what was given."""
    import os

    password_of_source = "hunter2-in-the-source"
    message = (
        f"login failed: Bearer {token}, password={password}, GLOBUS_COMPUTE_CLIENT_SECRET="
        f"{os.environ['GLOBUS_COMPUTE_CLIENT_SECRET']} and {os.environ['GLOBUS_COMPUTE_CLIENT_SECRET']}; {token}"
    )
    if password_of_source:
        raise RuntimeError(message + f" {password_of_source=}")


def return_secret(token: str) -> dict[str, str]:
    import os

    return {"token": token, "client": os.environ["GLOBUS_COMPUTE_CLIENT_SECRET"]}


def descriptors_and_memory() -> tuple[int, int]:
    """Number of open descriptors, and resident memory in kB."""
    import os

    with open("/proc/self/statm") as file:
        pages = int(file.read().split()[1])
    return len(os.listdir("/proc/self/fd")), pages * os.sysconf("SC_PAGE_SIZE") // 1024


def interval(days: int) -> Any:
    """Return an object that has no digest."""
    import datetime

    return datetime.timedelta(days=days)
