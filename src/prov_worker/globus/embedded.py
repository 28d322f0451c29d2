"""A whole endpoint inside this process: a real engine, a real interchange and real workers; no account and no broker.

What a user endpoint does with tasks from the web service, done with functions of this process: the engine is built by
name from YAML, as from a template, and tasks travel as packed messages. For the demo, for tests and for benchmarks.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from prov_worker.errors import InputError, MissingExtraError, ProvWorkerError, SettingsError

if TYPE_CHECKING:
    from click import ClickException

    from prov_worker.globus.last_crates import LastCrates

#: Engines that run on Parsl's executor, with an interchange, a pool and workers as processes.
HTEX_ENGINES = ("ProvenanceEngine", "ProvenanceMPIEngine", "GlobusComputeEngine", "GlobusMPIEngine")


class TaskFailedError(ProvWorkerError):
    """A task without a result. The message is the text that a client of the service would get."""


class TaskFuture(Future[Any]):
    """The unpacked result of one task.

    Attributes:
        task_id: UUID of the task.
        packed_result: bytes of the message that a user endpoint would publish; set before the future is done.
    """

    def __init__(self, task_id: uuid.UUID) -> None:
        super().__init__()
        self.task_id = task_id
        self.packed_result: bytes | None = None


class EmbeddedEndpoint:
    """Context manager around an engine on this machine.

    Args:
        engine: name of the engine, as in a template.
        workers: number of workers.
        provenance: the engine's ``provenance`` mapping; only for engines that take one. Its ``crate_dir`` may be
            relative to the directory of this process.
        max_retries: ``max_retries_on_system_failure``.
        run_dir: folder for logs and working files; None takes a temporary one, removed at the end, when the crates are
            written.
        heartbeat_period_s: how often a manager and the interchange report; a killed worker is noticed after at most
            this time.
        heartbeat_threshold_s: silence after which a manager is taken for lost; None takes three periods.
        run_in_sandbox: each task in a folder of its own.
        worker_init: shell commands before the workers start.
        engine_options: more options for the engine, over those made here.
        serializer: a ``ComputeSerializer`` for functions and arguments, as the SDK's ``Executor`` takes one.
        template: YAML of a user endpoint, as :func:`prov_worker.globus.template.render` gives it: its engine is
            made, and of the arguments above only ``run_dir`` and ``serializer`` are taken.

    Raises:
        SettingsError: an option of ``provenance``, named by its path ``engine.provenance.<key>``.
        InputError: the engine cannot be built; the message is Globus Compute's, or that it is not installed.
    """

    def __init__(
        self,
        *,
        engine: str = "ProvenanceEngine",
        workers: int = 2,
        provenance: Mapping[str, Any] | None = None,
        max_retries: int = 0,
        run_dir: str | os.PathLike[str] | None = None,
        heartbeat_period_s: int = 2,
        heartbeat_threshold_s: int | None = None,
        run_in_sandbox: bool = False,
        worker_init: str = "",
        engine_options: Mapping[str, Any] | None = None,
        serializer: Any = None,
        template: str | None = None,
    ) -> None:
        options: dict[str, Any] = {"type": engine, "max_retries_on_system_failure": max_retries}
        if engine in HTEX_ENGINES:
            threshold_s = heartbeat_threshold_s or 3 * heartbeat_period_s
            options |= {
                "address": "127.0.0.1",
                "encrypted": True,
                "heartbeat_period": heartbeat_period_s,
                "heartbeat_threshold": threshold_s,
                "job_status_kwargs": {"max_idletime": 0, "strategy_period": 0.5},
                "run_in_sandbox": run_in_sandbox,
                "provider": {
                    "type": "LocalProvider",
                    "init_blocks": 1,
                    "min_blocks": 1,
                    "max_blocks": 1,
                    "worker_init": worker_init,
                },
            }
            workers_option = "max_workers_per_block" if "MPI" in engine else "max_workers_per_node"
            options[workers_option] = workers
        else:
            # These hand every option on to the executor of the standard library, which takes no other.
            del options["max_retries_on_system_failure"]
            options["max_workers"] = workers
        if provenance is not None:
            values = dict(provenance) if isinstance(provenance, Mapping) else provenance
            crate_dir = values.get("crate_dir") if isinstance(values, dict) else None
            if crate_dir and isinstance(crate_dir, str | os.PathLike):  # workers have other current directories
                values["crate_dir"] = os.path.abspath(os.path.expanduser(os.fspath(crate_dir)))
            options["provenance"] = values
        self._options = options | dict(engine_options or {})
        self._run_dir = run_dir
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._path: str | None = None
        self._cwd = ""
        self._serializer = serializer
        self._template = template
        self.endpoint_id = uuid.uuid4()
        self.engine: Any = None
        self._crates: LastCrates | None = None

    def __enter__(self) -> EmbeddedEndpoint:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.shutdown()

    def start(self) -> None:
        """Build the engine and start it. Workers come up in the background, within seconds.

        Raises:
            SettingsError, InputError: as of the class.
        """
        try:
            import yaml
            from globus_compute_endpoint.endpoint.config.utils import load_config_yaml
            from globus_compute_sdk.serialize import ComputeSerializer
        except ImportError as error:
            raise MissingExtraError("an endpoint needs globus-compute-endpoint", "endpoint", error) from error
        from click import ClickException

        import prov_worker.globus.register  # noqa: F401

        self._serializer = self._serializer or ComputeSerializer()
        try:
            config = load_config_yaml(self._template or yaml.safe_dump({"engine": self._options}))
        except ClickException as error:
            raise _plain_error(error) from None
        self.engine = getattr(config, "engine")  # noqa: B009
        if self._run_dir is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="prov-worker-endpoint-", ignore_cleanup_errors=True)
            self._run_dir = self._temporary.name
        run_dir = Path(self._run_dir).absolute()
        run_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._path = os.environ.get("PATH", "")
        self._cwd = os.getcwd()  # the stock helper changes it; in engines with threads that is this process's
        # The engine starts its interchange and its pool by the name of this environment's program.
        os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), self._path])
        try:
            self.engine.start(endpoint_id=self.endpoint_id, run_dir=str(run_dir))
        except BaseException:
            # Also for Ctrl-C: an interchange that has been started would outlive this process.
            self._abandon()
            raise
        crate_dir = getattr(self.engine, "crate_dir", None)
        if self._temporary is not None and crate_dir is not None:
            from prov_worker.globus.last_crates import LastCrates

            self._crates = LastCrates(crate_dir)

    def _abandon(self) -> None:
        """Stop what a failed start has started; its own error is the one that tells."""
        engine, self.engine = self.engine, None
        try:
            engine.shutdown(block=False)
        except Exception:
            logging.getLogger(__name__).debug("the engine was not up enough to be shut down", exc_info=True)
        finally:
            self._clean_up()

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> TaskFuture:
        """Send a call to a worker.

        Returns:
            A future with the function's value. It raises :class:`TaskFailedError` with the worker's traceback if the
            function raised, or with the engine's account if the worker was lost.
        """
        return self.submit_as(uuid.uuid4(), function, args, kwargs)

    def submit_as(
        self,
        task_id: uuid.UUID,
        function: Callable[..., Any],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        function_id: uuid.UUID | None = None,
        resource_specification: Mapping[str, Any] | None = None,
    ) -> TaskFuture:
        """Send a call under a task id of the caller's choice; MPI engines want a resource specification."""
        serialize = self._serializer.serialize
        buffer = self._serializer.pack_buffers([serialize(function), serialize(args), serialize(dict(kwargs or {}))])
        return self.submit_buffer(
            task_id, buffer, function_id=function_id, resource_specification=resource_specification
        )

    def submit_buffer(
        self,
        task_id: uuid.UUID,
        buffer: str,
        *,
        function_id: uuid.UUID | None = None,
        resource_specification: Mapping[str, Any] | None = None,
    ) -> TaskFuture:
        """Send a task as the web service would: function and arguments packed already."""
        from globus_compute_common import messagepack
        from globus_compute_common.messagepack.message_types import Task
        from globus_compute_endpoint.engines import GCFuture

        future = TaskFuture(task_id)
        future.set_running_or_notify_cancel()
        engine_future = GCFuture(task_id, function_id=function_id)
        engine_future.add_done_callback(lambda done: self._resolve(done, future))
        packed = messagepack.pack(Task(task_id=task_id, task_buffer=buffer))
        self.engine.submit(
            task_f=engine_future, packed_task=packed, resource_specification=dict(resource_specification or {})
        )
        return future

    def map(self, function: Callable[..., Any], /, *iterables: Iterable[Any]) -> list[TaskFuture]:
        """Send one call for each tuple of arguments, as :func:`map` pairs them. Returns the futures in order."""
        return [self.submit(function, *args) for args in zip(*iterables)]  # noqa: B905

    def _resolve(self, done: Future[bytes], future: TaskFuture) -> None:
        from globus_compute_common import messagepack

        try:
            future.packed_result = done.result()
            result = messagepack.unpack(future.packed_result)
            if result.is_error:
                future.set_exception(TaskFailedError(result.data))
            else:
                future.set_result(self._serializer.deserialize(result.data))
        except Exception as error:
            future.set_exception(error)

    def shutdown(self) -> None:
        """Stop the workers and the engine; a second call does nothing.

        With a temporary ``run_dir``, crates are complete afterwards, unless the agent takes longer than
        :data:`prov_worker.globus.last_crates.LIMIT_S`.
        """
        engine, self.engine = self.engine, None
        crates, self._crates = self._crates, None
        try:
            if engine is not None:
                workers = _children() if crates is not None else set()
                engine.shutdown(block=True)
                if crates is not None:
                    crates.wait(workers)  # the agent still reads what tasks left in the temporary directory
        finally:
            self._clean_up()

    def _clean_up(self) -> None:
        if self._path is not None:
            os.environ["PATH"], self._path = self._path, None
            os.chdir(self._cwd)
        if self._temporary is not None:
            self._temporary.cleanup()
            self._temporary = self._run_dir = None


def _plain_error(error: ClickException) -> InputError:
    """Return what is wrong with a configuration: the settings' own error if that is behind it, else what it says."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, SettingsError):
            return SettingsError(cause.key, cause.problem)
        cause = cause.__cause__ or cause.__context__
    return InputError(error.message)


def _children() -> set[int]:
    """Return ids of the processes that this one has started, and of theirs."""
    import psutil

    return {child.pid for child in psutil.Process().children(recursive=True)}
