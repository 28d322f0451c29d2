"""FlowCept 1.0.3 online, as its sample settings have it: Redis as queue, LMDB as database, buffers of 5 s and 50."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.harness import Bench, BenchmarkError, fresh, median, quantile, quartiles
from benchmarks.peers import environment_of
from benchmarks.peers.decorated import differences
from benchmarks.rows import Row

#: pandas is what its extras leave out.
REQUIREMENTS = ("flowcept[lmdb,redis,telemetry]==1.0.3", "pandas")
RATE_HZ, KILLED_TASKS = 50.0, 120
_SETTLE_S = 20.0
_TASKS = b"tasks"


def run(bench: Bench) -> list[Row]:
    """Rows for a no-op, for how soon its database has a task, and for what a killed worker loses."""
    if shutil.which("redis-server") is None:
        raise BenchmarkError("redis-server is not installed")
    python = environment_of(bench, "flowcept-online-1.0.3", REQUIREMENTS)
    with tempfile.TemporaryDirectory(dir=bench.disk) as directory:
        queue, port = _queue(Path(directory))
        arguments = {"directory": directory, "port": port}
        try:
            bench.say("FlowCept online: added to a no-op")
            added = fresh(f"{__name__}:pairs", python=python, count=bench.pick(2000, 100), **arguments)
            bench.say(f"FlowCept online: {RATE_HZ:g} tasks a second")
            delays = fresh(f"{__name__}:delays", python=python, seconds=bench.pick(60.0, 12.0), **arguments)
            bench.say("FlowCept online: a worker is killed")
            kept = [fresh(f"{__name__}:killed", python=python, **arguments) for _ in range(bench.pick(2, 1))]
        finally:
            queue.kill()
            queue.wait()
    lost = [KILLED_TASKS - count for count in kept]
    return [
        Row("FlowCept 1.0.3 online: added to a no-op, p50", median(added), "µs", None, None, len(added),
            **quartiles(added), note="CPU and memory telemetry, Redis and LMDB; in the path of the task"),
        Row("FlowCept 1.0.3 online: visible in LMDB after the end, p99", quantile(delays, 0.99), "s", None, None,
            len(delays), note=f"p50 {median(delays):.2f} s, largest {max(delays):.2f} s; its default buffers"),
        Row("FlowCept 1.0.3 online: finished tasks lost with a killed worker", median(lost), "tasks", None, None,
            KILLED_TASKS, note=f"of {KILLED_TASKS} each time: {', '.join(map(str, lost))}; the consumer lives on"),
    ]  # fmt: skip


def _queue(directory: Path) -> tuple[subprocess.Popen[bytes], int]:
    from support.event_servers import free_port

    port = free_port()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(directory)]
    queue = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    time.sleep(1.0)
    return queue, port


# -- in processes of FlowCept's environment --------------------------------------------------------------------------


def _configure(directory: str, port: int) -> Path:
    """Write its own sample settings, online; return the path of the database."""
    import resources  # FlowCept's
    import yaml

    sample = Path(str(resources.__path__[0])) / "sample_settings.yaml"
    settings: dict[str, Any] = yaml.safe_load(sample.read_text())
    folder = Path(tempfile.mkdtemp(dir=directory))
    os.chdir(folder)
    settings["project"]["db_flush_mode"] = "online"
    settings["log"] |= {"log_file_level": "disable", "log_stream_level": "disable"}
    for key in ("mq", "kv_db"):
        settings[key] |= {"enabled": True, "host": "127.0.0.1", "port": port}
    settings["databases"] = {"lmdb": {"enabled": True, "path": str(folder / "lmdb")}}
    settings["telemetry_capture"] |= {"cpu": True, "mem": True}
    (folder / "settings.yaml").write_text(yaml.safe_dump(settings))
    os.environ["FLOWCEPT_SETTINGS_PATH"] = str(folder / "settings.yaml")
    return folder / "lmdb"


def _task(number: int) -> dict[str, int]:
    return {"y": number}


def pairs(directory: str, port: int, count: int) -> list[float]:
    """Return paired differences of a decorated and a bare function, µs."""
    _configure(directory, port)
    from flowcept import Flowcept, flowcept_task

    decorated = flowcept_task(_task)
    with Flowcept(workflow_name="benchmark"):
        for number in range(50):
            decorated(number)
        return differences(_task, decorated, count, 0)


def delays(directory: str, port: int, seconds: float) -> list[float]:
    """Return how long after its end each of the tasks of a steady rate was in the database, s."""
    database = _configure(directory, port)
    from flowcept import Flowcept, flowcept_task

    decorated = flowcept_task(_task)
    answer = Path(tempfile.mkdtemp(dir=directory)) / "seen.json"
    count = int(RATE_HZ * seconds)
    watcher = [sys.executable, "-c", _WATCH, str(database), str(count), str(_SETTLE_S + seconds), str(answer)]
    with Flowcept(workflow_name="benchmark"), subprocess.Popen(watcher) as watching:
        begin = time.monotonic()
        for number in range(count):
            time.sleep(max(0.0, begin + number / RATE_HZ - time.monotonic()))
            decorated(number)
        watching.wait()
    return [float(delay) for delay in json.loads(answer.read_text())]


#: Reads the database beside FlowCept, as any number of processes may: key by key, those that are new.
_WATCH = """
import json, lmdb, sys, time
path, count, patience, answer = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), sys.argv[4]
delays, seen, until = [], set(), time.monotonic() + patience
while len(delays) < count and time.monotonic() < until:
    time.sleep(0.05)
    try:
        environment = lmdb.open(path, readonly=True, max_dbs=8, create=False)
        tasks = environment.open_db(b"tasks", create=False)
    except lmdb.Error:
        continue
    with environment:
        with environment.begin(db=tasks) as transaction:
            now = time.time()
            for key, value in transaction.cursor():
                if key not in seen:
                    task = json.loads(value)
                    if task.get("ended_at"):
                        seen.add(key)
                        delays.append(now - task["ended_at"])
with open(answer, "w") as file:
    json.dump(delays, file)
"""


def killed(directory: str, port: int) -> int:
    """Return how many of the tasks that a killed worker had finished are in the database in the end."""
    database = _configure(directory, port)
    from flowcept import Flowcept

    with Flowcept(workflow_name="consumer") as consumer:
        code = f"from benchmarks.peers.flowcept_online import work; work({consumer.bundle_exec_id!r})"
        worker = subprocess.run([sys.executable, "-c", code], check=False)
        assert worker.returncode == -signal.SIGKILL, worker.returncode
        time.sleep(_SETTLE_S)
    import lmdb

    environment = lmdb.open(str(database), readonly=True, max_dbs=8)
    with environment, environment.begin(db=environment.open_db(_TASKS, create=False)) as transaction:
        values = [json.loads(value) for _, value in transaction.cursor()]
    return sum(bool(value.get("ended_at")) for value in values)


def work(bundle: str) -> None:
    """Finish tasks, and be killed."""
    from flowcept import Flowcept, flowcept_task

    decorated = flowcept_task(_task)
    with Flowcept(workflow_name="worker", bundle_exec_id=bundle, start_persistence=False, check_safe_stops=False):
        for number in range(KILLED_TASKS):
            decorated(number)
            time.sleep(1 / RATE_HZ)
        os.kill(os.getpid(), signal.SIGKILL)
