"""Globus Compute's engines, with a crate for every task: ``ProvenanceEngine`` and ``ProvenanceMPIEngine``.

In a template of an endpoint::

    engine:
      type: ProvenanceEngine          # all options of GlobusComputeEngine, and
      provenance:                     # every key of prov_worker.settings.Settings
        poll_interval: 0.05

The engine changes one thing on a task's way: the name of the function that the worker calls, from the stock helper to
:func:`prov_worker.globus.worker.execute_task`, which calls the stock helper. Everything else that is done here happens
beside the task, and fails without it. Signatures and the order of calls are those of globus-compute-endpoint 4.15 to
4.19 (``engines/base.py``, ``engines/globus_compute.py``).
"""

from __future__ import annotations

import functools
import logging
import os
import pickle
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from globus_compute_endpoint.engines.base import GCExecutorFuture, GCFuture, GlobusComputeEngineBase
from globus_compute_endpoint.engines.globus_compute import GlobusComputeEngine
from globus_compute_endpoint.engines.globus_mpi import GlobusMPIEngine

from prov_worker.errors import InputError, SettingsError
from prov_worker.globus import housekeeping, service_urls
from prov_worker.globus.affinity_check import check_affinity
from prov_worker.globus.attempts import OpenTask, TaskAttempt, pass_on
from prov_worker.globus.blocks import watch_blocks
from prov_worker.globus.certificates import close_certificates
from prov_worker.globus.enginestatus import EngineStatus
from prov_worker.globus.env_settings import default_crate_dir
from prov_worker.globus.error_results import packed_ending, packed_refusal
from prov_worker.globus.remote_errors import entered_helper
from prov_worker.globus.request_handler import RequestHandler
from prov_worker.globus.runs_once import BegunTasks
from prov_worker.globus.task_options import NO_OPTIONS, take_options
from prov_worker.globus.task_resources import check_placement, check_resources
from prov_worker.recorder.provenance import provenance_mapping
from prov_worker.settings import PACKED_LOGGER, Settings
from prov_worker.spool import endings
from prov_worker.worker_settings import PACKED

if TYPE_CHECKING:
    from globus_compute_common.messagepack.message_types import Result, TaskTransition

    from prov_worker.globus.engine_journal import EngineJournal

_log = logging.getLogger(__name__)

SETTINGS_PATH = "engine.provenance"
#: How much later than its threshold a manager may see that its interchange is gone.
_GRACE_S = 30.0


class RecordingEngine(GlobusComputeEngineBase):
    """What both engines add to their stock engine.

    Args:
        args: as the stock engine takes them.
        provenance: mapping of :class:`~prov_worker.settings.Settings`; None takes every default.
        kwargs: as the stock engine takes them.

    Raises:
        SettingsError: an option that is unknown or not allowed, named by its path ``engine.provenance.<key>``; CPUs for
            more or fewer workers than there are, by ``engine.cpu_affinity``.
    """

    def __init__(self, *args: Any, provenance: dict[str, Any] | None = None, **kwargs: Any) -> None:
        self.provenance = provenance
        self._settings = Settings.from_mapping(provenance, SETTINGS_PATH)
        self._open_tasks: dict[UUID, OpenTask] = {}
        self._context: dict[str, Any] = {}
        self._recorder: Callable[..., bytes] | None = None
        self._journal: EngineJournal | None = None
        self._status: EngineStatus | None = None
        self._leftovers = False
        self._requests = RequestHandler(None, self._open_tasks.__contains__)
        self._begun: BegunTasks | None = None
        self._fallback_lock = threading.Lock()
        # Parsl numbers tasks with `+= 1`; attempts are sent again by the thread of results while others submit, and two
        # tasks of one number end that thread. The stock engine's retries have the same flaw.
        self._send_lock = threading.RLock()
        super().__init__(*args, **kwargs)
        check_affinity(self.executor)

    # -- start and end -------------------------------------------------------------------------------------------

    @property
    def crate_dir(self) -> str | None:
        """Where crates of this engine's tasks appear; None before it starts, and if nothing is recorded."""
        return self._context["settings"]["crate_dir"] if self._recorder is not None else None

    def start(self, *args: Any, endpoint_id: UUID | None = None, run_dir: str | None = None, **kwargs: Any) -> None:
        """Start the stock engine, with the crate directory made and the node's agent running.

        Raises:
            SettingsError: the crate directory cannot be made.
        """
        if self._settings.enabled:
            self._prepare(endpoint_id, run_dir)
        if run_dir is not None:
            housekeeping.end_orphans(run_dir)
            self._guard_ports(run_dir)
        watch_blocks(self.executor)
        if self._settings.capture_arguments == PACKED:
            logging.getLogger(PACKED_LOGGER).warning(
                "provenance.capture_arguments is packed: crates and journals have all functions and arguments as they "
                "were sent, and nothing can be taken out of those bytes: keep them as you keep the data themselves"
            )
        super().start(*args, endpoint_id=endpoint_id, run_dir=run_dir, **kwargs)
        if run_dir is not None:
            executor = self.executor
            self._status = EngineStatus(run_dir, executor.outstanding, executor)
            self._status.start()
        if self._recorder is not None:
            start_agent = None if self._journal is None else self._journal.ensure_agent
            housekeeping.begin(self._context["settings"]["crate_dir"], start_agent, recover=self._leftovers)

    def _guard_ports(self, run_dir: str) -> None:
        """Make sure that the interchange of another engine cannot take this one's tasks.

        Parsl takes three of 1,000 ports, and an interchange that lost its engine connects to whoever binds its ports
        next. With encryption (CurveZMQ) it has other keys.
        """
        executor = self.executor
        if not executor.encrypted:
            _log.warning(
                "engine.encrypted is false: an interchange that another endpoint left behind may connect to this one's "
                "ports and take its tasks; remedy: remove the line, true is the default"
            )
        elif executor.cert_dir is None:
            close_certificates(Path(run_dir) / executor.label / "certificates")

    def _prepare(self, endpoint_id: UUID | None, run_dir: str | None) -> None:
        """Resolve the crate directory; fix what goes with every task."""
        endpoint = None if endpoint_id is None else str(endpoint_id)
        name = os.environ.get("GLOBUS_COMPUTE_ENDPOINT_NAME") or None
        folder = Path(run_dir or "").name
        if name is None and folder.startswith("uep."):
            name = folder  # before 4.19 the folder of a user endpoint alone has its name
        settings = self._settings
        if settings.service_url is None:
            # A user endpoint has an environment of its own: `sites install` puts the address there.
            url = os.environ.get("PROV_WORKER_SERVICE_URL") or service_urls.other_web_service_url()
            settings = replace(settings, service_url=Settings.from_mapping({"service_url": url}).service_url)
        context = provenance_mapping(settings, default_crate_dir(endpoint), endpoint, name)
        values = context["settings"]
        crate_dir = values["crate_dir"]
        try:
            os.makedirs(crate_dir, mode=0o700, exist_ok=True)
        except OSError as error:
            raise SettingsError(f"{SETTINGS_PATH}.crate_dir", f"cannot make {crate_dir}: {error.strerror}") from error
        self._context = context
        try:
            from prov_worker.globus.worker import execute_task

            self._recorder = execute_task
        except Exception:
            # The endpoint is worth more than its records.
            _log.exception("tasks of this endpoint run unrecorded")
            return
        self._leftovers = housekeeping.has_leftovers(crate_dir)
        self._requests = RequestHandler(crate_dir, self._open_tasks.__contains__)
        self._begun = BegunTasks(crate_dir, endpoint_id, self.executor.heartbeat_threshold + _GRACE_S)
        try:
            from prov_worker.globus.engine_journal import EngineJournal

            self._journal = EngineJournal(Path(crate_dir), endpoint, name, values, context.get("stream"))
        except Exception:
            _log.exception("tasks whose worker is lost are known to the node's agent alone")

    def shutdown(self, /, **kwargs: Any) -> None:
        """Shut the stock engine down, then close the engine's own journal."""
        status, self._status = self._status, None
        if status is not None:
            status.stop()
        try:
            super().shutdown(**kwargs)
        finally:
            journal, self._journal = self._journal, None
            if journal is not None:
                journal.close()

    # -- one task ------------------------------------------------------------------------------------------------

    def submit(
        self,
        task_f: GCFuture,
        packed_task: bytes,
        resource_specification: dict[str, Any],
        result_serializers: list[str] | None = None,
    ) -> None:
        """Submit as the stock engine does; remembers the task until it has a result.

        What is asked of this engine alone (:mod:`prov_worker.globus.task_options`) is taken out of the specification. A
        task with options that are not allowed has an error as its result: were it raised here, the user endpoint would
        not acknowledge the task's message, and get it again.
        """
        options = NO_OPTIONS
        try:
            if resource_specification:
                resource_specification, options = take_options(resource_specification)
                if options.held is not None and self._journal is None:
                    raise InputError(f"{options.held}: cannot be held: tasks of this endpoint run unrecorded")
            if options.request is None:
                resource_specification = dict(resource_specification or {})  # which may be completed
                self._check_resources(resource_specification)
        except InputError as error:
            task_f.set_result(packed_refusal(task_f.gc_task_id, self.endpoint_id, str(error)))
            return
        if options.request is not None:
            self._requests.take(task_f, options.request)
            return
        if options.once and (earlier := self._open_tasks.get(task_f.gc_task_id)) is not None:
            assert earlier.future is not None
            earlier.future.add_done_callback(functools.partial(pass_on, waiting=task_f))
            return
        if self._recorder is not None:
            self._open_tasks[task_f.gc_task_id] = OpenTask(task_f, time.time_ns(), options)
            task_f.add_done_callback(self._forget)
        try:
            super().submit(
                task_f=task_f,
                packed_task=packed_task,
                resource_specification=resource_specification,
                result_serializers=result_serializers,
            )
        except BaseException:
            self._open_tasks.pop(task_f.gc_task_id, None)
            raise

    def _check_resources(self, resource_specification: dict[str, Any]) -> None:
        """Refuse what Parsl would: whom it raises for takes the task for lost, which may be sent again."""
        if resource_specification:
            check_resources(resource_specification, self.executor)

    def _forget(self, task_f: GCFuture) -> None:
        self._open_tasks.pop(task_f.gc_task_id, None)

    def _submit(
        self,
        resource_specification: dict[str, Any],
        func: Callable[..., bytes],
        packed_task: bytes,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> GCExecutorFuture:
        """Send one attempt at a task, with the recording helper in the place of the stock one.

        Returns a future that ends as the executor's own does. Only if the worker's environment lacks this package,
        so that the task cannot have begun, the attempt is sent again with the stock helper.
        """
        recorder = self._recorder
        if recorder is None or not args:
            with self._send_lock:
                return super()._submit(resource_specification, func, packed_task, args=args, kwargs=kwargs)
        task = self._open_tasks.get(args[0]) or OpenTask(None, time.time_ns())
        task.attempt += 1
        # As bytes: Parsl serialises arguments with dill, in Python, which takes 15 us for a nested mapping.
        provenance = pickle.dumps(
            {**self._context, "attempt": task.attempt, "function_id": task.function_id, **task.options.sent}
        )
        recorded = {**(kwargs or {}), "provenance": provenance}
        with self._send_lock:
            sent = super()._submit(resource_specification, recorder, packed_task, args=args, kwargs=recorded)
        attempt = TaskAttempt(self, task, task.attempt, (resource_specification, func, packed_task, args, kwargs))
        attempt.settled.executor_task_id = sent.executor_task_id
        sent.add_done_callback(attempt)
        return attempt.settled

    def _resend_unrecorded(self, attempt: TaskAttempt, sent: Any, error: BaseException) -> None:
        """Send an attempt again as the stock engine would have sent it."""
        self._disable_recording(error)
        held = attempt.task.options.held
        if held is not None:
            text = f"{held}: cannot be held: prov_worker cannot be used in the workers' environment"
            attempt.settled.set_result(packed_refusal(attempt.stock[3][0], self.endpoint_id, text))
            return
        resource_specification, func, packed_task, args, kwargs = attempt.stock
        with self._send_lock:
            again = super()._submit(resource_specification, func, packed_task, args=args, kwargs=kwargs)
        if attempt.task.future is not None:
            self._task_id_map.pop(sent.executor_task_id, None)
            attempt.task.future.executor_task_id = again.executor_task_id
        again.add_done_callback(functools.partial(pass_on, waiting=attempt.settled))

    def _begun_before(self, attempt: TaskAttempt) -> None:
        """Answer an attempt whose task has begun before: by what came of it then."""
        assert self._begun is not None
        # What this engine has sent before, it would not send again but for a worker that is gone.
        self._begun.take(attempt.stock[3][0], attempt.settled.set_result, is_over=attempt.number > 1)

    def _disable_recording(self, error: BaseException) -> None:
        """Send what the stock engine sends, from now on; say so once."""
        with self._fallback_lock:
            if self._recorder is None:
                return
            self._recorder = None
        _log.warning(
            "prov_worker cannot be used in the workers' environment (%s: %s): tasks of this endpoint run unrecorded "
            "from now on. Remedy: install the endpoint's version of prov-worker in the environment that `worker_init` "
            "activates, then restart the endpoint.",
            type(error).__name__,
            error,
        )

    def _handle_task_exception(
        self, task_id: UUID, execution_begin: TaskTransition, exception_history: list[BaseException]
    ) -> Result:
        """Make the stock result for a task that no worker answered; record why, unless the attempt did already."""
        result = super()._handle_task_exception(
            task_id=task_id, execution_begin=execution_begin, exception_history=exception_history
        )
        task = self._open_tasks.get(task_id)
        if task is not None and task.reported < max(task.attempt, 1) and not entered_helper(exception_history[-1]):
            self._lost(task_id, task, max(task.attempt, 1), exception_history)
        return result

    def _lost(self, task_id: UUID, task: OpenTask, attempt: int, failures: list[BaseException]) -> bytes | None:
        """Record that an attempt has no worker; returns the result of one whose worker was ended on purpose."""
        task.reported = attempt
        journal = self._journal
        if journal is None:
            return None
        try:
            crate_dir = self._context["settings"]["crate_dir"]
            ending = endings.ending_of(crate_dir, str(task_id), attempt, task.submitted_ns)
            reason = None if ending is None else ending.text
            journal.lost(str(task_id), attempt, task.function_id, task.submitted_ns, failures, reason)
            return None if ending is None else packed_ending(task_id, self.endpoint_id, ending)
        except Exception:
            # The journal does not raise; were it to, the executor's thread would die with every later result.
            _log.exception("the loss of task %s is not recorded", task_id)
            return None


class ProvenanceEngine(RecordingEngine, GlobusComputeEngine):
    """``GlobusComputeEngine`` whose tasks each leave a crate; see :class:`RecordingEngine` for ``provenance``."""


class ProvenanceMPIEngine(RecordingEngine, GlobusMPIEngine):
    """``GlobusMPIEngine`` whose tasks each leave a crate; see :class:`RecordingEngine` for ``provenance``.

    Args:
        args: as the stock engine takes them.
        max_ranks_per_node: ranks that a task may have on each of its nodes; None: any number.
        kwargs: as the stock engine takes them, and ``provenance``.

    Raises:
        SettingsError: as of :class:`RecordingEngine`, or the number is none.
    """

    def __init__(self, *args: Any, max_ranks_per_node: int | None = None, **kwargs: Any) -> None:
        number = max_ranks_per_node
        if number is not None and (isinstance(number, bool) or not isinstance(number, int) or number < 1):
            raise SettingsError("engine.max_ranks_per_node", f"{number!r}: is not a number of 1 or more")
        self.max_ranks_per_node = number
        super().__init__(*args, **kwargs)

    def _check_resources(self, resource_specification: dict[str, Any]) -> None:
        block_nodes = getattr(self.executor.provider, "nodes_per_block", 1)
        check_placement(resource_specification, block_nodes, self.max_ranks_per_node)
        super()._check_resources(resource_specification)
