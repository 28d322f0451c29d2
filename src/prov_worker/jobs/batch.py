"""One function over many items: as many outcomes as items, always."""

from __future__ import annotations

import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from prov_worker.errors import InputError
from prov_worker.globus.call_packing import pack_arguments
from prov_worker.humanize import plural
from prov_worker.jobs.errors import BatchFailedError
from prov_worker.jobs.job import Job
from prov_worker.jobs.sender import MAX_JOBS
from prov_worker.jobs.states import State
from prov_worker.jobs.store import payload_sha256

if TYPE_CHECKING:
    from prov_worker.jobs.session import Jobs

_log = logging.getLogger(__name__)

FAIL = ("first", "after", "never")
_KEY_LENGTH = 16
_NAMED = 5


class Call:
    """An item with several arguments.

    Args:
        args: positional arguments of the batch's function.
        kwargs: its keyword arguments.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.args = args
        self.kwargs = kwargs


class Batch:
    """Jobs of a batch, in the order of its items; made by ``Jobs.batch``.

    Args:
        session: whose jobs.
        name: of the batch.
        jobs: one per item.
        on_done: called with each job once it has ended.
        fail: ``first``, ``after`` or ``never``: when :meth:`results` and iteration raise for items without a value.

    Attributes:
        name: of the batch.
        jobs: one per item, in the order of the items.
        callback_errors: what ``on_done`` raised, by the item's key.
    """

    def __init__(
        self, session: Jobs, name: str, jobs: Sequence[Job], on_done: Callable[[Job], object] | None, fail: str
    ) -> None:
        self.name = name
        self.jobs = list(jobs)
        self.callback_errors: dict[str, Exception] = {}
        self._session = session
        self._on_done = on_done
        self._fail = fail

    def __len__(self) -> int:
        """Return the number of items, which is that of outcomes."""
        return len(self.jobs)

    def __iter__(self) -> Iterator[Job]:
        """Yield jobs as they end, with or without a value.

        Raises:
            BatchFailedError: with ``fail="first"`` at the first item without a value, when what had not been sent has
                been taken back; with ``fail="after"`` behind the last.
        """
        return self.as_completed()

    def as_completed(self, timeout: float | None = None) -> Iterator[Job]:
        """Return an iterator, as iteration does; for at most so many seconds.

        Raises:
            BatchFailedError: as iteration.
            TimeoutError: some have not ended in time.
        """
        for job in self._session.as_completed(self.jobs, timeout):
            self._call(job)
            if self._fail == "first" and job.state is not State.COMPLETED:
                for other in self.jobs:
                    self._session.drop(other)
                raise self._failure()
            yield job
        if self._fail != "never":
            self.raise_for_failures()

    def wait(self, timeout: float | None = None) -> None:
        """Wait for all items, and raise as ``fail`` says.

        Raises:
            BatchFailedError: an item has no value.
            TimeoutError: some have not ended in time.
        """
        for _ in self.as_completed(timeout):
            pass

    def results(self, timeout: float | None = None) -> list[Any]:
        """Return the values in the order of the items; None for an item without one, if ``fail`` is ``never``.

        Raises:
            BatchFailedError: an item has no value.
            TimeoutError: some have not ended in time.
        """
        for job in self.as_completed(timeout):
            if job.state is State.COMPLETED:
                with contextlib.suppress(InputError):  # raised below, when all have ended
                    job.result()  # unpacked while others run
        return [job.result() if job.state is State.COMPLETED else None for job in self.jobs]

    @property
    def failed(self) -> list[Job]:
        """Jobs that ended without a value, in the order of the items: each has its attempts, error and crate."""
        return [job for job in self.jobs if job.ended and job.state is not State.COMPLETED]

    def counts(self) -> dict[str, int]:
        """Return how many items are in each state; their sum is the number of items."""
        return dict(Counter(str(job.state) for job in self.jobs))

    def raise_for_failures(self) -> None:
        """Raise if an item ended without a value.

        Raises:
            BatchFailedError: has their jobs.
        """
        if self.failed:
            raise self._failure()

    def cancel(self) -> None:
        """Take back what has not been sent, and have the rest ended at the endpoint if it can; drop its results."""
        self._session.cancel_all(self.jobs)

    def _failure(self) -> BatchFailedError:
        failed = self.failed
        reasons = [f"{job.key}: {job.state}" + (f": {_last_line(job.error)}" if job.error else "") for job in failed]
        more = f"; {len(reasons) - _NAMED} more" if len(reasons) > _NAMED else ""
        counts = f"{len(failed)} of {plural(len(self), 'item has', 'items have')} no value"
        return BatchFailedError(f"batch {self.name}: {counts}: {'; '.join(reasons[:_NAMED])}{more}", failed)

    def _call(self, job: Job) -> None:
        """Call back, once per outcome, also over restarts; its error is kept, and ends nothing."""
        if self._on_done is None or job.called:
            return
        try:
            self._on_done(job)
        except Exception as error:
            _log.exception("batch %s: on_done of item %s", self.name, job.key)
            self.callback_errors[str(job.key)] = error
        self._session.note_called(job)


def batch(
    session: Jobs,
    function: Callable[..., Any],
    items: Iterable[Any],
    *,
    name: str | None = None,
    key: Callable[[Any], object] | None = None,
    on_done: Callable[[Job], object] | None = None,
    fail: str = "after",
    allow_empty: bool = False,
    unknown: bool = False,
    **options: Any,
) -> Batch:
    """Make a batch; see :meth:`prov_worker.jobs.session.Jobs.batch`."""
    if fail not in FAIL:
        raise InputError(f"fail: {fail!r}: not one of {', '.join(FAIL)}")
    values = list(items)
    calls = [item if isinstance(item, Call) else Call(item) for item in values]
    if not calls and not allow_empty:
        raise InputError("items: there are none; allow_empty=True if that may be")
    function_id, fields = session.options(name=name, **options).fields(function)
    title = name or str(fields["name"])
    payloads = [pack_arguments(call.args, call.kwargs) for call in calls]
    keys = _keys(values, payloads, key)
    jobs: list[Job] = []
    entries = list(zip(keys, payloads, strict=True))
    for start in range(0, len(entries), MAX_JOBS):  # so that the first are on their way while the rest is written down
        jobs += _part(session, function_id, title, fields, entries[start : start + MAX_JOBS], unknown=unknown)
    return Batch(session, title, jobs, on_done, fail)


def _part(
    session: Jobs,
    function_id: str,
    title: str,
    fields: Mapping[str, Any],
    entries: Sequence[tuple[str, str]],
    *,
    unknown: bool,
) -> list[Job]:
    """Return the jobs of a part of a batch's items, given by key and packed arguments."""
    with session.lock:
        earlier = [session.ledger.items.get((title, key)) for key, _ in entries]
        kept = [
            job if job is not None and _same(job, fields, payload) else None
            for job, (_, payload) in zip(earlier, entries, strict=True)
        ]
        session.retry([job for job in kept if job is not None], unknown=unknown)
        calls = [
            (payload, {**fields, "batch": title, "key": key})
            for job, (key, payload) in zip(kept, entries, strict=True)
            if job is None
        ]
        added = iter(session.add(function_id, calls))
        return [next(added) if job is None else job for job in kept]


def _same(job: Job, fields: Mapping[str, Any], payload: str) -> bool:
    """Return whether a job of an earlier program is the same call."""
    return job.function_sha256 == fields["code"] and job.payload_sha256 == payload_sha256(payload)


def _keys(items: Sequence[Any], payloads: Sequence[str], key: Callable[[Any], object] | None) -> list[str]:
    """Return what tells items apart: given, or made of their arguments and of how often the same came before."""
    if key is None:
        digests = [payload_sha256(payload)[:_KEY_LENGTH] for payload in payloads]
        seen: Counter[str] = Counter()
        keys = []
        for digest in digests:
            seen[digest] += 1
            keys.append(digest if seen[digest] == 1 else f"{digest}#{seen[digest]}")
        return keys
    keys = [str(key(item)) for item in items]
    twice = [text for text, count in Counter(keys).items() if count > 1]
    if twice:
        raise InputError(f"key: {twice[0]!r}: {Counter(keys)[twice[0]]} items have it; give each its own")
    return keys


def _last_line(text: str) -> str:
    return text.strip().splitlines()[-1]
