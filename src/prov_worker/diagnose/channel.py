"""Ways to an endpoint: by the web service, or to an engine in this process."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from prov_worker.diagnose.remote import ENTRY
from prov_worker.globus.answers import Answer
from prov_worker.globus.endpoint_report import EndpointReport

#: Takes what came back, and when, in nanoseconds since the epoch.
Deliver = Callable[[Answer, int], None]


class Channel(Protocol):
    """A way to one endpoint."""

    def report(self) -> EndpointReport:
        """Ask whether the endpoint is there.

        Raises:
            ProvWorkerError: it cannot be asked.
        """

    def prepare(self, source: str) -> None:
        """Hand over the text of the function that later tasks call.

        Raises:
            ProvWorkerError: it is not taken.
        """

    def send(self, texts: Sequence[str], resources: Mapping[str, Any] | None) -> list[str]:
        """Send one task per text; return their ids.

        Raises:
            ProvWorkerError: they are not taken.
        """

    def listen(self, deliver: Deliver) -> None:
        """Hand on what comes back from now on, by a thread of its own."""

    def close(self) -> None:
        """Let go of the endpoint."""


class ServiceChannel:
    """An endpoint by the web service.

    Args:
        client: a ``globus_compute_sdk.Client``.
        endpoint: its UUID.
        options: ``user_endpoint_config``.
    """

    def __init__(self, client: Any, endpoint: uuid.UUID, options: Mapping[str, Any]) -> None:
        from prov_worker.globus.task_client import TaskClient

        self._tasks = TaskClient(client, endpoint, uuid.uuid4(), options)
        self._function = ""
        self._open: list[str] = []
        self._queue: Any = None
        self._deliver: Deliver | None = None

    def report(self) -> EndpointReport:
        """See :meth:`Channel.report`."""
        return self._tasks.endpoint_status()

    def prepare(self, source: str) -> None:
        """See :meth:`Channel.prepare`."""
        self._function = self._tasks.register_source(source, ENTRY)

    def send(self, texts: Sequence[str], resources: Mapping[str, Any] | None) -> list[str]:
        """See :meth:`Channel.send`."""
        from prov_worker.globus.call_packing import pack_arguments

        payloads = [pack_arguments((text,), {}) for text in texts]
        ids = self._tasks.submit({self._function: payloads}, resources)[self._function]
        self._open += ids
        if self._queue is None and self._deliver is not None:
            self._start()
        return ids

    def listen(self, deliver: Deliver) -> None:
        """See :meth:`Channel.listen`; the queue is there once something was sent."""
        self._deliver = deliver

    def _start(self) -> None:
        from prov_worker.globus.result_queue import ResultQueue

        self._queue = ResultQueue(self._tasks.queue, self._tasks.answers, lambda: list(self._open), self._take)
        self._queue.start()

    def _take(self, answers: Sequence[Answer]) -> None:
        received_ns = time.time_ns()
        assert self._deliver is not None
        for answer in answers:
            self._deliver(answer, received_ns)

    def close(self) -> None:
        """See :meth:`Channel.close`."""
        if self._queue is not None:
            self._queue.stop()


class EmbeddedChannel:
    """An engine with workers in this process (:class:`prov_worker.globus.embedded.EmbeddedEndpoint`).

    Args:
        embedded: the endpoint, started.
    """

    def __init__(self, embedded: Any) -> None:
        self._endpoint = embedded
        self._function = ""
        self._deliver: Deliver | None = None

    def report(self) -> EndpointReport:
        """See :meth:`Channel.report`."""
        return EndpointReport(online=True)

    def prepare(self, source: str) -> None:
        """See :meth:`Channel.prepare`; as the SDK's ``PureSourceTextInspect`` has it."""
        self._function = f"st\n{ENTRY}:{source}"

    def send(self, texts: Sequence[str], resources: Mapping[str, Any] | None) -> list[str]:
        """See :meth:`Channel.send`."""
        from prov_worker.globus.call_packing import pack_arguments

        ids = []
        function = f"{len(self._function)}\n{self._function}"
        for text in texts:
            buffer = function + pack_arguments((text,), {})
            future = self._endpoint.submit_buffer(uuid.uuid4(), buffer, resource_specification=resources)
            ids.append(str(future.task_id))
            future.add_done_callback(self._take)
        return ids

    def listen(self, deliver: Deliver) -> None:
        """See :meth:`Channel.listen`."""
        self._deliver = deliver

    def _take(self, future: Any) -> None:
        from prov_worker.globus.answers import read_message

        received_ns = time.time_ns()
        if self._deliver is None:
            return
        try:
            answer = read_message(future.packed_result)
        except (TypeError, ValueError):
            answer = Answer(str(future.task_id), False, str(future.exception()), False)
        self._deliver(answer, received_ns)

    def close(self) -> None:
        """See :meth:`Channel.close`; the endpoint is its maker's."""
