"""Run the workload on an embedded endpoint and find the crates that it left."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prov_worker.crate import vocabulary as v
from prov_worker.demo.workload import Call
from prov_worker.errors import InputError
from prov_worker.globus.embedded import EmbeddedEndpoint

#: A crate follows its result within a second; a lost worker's, once the engine noticed. Plots of many tasks queue up.
_CRATES_TIMEOUT_S = 45.0


@dataclass(slots=True)
class Outcome:
    """How one task of the demo ended.

    Attributes:
        call: what was sent.
        task_id: UUID of the task.
        result: value of the function; None if there is none.
        error: last line of the failure; None if the task succeeded.
        crate: the task's crate; None if none appeared.
    """

    call: Call
    task_id: uuid.UUID
    result: Any = None
    error: str | None = None
    crate: Path | None = None

    @property
    def as_expected(self) -> bool:
        """Whether the task ended as its call says, and left a crate."""
        return self.crate is not None and self.call.fails == (self.error is not None)


def run(
    calls: Sequence[Call],
    crate_dir: Path,
    *,
    workers: int = 2,
    provenance: dict[str, Any] | None = None,
    run_dir: Path | None = None,
    task_done: Callable[[], None] = lambda: None,
    crate_done: Callable[[], None] = lambda: None,
) -> list[Outcome]:
    """Run calls on workers of this machine, and wait for results and crates.

    Args:
        calls: tasks to run.
        crate_dir: where crates appear; made if missing. What lies there already is left alone.
        workers: number of workers.
        provenance: further settings of the recording.
        run_dir: folder for the endpoint's logs; None takes a temporary one.
        task_done: called once for each result.
        crate_done: called once for each crate.

    Raises:
        InputError: the directory cannot be made, or not written to.
    """
    crate_dir = crate_dir.absolute()
    try:
        crate_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise InputError(f"{crate_dir}: cannot make this directory: {error.strerror}") from error
    if not os.access(crate_dir, os.R_OK | os.W_OK | os.X_OK):
        raise InputError(f"{crate_dir}: the directory is not writable")
    settings = {**(provenance or {}), "crate_dir": str(crate_dir)}
    with EmbeddedEndpoint(workers=workers, provenance=settings, run_in_sandbox=True, run_dir=run_dir) as endpoint:
        outcomes = []
        futures = []
        for call in calls:
            future = endpoint.submit(call.function, *call.args)
            future.add_done_callback(lambda _: task_done())
            futures.append(future)
            outcomes.append(Outcome(call, future.task_id))
        wait(futures)
        for outcome, future in zip(outcomes, futures, strict=True):
            failure = future.exception()
            if failure is None:
                outcome.result = future.result()
            else:
                outcome.error = _last_line(str(failure))
        _await_crates(outcomes, crate_dir, crate_done)
    return outcomes


def _await_crates(outcomes: Sequence[Outcome], crate_dir: Path, crate_done: Callable[[], None]) -> None:
    deadline = time.monotonic() + _CRATES_TIMEOUT_S
    missing = list(outcomes)
    while missing and time.monotonic() < deadline:
        present = set(os.listdir(crate_dir))
        for outcome in list(missing):
            name = v.crate_name(str(outcome.task_id))
            if name in present:
                outcome.crate = crate_dir / name
                missing.remove(outcome)
                crate_done()
        if missing:
            time.sleep(0.05)


def _last_line(text: str) -> str:
    """Return the line of a traceback that names the error."""
    lines = [line.strip() for line in text.splitlines() if line.strip(" -+")]
    return lines[-1] if lines else text
