"""Running a system's own programs: bounded in time and in output, and without what the environment may hold."""

from __future__ import annotations

import contextlib
import os
import selectors
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence

from prov_worker.probes.errors import NoData, ProbeError
from prov_worker.probes.timeouts import TimeLimitError

MAX_OUTPUT_BYTES = 8 * 1024 * 1024
_MAX_MESSAGE_CHARS = 200
# An endpoint's PATH can be as short as its virtual environment.
_SYSTEM_PATH = ("/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin")
# Not the rest: it holds secrets, it may hold LD_PRELOAD, and ZE_AFFINITY_MASK would hide a node's other GPUs.
_PASSED_ON = ("HOME", "LD_LIBRARY_PATH", "TMPDIR")


def run_command(arguments: Sequence[str], limit_s: float) -> str:
    """Run a program and return its standard output, decoded as UTF-8 with replacements.

    Its input is closed, its locale is ``C``, and it leads a process group of its own, which is killed when the time or
    the size of the output (8 MiB) runs out.

    Args:
        arguments: program name or path, and its arguments; no shell.
        limit_s: seconds.

    Raises:
        NoData: there is no such program.
        ProbeError: it could not be started, ended with a non-zero status, or was stopped at a limit.
    """
    name = arguments[0]
    path = os.pathsep.join(part for part in (os.environ.get("PATH", ""), *_SYSTEM_PATH) if part)
    program = shutil.which(name, path=path)
    if program is None:
        raise NoData(f"{name}: not found")
    environment = {key: os.environ[key] for key in _PASSED_ON if key in os.environ}
    environment |= {"PATH": path, "LC_ALL": "C"}
    deadline = time.monotonic() + limit_s
    try:
        process = subprocess.Popen(
            [program, *arguments[1:]],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            start_new_session=True,
        )
    except OSError as error:
        raise ProbeError(f"{name}: {error.strerror or error}") from error
    try:
        output, errors = _read(process, name, deadline, limit_s)
        status = process.wait(timeout=max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        _kill(process)
        raise TimeLimitError(f"{name}: timed out after {limit_s:g} s") from None
    except BaseException:
        _kill(process)
        raise
    finally:
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()
    if status != 0:
        message = " ".join(errors.decode("utf-8", "replace").split())[:_MAX_MESSAGE_CHARS]
        raise ProbeError(f"{name}: exit status {status}" + (f": {message}" if message else ""))
    return output.decode("utf-8", "replace")


def _read(process: subprocess.Popen[bytes], name: str, deadline: float, limit_s: float) -> tuple[bytes, bytes]:
    """Return both streams until they end, or until the program has: a child left behind may hold them open for ever."""
    parts: dict[int, list[bytes]] = {}
    size = 0
    with selectors.DefaultSelector() as selector:
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                parts[stream.fileno()] = []
                selector.register(stream.fileno(), selectors.EVENT_READ)
        while selector.get_map():
            if time.monotonic() >= deadline:
                raise TimeLimitError(f"{name}: timed out after {limit_s:g} s")
            ended = process.poll() is not None
            ready = selector.select(0 if ended else min(0.05, max(0.0, deadline - time.monotonic())))
            if ended and not ready:
                break
            for key, _ in ready:
                chunk = os.read(key.fd, 65_536)
                if not chunk:
                    selector.unregister(key.fd)
                parts[key.fd].append(chunk)
                size += len(chunk)
            if size > MAX_OUTPUT_BYTES:
                raise ProbeError(f"{name}: more than {MAX_OUTPUT_BYTES} bytes of output")
    output, errors = (b"".join(chunks) for chunks in parts.values())
    return output, errors


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill the program's process group, and wait briefly: one that sleeps in the kernel cannot be waited for."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=1.0)
