"""Runs a call on this machine: in a process of its own, recorded as any task is."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from prov_worker.crate import vocabulary as v
from prov_worker.errors import InputError, ProvWorkerError
from prov_worker.recorder.provenance import provenance_mapping
from prov_worker.rerun.process import begun_mark
from prov_worker.settings import SWITCH, Settings
from prov_worker.worker_settings import PACKED

#: Directory beside the new crates with the sandboxes of reruns, for whoever wants to look at other files.
FILES = "files"
#: A crate follows the end of its task within a second; on a busy machine later.
_CRATE_TIMEOUT_S = 90.0
_LOG_BYTES = 2000


def settings_here(directory: Path) -> Settings:
    """Return the settings of reruns: those of ``PROV_WORKER_*``, with crates as directories that keep the call.

    Raises:
        SettingsError: a variable is wrong.
    """
    return dataclasses.replace(
        Settings.from_environ(),
        enabled=True,
        crate_dir=str(directory.absolute()),
        capture_arguments=PACKED,
        crates="directories",
        capture_outputs=True,
        write="before_result",
        stream=(),
    )


def run_here(call: str, directory: Path, settings: Settings) -> Path:
    """Run a call, and return the crate of its task.

    Args:
        call: serialised.
        directory: where the crate appears, and the task's sandbox in ``files``.
        settings: of :func:`settings_here`.

    Raises:
        InputError: the directory cannot be made.
        ProvWorkerError: the process ended and left no crate.
    """
    task_id = str(uuid.uuid4())
    sandboxes = directory.absolute() / FILES
    try:
        sandboxes.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{directory}: cannot make this directory: {error.strerror}") from error
    provenance = provenance_mapping(settings, str(directory.absolute()))
    with tempfile.TemporaryDirectory(prefix="prov-worker-rerun-") as folder:
        job = Path(folder, "job.json")
        job.write_text(
            json.dumps({"call": call, "task_id": task_id, "provenance": provenance, "run_dir": str(sandboxes)})
        )
        log = Path(folder, "log")
        crate = directory.absolute() / v.crate_name(task_id)
        with _ended(job, log) as status:
            deadline = time.monotonic() + _CRATE_TIMEOUT_S
            while not (crate / v.METADATA_FILE).is_file():
                if time.monotonic() > deadline or not begun_mark(job).exists():
                    text = log.read_text(errors="replace")[-_LOG_BYTES:].strip()
                    last = text.splitlines()[-1] if text else "it said nothing"
                    raise ProvWorkerError(f"task {task_id}: no crate; its process ended with status {status}: {last}")
                time.sleep(0.02)
    with contextlib.suppress(OSError):  # a task without files leaves an empty sandbox
        (sandboxes / task_id).rmdir()
        sandboxes.rmdir()
    return crate


@contextlib.contextmanager
def _ended(job: Path, log: Path) -> Iterator[int]:
    """Run the process to its end, and give its exit status, or its signal as a negative number.

    The process is collected (wait(2)) at the end of the block alone: until then the agent can read how it ended. If
    this program is interrupted, it is killed with all that it started.
    """
    environment = {name: value for name, value in os.environ.items() if name != SWITCH}
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "prov_worker.rerun.process", str(job)],
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
    try:
        end = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert end is not None  # without WNOHANG it waits
        yield end.si_status if end.si_code == os.CLD_EXITED else -end.si_status
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        raise
    finally:
        process.wait()
