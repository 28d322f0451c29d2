"""Submission with options."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from prov_worker.errors import InputError
from prov_worker.globus.call_packing import pack_arguments
from prov_worker.jobs.states import RETRYABLE, State

if TYPE_CHECKING:
    from prov_worker.jobs.job import Job
    from prov_worker.jobs.session import Jobs

RETRY_ON = (State.LOST.value, State.TIMED_OUT.value)


class Submitter:
    """Submits jobs that share options.

    Args:
        session: whose jobs.
        name: of each job; None: its function's.
        retries: how often a job may be sent again.
        retry_on: after which of ``lost``, ``timed_out`` and ``failed``.
        ranks: MPI ranks of each job, for an MPI engine.
        nodes: nodes of each job; the ranks are shared out evenly.
        time_limit: seconds that each attempt may take on its worker; the agent ends the worker then. Only for endpoints
            with one of our engines, which is asked first.
        run: name of the run that the jobs are a part of, for their crates; likewise.
        once: a task that has begun does not begin again, if the web service delivers it again; likewise.
        specification: ``resource_specification`` as the endpoint's engine takes it, beside all these.

    Raises:
        InputError: an option is not allowed; it is named.
    """

    def __init__(
        self,
        session: Jobs,
        *,
        name: str | None = None,
        retries: int = 0,
        retry_on: Iterable[str] = RETRY_ON,
        ranks: int | None = None,
        nodes: int | None = None,
        time_limit: float | None = None,
        run: str | None = None,
        once: bool = False,
        specification: Mapping[str, Any] | None = None,
    ) -> None:
        self._session = session
        self._name = name
        self._fields: dict[str, Any] = {}
        if not isinstance(retries, int) or isinstance(retries, bool) or retries < 0:
            raise InputError(f"retries: {retries!r}: is not a number of 0 or more")
        allowed = [state.value for state in RETRYABLE]
        states = [retry_on] if isinstance(retry_on, str) else list(retry_on)
        for word in states:
            if word not in allowed:
                raise InputError(f"retry_on: {word!r}: not one of {', '.join(allowed)}")
        if retries and once:
            raise InputError("once, retries: a job that is sent again may run twice; leave one of them out")
        if retries:
            self._fields |= {"retries": retries, "retry_on": states}
        merged = {**_placement(ranks, nodes), **_asked(time_limit, run, once), **(specification or {})}
        if merged:
            self._fields["spec"] = merged

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Job:
        """Have ``function(*args, **kwargs)`` called; see :meth:`prov_worker.jobs.session.Jobs.submit`."""
        function_id, fields = self.fields(function)
        return self._session.add(function_id, [(pack_arguments(args, kwargs), fields)])[0]

    def submit_registered(self, function_id: str, /, *args: Any, **kwargs: Any) -> Job:
        """Have a function called that was registered elsewhere."""
        fields = {"name": self._name or str(function_id), **self._fields}
        return self._session.add(str(function_id), [(pack_arguments(args, kwargs), fields)])[0]

    def fields(self, function: Callable[..., Any]) -> tuple[str, dict[str, Any]]:
        """Return a function's id, and what the lines of its jobs have in common."""
        packed, function_id = self._session.registered(function)
        fields = {"name": self._name or packed.name, "code": packed.sha256, **self._fields}
        if packed.shell:
            fields["shell"] = True
        return function_id, fields


def _asked(time_limit: float | None, run: str | None, once: bool) -> dict[str, Any]:
    """Return what our engines are asked for, checked as they do it."""
    values = {"time_limit": time_limit, "run": run, "once": once or None}
    options = {key: value for key, value in values.items() if value is not None}
    if not options:
        return {}
    from prov_worker.globus.task_options import KEY, OPTION, take_options

    try:
        take_options({KEY: options})
    except InputError as error:
        raise InputError(str(error).removeprefix(f"{OPTION}: ")) from None
    return {KEY: options}


def _placement(ranks: int | None, nodes: int | None) -> dict[str, int]:
    """Return ranks and nodes as Parsl takes them (``parsl/executors/high_throughput/mpi_resource_management.py``)."""
    for name, value in (("ranks", ranks), ("nodes", nodes)):
        if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
            raise InputError(f"{name}: {value!r}: is not a number of 1 or more")
    if ranks is None and nodes is None:
        return {}
    node_count = nodes or 1
    rank_count = ranks or node_count
    if rank_count % node_count:
        raise InputError(f"ranks: {rank_count} cannot be shared out evenly among {node_count} nodes")
    return {"num_nodes": node_count, "num_ranks": rank_count, "ranks_per_node": rank_count // node_count}
