"""One test for each defect that the prototype had: what it did to tasks must not come back."""

from __future__ import annotations

import json
import os
import uuid
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from prov_worker.agent.publisher import Publisher
from prov_worker.crate.reader import StepCrate
from prov_worker.model import COMPLETED, Function, TaskRecord, Worker, host_name
from prov_worker.probes import PROBES, ProbeContext
from prov_worker.spool.records import Ended
from support.crate_dir import CrateDir, task_series, wait_until
from support.direct import Call, DirectWorker, Start


class _Probe:
    """A collector that does not do what it should."""

    time_limit_s = 0.3

    def __init__(self, how: str) -> None:
        self._how = how

    def take(self, context: ProbeContext) -> Any:
        import time

        if self._how == "raises":
            raise AttributeError("no row is mounted at /mnt/storage")
        if self._how == "leaves":
            raise SystemExit(3)
        if self._how == "hangs":
            time.sleep(3)
        return {"facts": object()} if self._how == "returns objects" else ["junk"]


@pytest.mark.parametrize("how", ["raises", "leaves", "hangs", "returns junk", "returns objects"])
def test_defect_1_every_collector_fails(tmp_path: Path, how: str) -> None:
    record = TaskRecord("a" * 8, 1, COMPLETED, 10**18, 10**18 + 10**9, Function("f"), Worker(host_name(), 7))
    with ExitStack() as stack:
        for name in PROBES.names():
            stack.enter_context(PROBES.temporary(name, lambda: _Probe(how)))
        path = Publisher(str(tmp_path)).publish(Ended(record, {"crate_dir": str(tmp_path)}), None, None)
    crate = StepCrate.open(path)
    assert crate.status == "completed"
    reports = crate.hardware()["probes"]
    assert set(reports) == set(PROBES.names())
    for name, report in reports.items():
        assert report["success"] is False
        # The facts of a job are its worker's, which noted none.
        assert report["absent"] if name in ("environment", "scheduler") else report["error"]


def test_defect_1_commands_that_hang_or_print_junk_and_a_mount_that_is_missing(
    crate_dir: CrateDir, start: Start, tmp_path: Path
) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("lscpu", "lshw", "df", "nvidia-smi", "xpu-smi", "globus-compute-endpoint", "findmnt"):
        (tools / name).write_text(
            "#!/bin/sh\necho $0 $$ >> " + str(tmp_path / "called") + "\necho junk\nsleep 2\nexit 3\n"
        )
        (tools / name).chmod(0o755)
    calls = [Call("add", (n, n)) for n in range(20)]
    settings = {"mount_points": ["/mnt/storage/that/is/not/there"], "probes": ["cpu", "memory", "storage", "gpu"]}
    worker = start(*calls, settings=settings, environment={"PATH": f"{tools}:{os.environ['PATH']}"})
    assert worker.wait() == 0
    assert [worker.value(n) for n in range(20)] == [2 * n for n in range(20)]
    crates = crate_dir.wait_for([call.task for call in calls])
    assert {crate.status for crate in crates} == {"completed"}
    assert "/mnt/storage/that/is/not/there" in json.dumps(crates[0].hardware())
    called = tmp_path / "called"
    # of the node, not of the task: at most once each
    assert len(called.read_text().splitlines() if called.exists() else []) <= 2


@pytest.mark.parametrize("text_id", [False, True], ids=["uuid", "str"])
def test_defect_2_both_kinds_of_task_id(crate_dir: CrateDir, start: Start, text_id: bool) -> None:
    call = Call("burn", (0.3,), text_id=text_id)
    worker = start(Call("add", (1, 2)), call, await_agent=True)
    assert worker.wait() == 0
    (crate,) = crate_dir.wait_for([call.task])
    assert crate.task_id == call.task
    assert task_series(crate) is not None
    crate_dir.no_half_files()


@pytest.mark.parametrize("spelling", ["upper", "hex"])
def test_defect_2_other_spellings_of_a_task_id(crate_dir: CrateDir, start: Start, spelling: str) -> None:
    task = uuid.uuid4()
    text = str(task).upper() if spelling == "upper" else task.hex
    first, call = Call("add", (1, 2)), Call("kill_self", (9, 0.4), task=text, text_id=True)
    start(first, call, await_agent=True)
    wait_until(lambda: len(crate_dir.names()) > 1, crate_dir.describe)
    assert set(crate_dir.names()) == {f"{first.task}.crate", f"{task}.crate"}
    crate = crate_dir.crate(str(task))
    assert crate.function_name == "kill_self"
    assert task_series(crate) is not None


def test_defect_2_no_half_crate_is_ever_seen(crate_dir: CrateDir, start: Start) -> None:
    calls = [Call("add", (n, n)) for n in range(300)]
    worker = start(*calls)
    seen: set[str] = set()
    while len(seen) < 300:
        for name in crate_dir.names():
            if name not in seen:
                StepCrate.open(crate_dir.crates / name)  # raises where anything is missing
                seen.add(name)
        assert worker.process.poll() in (None, 0)


def test_defect_3_the_smallest_and_the_largest_value_have_ids(crate_dir: CrateDir, start: Start) -> None:
    call = Call("burn", (0.4,))
    start(call)
    (crate,) = crate_dir.wait_for([call.task])
    for entity in crate.entities.values():
        for key, value in entity.items():
            for item in value if isinstance(value, list) else [value]:
                assert not isinstance(item, dict) or "@id" in item, f"{entity['@id']}.{key} has a value without an @id"
    rocrate = pytest.importorskip("rocrate.rocrate")
    assert rocrate.ROCrate(str(crate.path)).mainEntity is not None


@pytest.mark.slow
@pytest.mark.parametrize(
    "count, tasks",
    [pytest.param(4, 160, id="4_workers"), pytest.param(16, 320, id="16_workers", marks=pytest.mark.long)],
)
def test_defect_4_workers_that_share_a_directory_do_not_share_data(
    crate_dir: CrateDir, start: Start, tmp_path: Path, count: int, tasks: int
) -> None:
    # in every worker each second task is busy; in between they sleep as long
    calls = [
        Call("burn", (0.06,)) if number % 2 else Call("sleep", (0.12,)) for number in range(tasks - tasks % (2 * count))
    ]
    calls += [Call("add", (number, 1)) for number in range(tasks - len(calls))]
    share = [calls[number::count] for number in range(count)]
    workers = [start(*mine) for mine in share]
    for worker in workers:
        assert worker.wait(240) == 0
    crate_dir.wait_for([call.task for call in calls])
    assert len(crate_dir.names()) == tasks
    for worker, mine in zip(workers, share, strict=True):
        for number, call in enumerate(mine):
            worker.value(number)
            crate = crate_dir.crate(call.task)
            assert crate.status == "completed"
            assert crate.function_name == call.function
            assert crate.entities["#worker-pid"]["value"] == worker.pid
            cpu = float(crate.usage["cpu"][0])
            assert cpu >= 0.05 if call.function == "burn" else cpu < 0.05
            series = task_series(crate)
            if series is not None and len(series) and call.function == "sleep":
                # the samples of a sleeping task, amid busy ones: no sample of another one's
                mean = [value for value in series.columns["cpu_percent"].mean if value is not None]
                assert sum(mean) / len(mean) < 30


def test_defect_5_what_is_collected_is_in_the_crate_and_is_collected_once(
    crate_dir: CrateDir, start: Start, tmp_path: Path
) -> None:
    probes = ["cpu", "memory", "storage", "gpu", "environment", "scheduler"]
    calls = [Call("add", (n, n)) for n in range(5)]
    start(*calls, settings={"probes": probes})
    crates = crate_dir.wait_for([call.task for call in calls])
    for crate in crates:
        assert set(crate.hardware()["probes"]) == set(probes)
    taken = {crate.hardware()["taken_ns"] for crate in crates if "taken_ns" in crate.hardware()}
    assert len(taken) <= 1
    text = (crates[0].path / "ro-crate-metadata.json").read_text()
    cpu = crates[0].hardware()["probes"]["cpu"]["data"]
    name = cpu.get("model") or cpu.get("model_name") or ""
    assert name in text


def test_defect_6_the_cpu_use_is_the_tasks_and_not_the_systems(
    crate_dir: CrateDir, start: Start, tmp_path: Path
) -> None:
    neighbour = DirectWorker(tmp_path, [Call("burn", (3.0,))], tmp_path / "other")
    try:
        busy, idle = Call("burn", (0.5,)), Call("sleep", (0.5,))
        start(Call("add", (1, 2)), busy, idle, await_agent=True)
        first, second = crate_dir.wait_for([busy.task, idle.task])
        series = task_series(second)
        assert series is not None
        mean = [value for value in series.columns["cpu_percent"].mean if value is not None]
        assert sum(mean) / len(mean) < 15
        series = task_series(first)
        assert series is not None
        mean = [value for value in series.columns["cpu_percent"].mean if value is not None]
        assert mean[0] > 0  # no false zero at the beginning
        sampled = sum(mean) / len(mean) / 100 * series.offset_s[-1]
        assert sampled == pytest.approx(float(first.usage["cpu"][0]), rel=0.25)
    finally:
        neighbour.stop()
        CrateDir(tmp_path / "other").close()


def test_defect_7_the_recorded_time_holds_the_function_and_the_waiting_for_nothing(
    crate_dir: CrateDir, start: Start
) -> None:
    call = Call("sleep", (0.3,))
    worker = start(call)
    (crate,) = crate_dir.wait_for([call.task])
    worker.wait()
    message = worker.message(0)
    stock_s = (message.task_statuses[1].timestamp - message.task_statuses[0].timestamp) / 1e9
    # what the crate says holds all of what upstream times, and the recorder's own work around it
    assert crate.wall_time_s is not None
    assert crate.wall_time_s >= stock_s >= 0.3


@pytest.mark.slow
def test_defect_8_samples_under_a_function_that_holds_the_gil(crate_dir: CrateDir, start: Start) -> None:
    call = Call("hold_gil", (100_000_000,))
    start(Call("add", (1, 2)), call, await_agent=True)
    (crate,) = crate_dir.wait_for([call.task], 180)
    series = task_series(crate)
    assert series is not None
    assert series.expected
    # a thread in the worker gets one; the machine may be shared, so not all are asked for here but in the benchmarks
    assert len(series) >= 0.8 * series.expected


def test_defect_9_nothing_on_the_path_starts_a_process_or_sleeps(
    crate_dir: CrateDir, start: Start, tmp_path: Path
) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(
        "import sys, os, time\n"
        "seen = []\n"
        "def hook(event, args):\n"
        "    if event in ('subprocess.Popen', 'os.posix_spawn', 'os.fork', 'os.system', 'socket.connect',\n"
        "                 '_thread.start_new_thread'):\n"
        "        seen.append(event + ':' + str(args[0]))\n"
        "sys.addaudithook(hook)\n"
        "sleep = time.sleep\n"
        "def noted(seconds):\n"
        "    seen.append('time.sleep')\n"
        "    sleep(seconds)\n"
        "time.sleep = noted\n"
        "import atexit\n"
        f"atexit.register(lambda: open({str(tmp_path / 'seen')!r}, 'w').write('\\n'.join(seen)))\n"
    )
    tests = Path(__file__).parents[1]
    path = os.pathsep.join([str(site), str(tests.parent / "src"), str(tests)])
    calls = [Call("add", (n, n)) for n in range(200)]
    worker = start(*calls, environment={"PYTHONPATH": path})
    assert worker.wait() == 0
    crate_dir.wait_for([call.task for call in calls])
    seen = (tmp_path / "seen").read_text().split()
    # the agent is started once, before the first task is timed
    assert seen.count("os.posix_spawn:/bin/sh") == 1
    # upstream asks once for its own details
    assert [event for event in seen if event not in ("os.posix_spawn:/bin/sh", "subprocess.Popen:uname")] == []
