"""Which task is whose, if the answer to a request with several jobs never came: by what crates say of calls.

A crate has digests of the arguments of its task (:mod:`prov_worker.recorder.capture`), and the id of its function. The
same digests are made here of the arguments of jobs. Jobs of one function and the same arguments are alike: which of
their tasks is whose makes no difference. Nothing is guessed: an argument without a digest (an object of a class, a
secret, more than a megabyte in all) is like no other, and a task without a crate is nobody's.
"""

from __future__ import annotations

import json
import logging
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prov_worker.crate.sources.ids import source_by_id
from prov_worker.crate.summary_reader import open_step
from prov_worker.errors import InputError, ProvWorkerError
from prov_worker.globus.call_packing import unpack_arguments
from prov_worker.jobs.job import Job
from prov_worker.recorder.capture import HASH_LIMIT, describe_call

if TYPE_CHECKING:
    from prov_worker.jobs.exchange import Exchange

_log = logging.getLogger(__name__)

#: How often crates are looked for.
_LOOK_S = 2.0
#: Id of the function; type and digest of each argument.
Signature = tuple[str, tuple[tuple[str, str], ...]]


def matches(
    jobs: Iterable[Job], tasks: Iterable[str], crates: Path, payload_of: Callable[[Job], str]
) -> list[tuple[Job, str]]:
    """Return the jobs of a request of which it is certain which task each is, with that task.

    Args:
        jobs: of the request.
        tasks: that came of it.
        crates: directory of the endpoint's crates.
        payload_of: gives a job's packed arguments.
    """
    tasks_by_call: dict[Signature, list[str]] = defaultdict(list)
    for task_id in sorted(tasks):
        signature = _of_crate(crates, task_id)
        if signature is not None:
            tasks_by_call[signature].append(task_id)
    if not tasks_by_call:
        return []
    jobs_by_call: dict[Signature, list[Job]] = defaultdict(list)
    for job in jobs:
        signature = _of_job(job, payload_of(job))
        if signature is not None:
            jobs_by_call[signature].append(job)
    pairs: list[tuple[Job, str]] = []
    for signature, task_ids in tasks_by_call.items():
        pairs += zip(jobs_by_call.get(signature, ()), task_ids)  # noqa: B905 - as many as there are
    return pairs


def _of_crate(crates: Path, task_id: str) -> Signature | None:
    """Return what a task's crate says of its call; None if there is no crate, or if it says too little."""
    try:
        step, _ = open_step(source_by_id(crates, task_id), strict=False)
    except ProvWorkerError:
        return None
    arguments = [(argument.type, argument.sha256) for argument in step.arguments]
    return _signature(step.function_id.rpartition("/")[2], arguments)


def _of_job(job: Job, payload: str) -> Signature | None:
    """Return the same of a job, as a worker would describe its call."""
    try:
        args, kwargs = unpack_arguments(payload)
    except InputError:
        return None
    described: list[list[Any]] = json.loads(describe_call((), args, kwargs, False, len(payload) <= HASH_LIMIT))
    return _signature(job.function_id, [(entry[1], entry[4]) for entry in described])


def _signature(function_id: str, arguments: Iterable[tuple[str | None, str | None]]) -> Signature | None:
    call = []
    for type_name, sha256 in arguments:
        if type_name is None or sha256 is None:
            return None
        call.append((type_name, sha256))
    return function_id, tuple(call)


class Matcher(threading.Thread):
    """Looks for the crates of tasks of which nobody knows whose they are, as long as there are such jobs.

    Args:
        exchange: whose jobs.
        crates: directory of the endpoint's crates.
    """

    def __init__(self, exchange: Exchange, crates: Path) -> None:
        super().__init__(name="prov-worker-matching", daemon=True)
        self._exchange = exchange
        self._crates = crates
        self._stopped = threading.Event()

    def look(self) -> None:
        """Look once, and tell the session what is certain."""
        ledger = self._exchange.ledger
        with self._exchange.lock:
            doubtful = [(list(jobs), set(tasks)) for jobs, tasks in ledger.doubtful.values()]
        for jobs, tasks in doubtful:
            if jobs and tasks:
                for job, task_id in matches(jobs, tasks, self._crates, ledger.payload):
                    self._exchange.matched(job, task_id)

    def run(self) -> None:
        """Look until stopped."""
        while not self._stopped.wait(_LOOK_S):
            try:
                self.look()
            except ProvWorkerError as error:
                _log.warning("unknown jobs: %s", error)

    def stop(self) -> None:
        """End the thread, and wait for it."""
        self._stopped.set()
        if self.is_alive():
            self.join(30)
