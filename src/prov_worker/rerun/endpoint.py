"""Runs a call at an endpoint of Globus Compute: function and arguments go as they are, and are never unpacked here."""

from __future__ import annotations

import json
import shutil
import time
import uuid
from pathlib import Path

from prov_worker.crate import vocabulary as v
from prov_worker.errors import CrateError, InputError, ProvWorkerError
from prov_worker.globus.answers import Answer
from prov_worker.globus.authentication import compute_client
from prov_worker.globus.call_packing import unpack_call, unpack_result
from prov_worker.globus.task_client import TaskClient
from prov_worker.model import COMPLETED, FAILED, Value
from prov_worker.recorder.capture import HASH_LIMIT, describe
from prov_worker.rerun.comparison import DIFFERS, INCOMPARABLE, SAME, Comparison, Part
from prov_worker.rerun.plan import Plan
from prov_worker.rerun.rerun import Rerun, recorded

_POLL_S = 0.5
#: An endpoint's crate follows its result within seconds.
_CRATE_TIMEOUT_S = 90.0


def rerun_at(plan: Plan, endpoint: str, directory: Path, crates: Path | None) -> Rerun:
    """Run a step again at an endpoint, and wait for it.

    Args:
        plan: of it.
        endpoint: UUID.
        directory: where a copy of the new crate appears.
        crates: where the endpoint's crates appear; None if that cannot be seen from here: then outcome and result are
            compared, and the crate stays at the endpoint.

    Raises:
        InputError: no UUID, nobody is logged in, or the service knows no such endpoint.
        ProvWorkerError: the service cannot be asked, takes no task, or no crate appeared.
    """
    try:
        identifier = uuid.UUID(endpoint)
    except ValueError:
        raise InputError(f"--endpoint: {endpoint!r}: is not a UUID") from None
    function, payload = unpack_call(plan.call)
    client = TaskClient(compute_client(), identifier, uuid.uuid4())
    function_id = client.register_packed(function, plan.step.function)
    task_id = client.request(function_id, payload, {})
    answer = _wait(client, task_id)
    if crates is None:
        return Rerun(plan, None, task_id, compared(plan, answer))
    return recorded(plan, _brought(crates / v.crate_name(task_id), directory))


def _wait(client: TaskClient, task_id: str) -> Answer:
    while True:
        for answer in client.answers([task_id]):
            return answer
        time.sleep(_POLL_S)


def _brought(crate: Path, directory: Path) -> Path:
    """Copy a crate, once it is there."""
    deadline = time.monotonic() + _CRATE_TIMEOUT_S
    while not (crate / v.METADATA_FILE).is_file():
        if time.monotonic() > deadline:
            raise ProvWorkerError(f"{crate}: never appeared; does this endpoint record its tasks there?")
        time.sleep(_POLL_S)
    target = directory.absolute() / crate.name
    staged = target.with_name(f".{target.name}.part")
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.copytree(crate, staged, symlinks=True)
        staged.rename(target)
    except OSError as error:
        shutil.rmtree(staged, ignore_errors=True)
        raise CrateError(target, f"cannot be written: {error}") from error
    return target


def compared(plan: Plan, answer: Answer) -> Comparison:
    """Compare an execution with what the service answered: how it ended, and its result."""
    first = plan.step
    status = COMPLETED if answer.succeeded else FAILED
    if status != first.status:
        last = "" if answer.succeeded else f": {answer.text.strip().splitlines()[-1]}"
        return Comparison([Part("outcome", DIFFERS, [f"{first.status}, now {status}{last}"])])
    parts = [Part("outcome", SAME)]
    if answer.succeeded:
        before = next((value for value in first.results if value.name == "return"), None)
        small = len(answer.text) <= HASH_LIMIT
        value = Value(*json.loads(describe("return", unpack_result(answer.text), False, small)))
        if before is None or before.sha256 is None or value.sha256 is None:
            parts.append(Part("result", INCOMPARABLE, [f"no digest of an object of type {value.type}"]))
        elif (before.type, before.sha256) == (value.type, value.sha256):
            parts.append(Part("result", SAME))
        else:
            parts.append(Part("result", DIFFERS, [f"sha256 {before.sha256[:12]}…, now {value.sha256[:12]}…"]))
    return Comparison(parts)
