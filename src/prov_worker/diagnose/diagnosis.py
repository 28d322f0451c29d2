"""Ask an endpoint what is wrong with it: from a plan to a report."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from prov_worker.diagnose import versions
from prov_worker.diagnose.channel import Channel, EmbeddedChannel, ServiceChannel
from prov_worker.diagnose.conversation import Conversation
from prov_worker.diagnose.evidence import Evidence
from prov_worker.diagnose.plan import Plan, make_plan
from prov_worker.diagnose.report import Report, judge
from prov_worker.errors import InputError

Say = Callable[[str], None]


def endpoint(
    endpoint_id: str | uuid.UUID,
    checks: Iterable[str] = (),
    *,
    tasks: int | None = None,
    site: str | None = None,
    options: Mapping[str, Any] | None = None,
    ranks: int | None = None,
    nodes: int | None = None,
    timeout: float = 300.0,
    auth: Any = None,
    say: Say | None = None,
) -> Report:
    """Diagnose an endpoint by tasks that are sent to it.

    Args:
        endpoint_id: its UUID.
        checks: names, as in :data:`prov_worker.diagnose.checks.CHECKS`; none for all.
        tasks: how many are to run at once; None: as many as a pool, or the site's template, has workers.
        site: whose template the endpoint was made of; what it promises is compared with what is there.
        options: ``user_endpoint_config``.
        ranks: of an MPI task, for an MPI engine.
        nodes: that they are shared out among.
        timeout: seconds for all of it; the report is there by then.
        auth: who asks; see :func:`prov_worker.globus.authentication.compute_client`.
        say: takes a line about what is waited for.

    Raises:
        InputError: an argument is not allowed, credentials are missing, or there is no such endpoint.
    """
    plan = make_plan(checks, tasks=tasks, site=site, options=options, ranks=ranks, nodes=nodes, timeout_s=timeout)
    try:
        identifier = uuid.UUID(str(endpoint_id))
    except ValueError:
        raise InputError(f"endpoint: {str(endpoint_id)!r}: is not a UUID") from None
    from prov_worker.globus.authentication import compute_client

    client = compute_client(auth)
    return _diagnose(ServiceChannel(client, identifier, options or {}), str(identifier), plan, say)


def embedded(
    checks: Iterable[str] = (),
    *,
    crate_dir: Path,
    tasks: int | None = None,
    site: str | None = None,
    options: Mapping[str, Any] | None = None,
    timeout: float = 300.0,
    say: Say | None = None,
) -> Report:
    """Diagnose an endpoint that is started in this process for it, without account and service.

    Args:
        checks: names; none for all.
        crate_dir: of its crates.
        tasks: how many are to run at once; None: as many as there are workers.
        site: whose template is compared.
        options: of its engine, as in a template; ``worker_init`` of its provider.
        timeout: seconds for all of it, once it is started.
        say: takes a line about what is waited for.

    Raises:
        InputError: an argument is not allowed, or the engine cannot be built.
    """
    from prov_worker.globus.embedded import EmbeddedEndpoint

    plan = make_plan(checks, tasks=tasks, site=site, options=options, timeout_s=timeout)
    engine = dict(options or {})
    worker_init = str(engine.pop("worker_init", ""))
    workers = tasks or (plan.promise.workers if plan.promise else 2)
    with EmbeddedEndpoint(
        workers=workers,
        provenance={"crate_dir": str(crate_dir), "plots": "none"},
        worker_init=worker_init,
        engine_options=engine,
    ) as started:
        return _diagnose(EmbeddedChannel(started), "here", plan, say)


def _diagnose(channel: Channel, name: str, plan: Plan, say: Say | None) -> Report:
    begin_ns = time.time_ns()
    evidence = Evidence(plan, versions.here())
    Conversation(channel, evidence, say or (lambda _: None)).hold()
    if evidence.report is None and isinstance(evidence.error, InputError):
        raise evidence.error
    return judge(name, begin_ns, evidence)
