"""Parts that die and come back: no task and no crate is lost."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from support.programs import Programs

if TYPE_CHECKING:
    from service_stack import Stack

pytestmark = [
    pytest.mark.slow,
    pytest.mark.faults,
    pytest.mark.timeout(900),
    # One stack for all of them but the last two: whatever a test takes away, it brings back.
    pytest.mark.xdist_group("service-faults"),
]
LIMIT_S = 180
TASKS = 24
#: Takes long enough for a fault to come between; says who ran it.
SOURCE = "def work(number, seconds):\n    import time\n    time.sleep(seconds)\n    return number\n"


class Load:
    """Tasks under way, and what must be true of them in the end."""

    def __init__(self, stack: Stack, options: dict[str, Any] | None = None) -> None:
        from globus_compute_sdk import Client

        assert stack.daemon is not None
        self.daemon = stack.daemon
        self.options = {"engine": "ProvenanceEngine", **(options or {})}
        self.client = Client()
        self.function = self.client.register_source_code(SOURCE, "work")
        self.expected: dict[str, int] = {}

    def submit(self, count: int = TASKS, seconds: float = 0.5) -> None:
        batch = self.client.create_batch(user_endpoint_config=self.options)
        numbers = range(len(self.expected), len(self.expected) + count)
        for number in numbers:
            batch.add(self.function, (number, seconds))
        tasks = self.client.batch_run(self.daemon.id, batch)["tasks"]
        self.expected.update(zip(tasks[self.function], numbers, strict=True))

    def worker(self) -> int:
        """Process id of one of the workers, as a task tells it."""
        function = self.client.register_source_code("def who():\n    import os\n    return os.getpid()\n", "who")
        batch = self.client.create_batch(user_endpoint_config=self.options)
        batch.add(function)
        (task,) = self.client.batch_run(self.daemon.id, batch)["tasks"][function]
        deadline = time.monotonic() + LIMIT_S
        while (document := self.client.get_task(task))["pending"]:
            assert time.monotonic() < deadline, self.daemon.log
            time.sleep(0.1)
        return int(document["result"])

    def wait_until_some_are_done(self, some: int = 3) -> None:
        deadline = time.monotonic() + LIMIT_S
        while len(self.done()) < some:
            assert time.monotonic() < deadline, self.daemon.log
            time.sleep(0.1)

    def done(self) -> dict[str, Any]:
        try:
            results = self.client.get_batch_result(list(self.expected))
        except Exception:
            # The service may be away just now.
            return {}
        return {task: each for task, each in results.items() if not each["pending"]}

    def check(self) -> None:
        """Every task has its result, and left a crate."""
        deadline = time.monotonic() + LIMIT_S
        while len(done := self.done()) < len(self.expected):
            assert time.monotonic() < deadline, f"lost: {set(self.expected) - set(done)}\n{self.daemon.log}"
            time.sleep(0.5)
        assert {task: each["result"] for task, each in done.items()} == self.expected
        while missing := {task for task in self.expected if not self.crate(task)}:
            assert time.monotonic() < deadline, f"no crate: {missing}"
            time.sleep(0.5)

    def crate(self, task: str) -> bool:
        metadata = self.daemon.crates / f"{task}.crate" / "ro-crate-metadata.json"
        return metadata.exists() and "CompletedActionStatus" in metadata.read_text()


@pytest.fixture
def load(stack: Stack) -> Load:
    load = Load(stack)
    load.submit()
    load.wait_until_some_are_done()
    return load


#: Being killed loses more; what is asked to stop is for `make test-long`.
by_signal = pytest.mark.parametrize(
    "how",
    [pytest.param(signal.SIGTERM, id="stopped", marks=pytest.mark.long), pytest.param(signal.SIGKILL, id="killed")],
)


@by_signal
def test_broker_restart(stack: Stack, load: Load, how: int) -> None:
    stack.broker.stop(how)
    time.sleep(1)
    assert stack.service.health()["status"] == "degraded"
    stack.broker.start()
    load.check()


@by_signal
def test_service_restart(stack: Stack, load: Load, how: int) -> None:
    stack.service.stop(how)
    time.sleep(1)
    stack.service.start()
    load.submit(4)
    load.check()


def test_user_endpoint_killed(stack: Stack, load: Load) -> None:
    before = stack.service.metric("prov_service_tasks_redelivered_total")
    for user_endpoint in load.daemon.user_endpoints():
        load.daemon.kill(user_endpoint)
    load.check()
    assert stack.service.metric("prov_service_tasks_redelivered_total") > before


def test_daemon_killed_and_started_again(stack: Stack, load: Load) -> None:
    before = load.daemon.id
    load.daemon.kill()
    load.submit(4)
    load.daemon.start()
    assert load.daemon.id == before
    load.check()


@pytest.mark.long  # being killed, above, loses more
def test_daemon_stopped_and_started_again(stack: Stack, load: Load) -> None:
    load.daemon.stop()
    load.daemon.start()
    load.check()


def test_worker_killed(stack: Stack) -> None:
    """The engine runs the task of a lost worker again, as its template tells it to."""
    load = Load(stack, {"retries": 2})
    worker = load.worker()
    load.submit(seconds=1.0)
    load.wait_until_some_are_done()
    os.kill(worker, signal.SIGKILL)
    load.check()


@pytest.mark.long  # each part by itself is above
def test_everything_at_once(stack: Stack, load: Load) -> None:
    """Power cut: all parts gone, then started in the order in which a machine might."""
    stack.service.stop(signal.SIGKILL)
    stack.broker.stop(signal.SIGKILL)
    load.daemon.stop()
    stack.service.start(wait_for="degraded")
    stack.broker.start()
    load.daemon.start()
    load.check()


def test_executor_survives_a_service_and_a_broker_restart(
    stack: Stack, wait_for: Callable[..., None], programs: Programs, tmp_path: Path
) -> None:
    """Results reach a waiting SDK program, each once, although both went away while it waited."""
    assert stack.daemon is not None
    script = tmp_path / "script.py"
    script.write_text(
        "import json, sys\n"
        "from globus_compute_sdk import Executor\n"
        "def work(number, seconds):\n    import time\n    time.sleep(seconds)\n    return number\n"
        "with Executor(endpoint_id=sys.argv[1]) as executor:\n"
        "    futures = [executor.submit(work, n, 0.5) for n in range(24)]\n"
        "    print('first', futures[0].result(180), flush=True)\n"
        "    print(json.dumps([each.result(300) for each in futures]))\n"
    )
    program = programs.start(
        [sys.executable, str(script), stack.daemon.id], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert program.stdout is not None
    assert program.stdout.readline().strip() == "first 0"
    stack.broker.stop(signal.SIGKILL)
    stack.service.stop(signal.SIGKILL)
    # Both at once: the SDK gives up after five attempts, some ten seconds, and a broker takes most of that to start.
    broker = threading.Thread(target=stack.broker.start)
    broker.start()
    stack.service.start()
    broker.join()
    out, errors = program.communicate(timeout=LIMIT_S)
    assert program.returncode == 0, errors[-3000:]
    assert json.loads(out) == list(range(24))


@pytest.mark.long
def test_network_cut_between_endpoint_and_broker(tmp_path: Path, wait_for: Callable[..., None]) -> None:
    """The endpoint's way to the broker goes and comes back, while the service keeps its own."""
    from rabbitmq import free_port
    from service_stack import running
    from tcp_proxy import Proxy

    port = free_port()
    with running(tmp_path / "stack", "--amqp-advertise", f"amqp://127.0.0.1:{port}/%2F") as stack:
        proxy = Proxy(stack.broker.port, port)
        try:
            load = Load(stack)
            load.submit()
            load.wait_until_some_are_done()
            assert proxy.connections > 0
            proxy.cut()
            wait_for(lambda: proxy.connections == 0, "the cut")
            time.sleep(5)
            assert stack.service.health()["status"] == "ok"
            load.submit(4)
            proxy.repair()
            load.check()
        finally:
            proxy.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder that holds two megabytes."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m,mode=0700", "none", str(folder)]
    if os.getuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small disk needs root and the right to mount")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.long  # with a stack of its own; tests/containers/stack/test_faults.py shows it too
def test_full_disk_under_the_crates(tmp_path: Path, small_disk: Path) -> None:
    """Results come all the same; crates are written when there is room again."""
    from service_stack import running

    with running(tmp_path / "stack", crates=small_disk) as stack:
        in_the_way = small_disk / "in-the-way"
        with in_the_way.open("wb") as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(65_536))
                file.flush()
        load = Load(stack)
        load.submit(12, seconds=0.2)
        deadline = time.monotonic() + LIMIT_S
        while len(load.done()) < 12:
            assert time.monotonic() < deadline, load.daemon.log
            time.sleep(0.2)
        assert not list(small_disk.glob("*.crate"))
        in_the_way.unlink()
        load.check()
