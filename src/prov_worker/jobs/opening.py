"""From an endpoint and a file to a session of jobs."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from prov_worker.errors import InputError
from prov_worker.globus.authentication import compute_client
from prov_worker.jobs.errors import StoreError
from prov_worker.jobs.ledger import now
from prov_worker.jobs.session import Jobs, ledger_for
from prov_worker.jobs.store import Store
from prov_worker.jobs.submitter import RETRY_ON, Submitter

SETTLE_S = 30.0
#: Where a store says which site its jobs are of, in the place of an endpoint.
SITE = "site:"


def open(  # noqa: A001 - as other modules name it: prov_worker.jobs.open
    endpoint: str | uuid.UUID | None = None,
    *,
    site: str | None = None,
    store: str | os.PathLike[str] = "jobs.jsonl",
    options: Mapping[str, Any] | None = None,
    auth: Any = None,
    crates: str | os.PathLike[str] | None = None,
    retries: int = 0,
    retry_on: Iterable[str] = RETRY_ON,
    time_limit: float | None = None,
    run: str | None = None,
    once: bool = False,
    settle_s: float = SETTLE_S,
    send: bool = True,
) -> Jobs:
    """Open a store of jobs, or make one; jobs that an earlier program left in it go on.

    Args:
        endpoint: UUID of the endpoint; None: the store's.
        site: in its place, a site of :func:`prov_worker.sites.catalog.names`: its engine runs in this program, which
            has to stay until the jobs have ended, and submits its blocks itself. No web service is asked.
        store: the file.
        options: ``user_endpoint_config`` of all jobs, or the options of the site; None: the store's.
        auth: who asks; see :func:`prov_worker.globus.authentication.compute_client`.
        crates: directory of the endpoint's crates as it is seen from here, for :attr:`prov_worker.jobs.job.Job.crate`.
        retries: how often a job may be sent again.
        retry_on: after which of ``lost``, ``timed_out`` and ``failed``.
        time_limit: seconds that an attempt may take on its worker, for an endpoint with one of our engines.
        run: name of the run that the jobs are a part of; likewise.
        once: a job's task that has begun does not begin again, if the web service delivers it again; likewise. Not
            together with ``retries``.
        settle_s: a request that had no answer made no tasks if there are none so many seconds later; it is then sent
            again. Longer than the web service takes for one.
        send: False: nothing is sent and no result is fetched; for what needs the store alone, such as cancelling.

    Raises:
        StoreError: the store is in use, another endpoint's, or cannot be used.
        InputError: an argument is not allowed, or credentials are missing; nothing was sent.
    """
    path = Path(store)
    defaults = {"retries": retries, "retry_on": retry_on, "time_limit": time_limit, "run": run, "once": once}
    Submitter(None, **defaults)  # type: ignore[arg-type] # refuses what is not allowed before anything is made
    if site is not None and endpoint is not None:
        raise InputError("site, endpoint: give one of them: jobs go to an endpoint, or to an engine here")
    wanted = f"{SITE}{site}" if site else None if endpoint is None else str(_uuid("endpoint", endpoint))
    ledger = ledger_for(path, None if crates is None else Path(crates))
    there = path.exists() and path.stat().st_size > 0
    if there:
        ledger.replay()
        _check(path, ledger.head, wanted, options)
        wanted = str(ledger.head["endpoint"])
    elif wanted is None:
        raise StoreError(path, "no such store; name an endpoint or a site to make it")
    here = wanted.startswith(SITE)
    client = None if here else compute_client(auth)
    service = "" if client is None else client.web_service_address
    if not path.parent.is_dir():
        raise StoreError(path, f"cannot be made: {path.parent} is not a directory")
    group = str(uuid.uuid4())
    head: dict[str, Any] = {
        "group": group,
        "endpoint": wanted,
        "options": dict(options or {}),
        "service": service,
        "at": now(),
    }
    if here and not there:
        from prov_worker.jobs.site_tasks import checked_template

        checked_template(wanted.removeprefix(SITE), head["options"], path)  # before the file is there
    file = Store(path, head)
    try:
        ledger = ledger_for(path, ledger.crates)
        ledger.replay()  # again: another program may have had it meanwhile
        _check(path, ledger.head, wanted, options)
        if ledger.head["service"] != service:
            raise StoreError(path, f"service: its jobs are with {ledger.head['service']}, not {service}")
        if client is None:
            from prov_worker.jobs.site_tasks import open_site

            return open_site(ledger, file, defaults, settle_s, send=send)
        from prov_worker.globus.task_client import TaskClient

        tasks = TaskClient(
            client, _uuid("endpoint", ledger.head["endpoint"]), uuid.UUID(ledger.head["group"]), ledger.head["options"]
        )
        return Jobs(ledger, file, tasks, defaults, settle_s, send=send)
    except BaseException:
        file.close()
        raise


def _check(path: Path, head: Mapping[str, Any], endpoint: str | None, options: Mapping[str, Any] | None) -> None:
    """Refuse a store of other jobs."""
    if endpoint is not None and head.get("endpoint") != endpoint:
        raise StoreError(path, f"endpoint: its jobs are of {head.get('endpoint')}, not of {endpoint}")
    if options is not None and head.get("options") != dict(options):
        raise StoreError(path, "options: its jobs have other options of the endpoint")


def _uuid(name: str, value: object) -> uuid.UUID:
    try:
        return value if isinstance(value, uuid.UUID) else uuid.UUID(str(value))
    except ValueError:
        raise InputError(f"{name}: {value!r}: is no UUID") from None
