"""The web service as jobs need it: functions, tasks in a group of our own, and what became of them.

A submission is never repeated here. The SDK's transport repeats any request whose answer does not come, submissions
too, and each of them makes tasks that run; whoever calls this learns that the outcome is in doubt, and asks the group.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from prov_worker.errors import InputError, ProvWorkerError
from prov_worker.globus.answers import Answer, read_document
from prov_worker.globus.call_packing import PackedFunction, serializer_for
from prov_worker.globus.endpoint_report import EndpointReport, read_report
from prov_worker.globus.result_queue import ResultQueue
from prov_worker.globus.task_groups import tasks_in

#: Tasks that one request asks for.
_TASKS_PER_REQUEST = 500
#: The service turned a request away before it took anything, and says to come again.
_LATER = (429, 503)


class RefusedError(ProvWorkerError):
    """The service refused a submission: none of its tasks exists. Sent again, it would be refused again."""


class NoRightsError(RefusedError):
    """The service does not let this identity use the endpoint, or this function at it."""


class NotSentError(ProvWorkerError):
    """A submission did not reach the service, or was put off: none of its tasks exists."""


class InDoubtError(ProvWorkerError):
    """A submission was sent and its answer did not come: its tasks may exist."""


class TaskClient:
    """Tasks of one endpoint in one task group.

    Args:
        client: a ``globus_compute_sdk.Client``; its serialiser is changed.
        endpoint_id: where tasks go.
        group: task group of all tasks.
        options: ``user_endpoint_config``.
    """

    def __init__(
        self, client: Any, endpoint_id: uuid.UUID, group: uuid.UUID, options: Mapping[str, Any] | None = None
    ) -> None:
        from globus_compute_sdk.sdk.batch import create_user_runtime
        from globus_sdk import ComputeClientV3
        from globus_sdk.transport import RetryConfig

        self._client = client
        self._endpoint_id = endpoint_id
        self._group = group
        self._options = dict(options or {})
        self._create_user_runtime = create_user_runtime
        self._once = ComputeClientV3(
            base_url=client.web_service_address,
            app=client.app,
            authorizer=client.authorizer,
            retry_config=RetryConfig(max_retries=0),
        )

    def register(self, packed: PackedFunction) -> str:
        """Register a function; return its id.

        Raises:
            ProvWorkerError: the service refuses it, or cannot be reached.
        """
        self._client.fx_serializer = serializer_for(packed.function)
        return str(self._asked(f"function {packed.name}", lambda: self._client.register_function(packed.function)))

    def register_source(self, text: str, name: str) -> str:
        """Register a function by the text of a module that defines it; return its id.

        Raises:
            ProvWorkerError: the service refuses it, or cannot be reached.
        """
        return str(self._asked(f"function {name}", lambda: self._client.register_source_code(text, name)))

    def register_packed(self, text: str, name: str) -> str:
        """Register a function that is serialised already; return its id.

        Raises:
            ProvWorkerError: the service refuses it, or cannot be reached.
        """
        document = {
            "function_name": name,
            "function_code": self._client.fx_serializer.pack_buffers([text]),
            "serialized": True,
            "meta": None,
        }
        register = self._client._compute_web_client.v3.register_function
        return str(self._asked(f"function {name}", lambda: register(document)).data["function_uuid"])

    def endpoint_status(self) -> EndpointReport:
        """Ask whether the endpoint is there.

        Raises:
            NoRightsError: it is somebody else's.
            InputError: the service knows no such endpoint, or hides it.
            ProvWorkerError: it cannot be asked.
        """
        from globus_sdk import GlobusAPIError

        def ask() -> EndpointReport:
            try:
                answer = self._client._compute_web_client.v2.get_endpoint_status(self._endpoint_id)
            except GlobusAPIError as error:
                if error.http_status in (401, 403):
                    raise NoRightsError(_text(error)) from error
                if error.http_status == 404:
                    reason = "there is none, or it is another's and not shared"
                    raise InputError(f"endpoint {self._endpoint_id}: {reason}: {_text(error)}") from error
                raise
            return read_report(answer.data, answer.headers)

        report: EndpointReport = self._asked(f"endpoint {self._endpoint_id}", ask)
        return report

    def submit(
        self, payloads: Mapping[str, Sequence[str]], resource_specification: Mapping[str, Any] | None = None
    ) -> dict[str, list[str]]:
        """Submit tasks; return their ids by function, in the order of their payloads.

        Args:
            payloads: packed arguments by id of the function.
            resource_specification: of all of them.

        Raises:
            RefusedError: the service takes none of them.
            NotSentError: it took none of them, and may do so later.
            InDoubtError: nobody knows whether it took them.
        """
        return self._submit(payloads, resource_specification, {"create_queue": True, "task_group_id": str(self._group)})

    def request(self, function_id: str, payload: str, resource_specification: Mapping[str, Any]) -> str:
        """Submit one task outside of the group, whose answer is asked for; return its id.

        Raises:
            RefusedError, NotSentError, InDoubtError: as :meth:`submit`.
        """
        ids = self._submit({function_id: [payload]}, resource_specification, {"create_queue": False})
        return ids[function_id][0]

    def _submit(
        self,
        payloads: Mapping[str, Sequence[str]],
        resource_specification: Mapping[str, Any] | None,
        group: Mapping[str, Any],
    ) -> dict[str, list[str]]:
        from dataclasses import asdict

        from globus_sdk import GlobusAPIError, GlobusSDKUsageError, NetworkError

        body: dict[str, Any] = {
            **group,
            "tasks": {function_id: list(texts) for function_id, texts in payloads.items()},
            "user_runtime": asdict(self._create_user_runtime()),
        }
        if resource_specification:
            body["resource_specification"] = dict(resource_specification)
        if self._options:
            body["user_endpoint_config"] = self._options
        for renewed in (False, True):
            try:
                tasks = self._once.submit(self._endpoint_id, body)["tasks"]
                ids = {str(function_id): [str(task) for task in tasks[function_id]] for function_id in payloads}
            except GlobusAPIError as error:
                if error.http_status == 401 and not renewed and self._renew():
                    continue
                raise _submission_error(error) from error
            except NetworkError as error:
                if _never_connected(error):
                    raise NotSentError(f"the web service cannot be reached: {_text(error)}") from error
                raise InDoubtError(f"the web service gave no answer: {_text(error)}") from error
            except GlobusSDKUsageError as error:
                raise RefusedError(_text(error)) from error
            except Exception as error:  # an answer that cannot be read: the tasks may be there
                raise InDoubtError(f"the web service's answer cannot be read: {_text(error)}") from error
            if any(len(ids[function_id]) != len(texts) for function_id, texts in payloads.items()):
                raise InDoubtError("the web service took a part of the tasks and does not say which")
            return ids
        raise AssertionError  # pragma: no cover - the second round returns or raises

    def group_tasks(self) -> set[str]:
        """Return the ids of all tasks of the group; none if the service knows no such group yet.

        From then on the results of the group go to its queue.

        Raises:
            ProvWorkerError: the service cannot be asked.
        """
        from globus_sdk import GlobusAPIError

        def ask() -> set[str]:
            try:
                return tasks_in(self._client, self._group)
            except GlobusAPIError as error:
                if error.http_status == 404:
                    return set()
                raise

        tasks: set[str] = self._asked(f"task group {self._group}", ask)
        return tasks

    def answers(self, task_ids: Iterable[str]) -> Iterator[Answer]:
        """Yield how tasks ended; those that are under way are left out.

        Raises:
            ProvWorkerError: the service cannot be asked.
        """
        ids = list(task_ids)
        for start in range(0, len(ids), _TASKS_PER_REQUEST):
            part = ids[start : start + _TASKS_PER_REQUEST]
            answer = self._asked("tasks", partial(self._client._compute_web_client.v2.get_task_batch, part))
            for task_id, document in (answer.data.get("results") or {}).items():
                ended = read_document(str(task_id), document)
                if ended is not None:
                    yield ended

    def results(
        self, open_tasks: Callable[[], Sequence[str]], deliver: Callable[[Sequence[Answer]], None]
    ) -> ResultQueue:
        """Return the thread that hands on what comes back of the group's tasks; see :class:`ResultQueue`."""

        def address() -> tuple[str, str]:
            self.group_tasks()  # the queue is there then
            return self.queue()

        return ResultQueue(address, self.answers, open_tasks, deliver)

    def kept_text(self, _function_id: str) -> str | None:
        """Return None: the web service keeps the texts of functions."""
        return None

    def queue(self) -> tuple[str, str]:
        """Return URL of the broker, with credentials, and name of the group's queue of results.

        Raises:
            ProvWorkerError: the service cannot be asked.
        """
        answer = self._asked("result queue", self._client.get_result_amqp_url)
        return str(answer["connection_url"]), f"{answer['queue_prefix']}{self._group}"

    def _renew(self) -> bool:
        """Get a new token, if that can be done."""
        authorizer = self._once.authorizer
        return authorizer is not None and authorizer.handle_missing_authorization()

    def _asked(self, subject: str, ask: Callable[[], Any]) -> Any:
        from globus_sdk import GlobusAPIError, GlobusError

        try:
            return ask()
        except GlobusAPIError as error:
            if error.http_status in (400, 403, 404, 422):
                raise InputError(f"{subject}: refused by the web service: {_text(error)}") from error
            raise ProvWorkerError(f"{subject}: {_text(error)}") from error
        except GlobusError as error:
            raise ProvWorkerError(f"{subject}: the web service cannot be asked: {_text(error)}") from error


def _submission_error(error: Any) -> ProvWorkerError:
    text = _text(error)
    if error.http_status in _LATER:
        return NotSentError(f"the web service puts it off: {text}")
    if error.http_status == 403:
        return NoRightsError(f"refused by the web service: {text}")
    if 400 <= error.http_status < 500 and error.http_status != 408:
        return RefusedError(f"refused by the web service: {text}")
    return InDoubtError(f"the web service failed: {text}")


def _never_connected(error: Any) -> bool:
    """Return whether no connection came about, so that nothing can have been sent."""
    from requests import ConnectTimeout
    from urllib3.exceptions import MaxRetryError, NewConnectionError

    underlying = error.underlying_exception
    if isinstance(underlying, ConnectTimeout):
        return True
    reason = underlying.args[0] if underlying is not None and underlying.args else None
    return isinstance(reason, MaxRetryError) and isinstance(reason.reason, NewConnectionError)


def _text(error: Any) -> str:
    """Return an error of the SDK on one line, with what the service says itself."""
    message = getattr(error, "message", None) or str(error)
    status = getattr(error, "http_status", None)
    text = " ".join(str(message).split())
    return f"{status} {text}" if status is not None else f"{type(error).__name__}: {text}"
