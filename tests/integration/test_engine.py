"""The engines with real interchanges and workers, and what they do to a task: nothing."""

from __future__ import annotations

import inspect
import logging
import os
import pickle
import stat
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import functions
import pytest
from parsl import curvezmq
from parsl.executors.high_throughput.interchange import Interchange

from prov_worker.errors import InputError, SettingsError
from prov_worker.globus.embedded import EmbeddedEndpoint, TaskFailedError, TaskFuture
from support import calls

STOCK = "globus_compute_endpoint.engines.helper"
OURS = "prov_worker.globus.worker"
LIMIT_S = 180


def message(future: TaskFuture) -> dict[str, Any]:
    """The published message without what differs from run to run: ids and times."""
    from globus_compute_common import messagepack

    assert future.packed_result is not None
    result = messagepack.unpack(future.packed_result)
    assert result.task_id == future.task_id
    assert len(result.task_statuses) == 2
    details = dict(result.details)
    assert details.pop("endpoint_id") is not None
    return {"data": result.data, "error": result.error_details, "details": details}


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedEndpoint]:
    crates = tmp_path_factory.mktemp("shared") / "crates"
    with EmbeddedEndpoint(workers=2, provenance={"crate_dir": str(crates)}, heartbeat_period_s=1) as started:
        yield started


@pytest.fixture(scope="module")
def stock() -> Iterator[EmbeddedEndpoint]:
    with EmbeddedEndpoint(engine="GlobusComputeEngine", workers=1) as started:
        yield started


def test_tasks_go_through_the_recording_helper_and_the_stock_one(endpoint: EmbeddedEndpoint) -> None:
    modules, wrapped = endpoint.submit(functions.helper_in_use).result(LIMIT_S)
    assert modules == f"{STOCK},{OURS}"
    assert wrapped is False


@pytest.mark.parametrize("args", [(1, 2), ("a", "ü\n"), ([1], [2.5]), (b"\x00", b"\xff")])
def test_results_are_those_of_the_stock_engine(
    endpoint: EmbeddedEndpoint, stock: EmbeddedEndpoint, args: tuple[Any, Any]
) -> None:
    recorded, plain = endpoint.submit(functions.add, *args), stock.submit(functions.add, *args)
    assert recorded.result(LIMIT_S) == plain.result(LIMIT_S) == args[0] + args[1]
    assert message(recorded) == message(plain)


def test_failures_are_those_of_the_stock_engine(endpoint: EmbeddedEndpoint, stock: EmbeddedEndpoint) -> None:
    recorded, plain = endpoint.submit(functions.refuse, "no"), stock.submit(functions.refuse, "no")
    with pytest.raises(TaskFailedError, match="ValueError: no"):
        recorded.result(LIMIT_S)
    with pytest.raises(TaskFailedError, match="ValueError: no"):
        plain.result(LIMIT_S)
    assert message(recorded) == message(plain)


def test_map_keeps_the_order_and_the_engine_forgets_what_is_done(
    endpoint: EmbeddedEndpoint, wait_for: Callable[..., None]
) -> None:
    futures = endpoint.map(functions.add, range(20), range(20))
    assert [future.result(LIMIT_S) for future in futures] == [2 * number for number in range(20)]
    wait_for(lambda: not endpoint.engine._open_tasks, "no task is open")
    assert not endpoint.engine._task_id_map


def test_the_engine_shows_its_options(endpoint: EmbeddedEndpoint) -> None:
    assert "provenance={'crate_dir'" in repr(endpoint.engine)


def stray_interchange(endpoint: EmbeddedEndpoint, directory: Path) -> subprocess.Popen[bytes]:
    """Another endpoint's interchange, which connects to the ports that this endpoint has bound."""
    executor = endpoint.engine.executor
    settings = {
        "client_address": "127.0.0.1",
        "client_ports": (executor.outgoing_q.port, executor.incoming_q.port, executor.command_client.port),
        "interchange_address": "127.0.0.1",
        "worker_port": None,
        "worker_port_range": executor.worker_port_range,
        "hub_address": "127.0.0.1",
        "hub_zmq_port": None,
        "logdir": str(directory),
        "heartbeat_threshold": 120,
        "poll_period": 10,
        "logging_level": logging.INFO,
        "cert_dir": curvezmq.create_certificates(directory),
        "manager_selector": executor.manager_selector,
        "run_id": None,
        "log_config": None,
        "_check_python_mismatch": False,
    }
    if not executor.encrypted:
        settings["cert_dir"] = None
    # Releases differ in what they take.
    taken = inspect.signature(Interchange.__init__).parameters
    process = subprocess.Popen([sys.executable, "-m", Interchange.__module__], stdin=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write(pickle.dumps({key: value for key, value in settings.items() if key in taken}))
    process.stdin.close()
    return process


@pytest.mark.faults
@pytest.mark.parametrize("encrypted", [None, False], ids=["default", "encrypted: false"])
def test_an_interchange_of_another_endpoint_gets_no_task(
    tmp_path: Path,
    crates: Path,
    encrypted: bool | None,
    wait_for: Callable[..., None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    options = {} if encrypted is None else {"encrypted": encrypted}
    with (
        caplog.at_level(logging.WARNING, logger="prov_worker"),
        EmbeddedEndpoint(workers=1, provenance={"crate_dir": str(crates)}, engine_options=options) as endpoint,
    ):
        assert endpoint.submit(functions.add, 1, 2).result(LIMIT_S) == 3
        stray = stray_interchange(endpoint, tmp_path)
        try:
            log = tmp_path / "interchange.log"
            wait_for(lambda: log.exists() and "Starting main interchange" in log.read_text(), "the other interchange")
            assert f"on ports: {endpoint.engine.executor.outgoing_q.port}," in log.read_text()
            futures = endpoint.map(functions.add, range(40), range(40))
            if encrypted is None:
                assert [future.result(LIMIT_S) for future in futures] == [2 * number for number in range(40)]
            else:  # tasks go to both in turn; those that this endpoint's own interchange got are done in order
                wait_for(lambda: futures[-1].done() or futures[-2].done(), "the tasks that are answered")
                assert 0 < sum(not future.done() for future in futures) < 40
        finally:
            stray.kill()
            stray.wait()
    assert any("engine.encrypted is false" in message for message in caplog.messages) is (encrypted is False)


def test_certificates_are_closed_to_others_in_any_folder(tmp_path: Path, crates: Path) -> None:
    run_dir = tmp_path / "run"
    for _ in range(2):  # the second start finds the first one's, opened to others
        with EmbeddedEndpoint(workers=1, run_dir=run_dir, provenance={"crate_dir": str(crates)}) as endpoint:
            assert endpoint.submit(functions.add, 1, 2).result(LIMIT_S) == 3
            certificates = Path(endpoint.engine.executor.cert_dir)
            assert certificates.is_relative_to(run_dir)
            assert stat.S_IMODE(certificates.stat().st_mode) == 0o700
        certificates.chmod(0o755)


@pytest.mark.faults
def test_a_killed_worker_is_told_as_stock_tells_it(endpoint: EmbeddedEndpoint, wait_for: Callable[..., None]) -> None:
    with pytest.raises(TaskFailedError, match="WorkerLost"):
        endpoint.submit(functions.die).result(LIMIT_S)
    assert endpoint.submit(functions.add, 1, 1).result(LIMIT_S) == 2
    wait_for(lambda: not endpoint.engine._open_tasks, "no task is open")


@pytest.mark.faults
def test_a_retry_is_the_second_attempt(tmp_path: Path, crates: Path) -> None:
    seen = []
    with EmbeddedEndpoint(
        workers=1, provenance={"crate_dir": str(crates)}, max_retries=1, heartbeat_period_s=1
    ) as endpoint:
        submit_payload = endpoint.engine.executor.submit_payload

        def watch(context: dict[str, Any], buffer: bytes) -> Any:
            seen.append(context["task_executor"])
            return submit_payload(context, buffer)

        endpoint.engine.executor.submit_payload = watch
        future = endpoint.submit_as(
            uuid.uuid4(), calls.die_once, (str(tmp_path / "marker"),), function_id=uuid.UUID(int=7)
        )
        assert future.result(LIMIT_S) == "second attempt"
    assert [sent["f"] for sent in seen] == [f"{OURS}.execute_task"] * 2
    sent = [pickle.loads(message["k"]["provenance"]) for message in seen]
    assert [metadata["attempt"] for metadata in sent] == [1, 2]
    assert {metadata["function_id"] for metadata in sent} == {str(uuid.UUID(int=7))}
    assert {metadata["settings"]["crate_dir"] for metadata in sent} == {str(crates)}
    assert len({metadata["key"] for metadata in sent}) == 1


@pytest.mark.parametrize("engine", ["ThreadPoolEngine", "ProcessPoolEngine"])
def test_other_engines_run_embedded_too(engine: str) -> None:
    before = os.getcwd()
    with EmbeddedEndpoint(engine=engine, workers=1) as endpoint:
        assert endpoint.submit(functions.add, 1, 2).result(LIMIT_S) == 3
    assert os.getcwd() == before


@pytest.mark.parametrize(
    "provenance, key",
    [
        ({"poll_intervall": 1}, "engine.provenance.poll_intervall"),
        ({"poll_interval": "fast"}, "engine.provenance.poll_interval"),
        ({"crate_dir": 5}, "engine.provenance.crate_dir"),
        ({"crate_dir": "a\nb"}, "engine.provenance.crate_dir"),
    ],
)
def test_a_wrong_option_is_refused_with_its_path(provenance: dict[str, Any], key: str) -> None:
    endpoint = EmbeddedEndpoint(provenance=provenance)
    with pytest.raises(InputError, match=f"^{key}: "):
        endpoint.start()


def test_an_unknown_engine_is_refused_with_the_names_that_there_are() -> None:
    with pytest.raises(InputError, match="ProvenanceMPIEngine"):
        EmbeddedEndpoint(engine="NoSuchEngine").start()


def test_a_crate_directory_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    endpoint = EmbeddedEndpoint(provenance={"crate_dir": str(tmp_path / "file" / "crates")})
    path = os.environ["PATH"]
    with pytest.raises(SettingsError, match=r"^engine\.provenance\.crate_dir: cannot make .*crates"):
        endpoint.start()
    endpoint.shutdown()
    assert os.environ["PATH"] == path
