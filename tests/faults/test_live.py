"""What runs now, of real agents: by file and by socket, whatever hangs, dies or lies in the way."""

from __future__ import annotations

import json
import os
import shutil
import socket
import time
import urllib.request
from pathlib import Path
from typing import Any

from prov_worker.spool import launch
from prov_worker.spool.live import SOCKET, live_files
from support.crate_dir import CrateDir, kill_together, wait_until
from support.direct import ENDPOINT, Call, Start
from support.event_servers import free_port
from support.freezable import Freezable


def answer(crate_dir: CrateDir) -> dict[str, Any]:
    """What the agent's socket says."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(60)
        connection.connect(str(crate_dir.runtime / SOCKET))
        data = b""
        while chunk := connection.recv(1 << 16):
            data += chunk
    return json.loads(data)  # type: ignore[no-any-return]


def files(crate_dir: CrateDir) -> list[dict[str, Any]]:
    return [json.loads(Path(path).read_text()) for path in live_files(str(crate_dir.crates))]


def running(crate_dir: CrateDir) -> dict[str, dict[str, Any]]:
    """What the live files say runs, by task."""
    return {task["task"]: task for live in files(crate_dir) for task in live["tasks"]}


def test_file_and_socket_tell_what_runs_and_what_ended(crate_dir: CrateDir, start: Start, tmp_path: Path) -> None:
    go = tmp_path / "go"
    first, last = Call("add", (1, 2)), Call("refuse", ("no",))
    waiting, busy = Call("wait_for_file", (str(go),)), Call("burn", (600.0,))
    worker = start(first, waiting, last, await_agent=True, linger=tmp_path / "end")
    burning = start(Call("add", (1, 2)), busy, await_agent=True)
    wait_until(lambda: {waiting.task, busy.task} <= running(crate_dir).keys(), "both tasks in the live file")
    wait_until(lambda: (answer(crate_dir)["tasks"] or [{}])[0].get("cpu_s", 0) > 0.2, "CPU time")
    seen = answer(crate_dir)
    tasks = {task["task"]: task for task in seen["tasks"]}
    assert set(tasks) == {waiting.task, busy.task}
    assert [tasks[call.task]["function"] for call in (waiting, busy)] == ["wait_for_file", "burn"]
    assert [tasks[call.task]["pid"] for call in (waiting, busy)] == [worker.pid, burning.pid]
    assert tasks[busy.task]["cpu_s"] > tasks[waiting.task]["cpu_s"]
    assert 0 < tasks[busy.task]["cpu_s"] <= tasks[busy.task]["elapsed_s"] * 1.02 + 0.1
    assert tasks[busy.task]["rss_bytes"] > 10 << 20
    assert abs(time.time() - tasks[busy.task]["started"] - tasks[busy.task]["elapsed_s"]) < 60
    assert seen["endpoint"] == ENDPOINT
    assert seen["workers"] == 2
    assert seen["node"]["cpus"] == os.cpu_count()
    assert seen["node"]["memory_used_bytes"] < seen["node"]["memory_total_bytes"]
    assert first.task in {ended["task"] for ended in seen["ended"]}
    [live] = files(crate_dir)
    assert (live["host"], live["place"], live["pid"]) == (seen["host"], seen["place"], seen["pid"])
    [path] = live_files(str(crate_dir.crates))
    assert os.stat(path).st_size < 4096 + 1024 * len(live["tasks"])

    go.touch()
    wait_until(lambda: last.task in {ended["task"] for ended in answer(crate_dir)["ended"]}, "the end")
    [ended] = [ended for ended in answer(crate_dir)["ended"] if ended["task"] == last.task]
    assert (ended["status"], ended["function"]) == ("failed", "refuse")
    assert "no" in ended["reason"]
    assert (crate_dir.crates / ended["crate"]).is_dir()
    wait_until(lambda: waiting.task not in running(crate_dir), "the file follows")

    burning.stop()
    (tmp_path / "end").touch()
    assert worker.wait() == 0
    crate_dir.wait_for_end_of_agent()
    assert live_files(str(crate_dir.crates)) == []
    assert not (crate_dir.runtime / SOCKET).exists()


def test_a_node_that_is_lost_leaves_its_file_and_a_successor_takes_it_over(
    crate_dir: CrateDir, start: Start, tmp_path: Path
) -> None:
    call = Call("wait_for_file", (str(tmp_path / "go"),))
    worker = start(Call("add", (1, 2)), call, await_agent=True)
    wait_until(lambda: call.task in running(crate_dir), "the task in the live file")
    agent = crate_dir.wait_for_agent()
    kill_together(agent["pid"], agent["finaliser"])
    crate_dir.wait_for_end_of_agent()
    assert call.task in running(crate_dir), "nobody has renewed it"
    assert launch.ensure_agent(str(crate_dir.runtime), str(crate_dir.crates))
    second = crate_dir.wait_for_agent(other_than=agent["pid"])
    wait_until(lambda: [live["pid"] for live in files(crate_dir)] == [second["pid"]], "the successor's file")
    wait_until(lambda: call.task in {task["task"] for task in answer(crate_dir)["tasks"]}, "the task")
    (tmp_path / "go").touch()
    assert worker.wait() == 0
    crate_dir.wait_for([call.task])


def test_the_socket_answers_while_the_file_system_of_the_crates_hangs(
    crate_dir: CrateDir, start: Start, freezable: Freezable, tmp_path: Path
) -> None:
    go, end = tmp_path / "go", tmp_path / "end"
    calls = [Call("add", (1, 2)), Call("wait_for_file", (str(go),)), Call("wait_for_file", (str(end),))]
    worker = start(*calls, await_agent=True)
    wait_until(lambda: calls[1].task in running(crate_dir), "the task in the live file")
    freezable.freeze()
    go.touch()
    wait_until(lambda: worker.raw(1), "a result while it is frozen")
    wait_until(lambda: [task["task"] for task in answer(crate_dir)["tasks"]] == [calls[2].task], "the next task")
    assert freezable.frozen
    freezable.thaw()
    end.touch()
    crate_dir.wait_for([call.task for call in calls])
    assert worker.wait() == 0


def test_a_log_out_takes_the_socket_and_what_was_asked_for_and_both_come_back(
    crate_dir: CrateDir, start: Start, tmp_path: Path
) -> None:
    """As systemd-logind does with RemoveIPC: all of a user's in /dev/shm goes (logind.conf(5))."""
    events, go = tmp_path / "events", tmp_path / "go"
    calls = [Call("add", (1, 2)), Call("wait_for_file", (str(go),))]
    worker = start(*calls, await_agent=True, settings={"stream": [f"jsonl:{events}"]})
    wait_until(lambda: calls[1].task in running(crate_dir), "the task in the live file")
    wait_until(lambda: events.exists() and calls[1].task in events.read_text(), "its start in the stream")
    agent = crate_dir.wait_for_agent()
    shutil.rmtree(crate_dir.runtime)
    wait_until((crate_dir.runtime / SOCKET).exists, "the socket is made again")
    wait_until(lambda: calls[1].task in {task["task"] for task in answer(crate_dir)["tasks"]}, "the same task")
    assert answer(crate_dir)["pid"] == agent["pid"]
    go.touch()
    assert worker.wait() == 0
    crate_dir.wait_for([call.task for call in calls])
    wait_until(lambda: events.read_text().count('"crate.published"') == 2, crate_dir.describe)


def test_numbers_for_prometheus_are_given_if_a_directory_and_a_port_are_set(
    crate_dir: CrateDir, start: Start, tmp_path: Path
) -> None:
    metrics = tmp_path / "metrics"
    metrics.mkdir()
    call = Call("wait_for_file", (str(tmp_path / "go"),))
    port = free_port()
    settings = {"metrics_dir": str(metrics), "metrics_port": port}
    worker = start(Call("add", (1, 2)), call, await_agent=True, settings=settings)

    def text() -> str:
        return "".join(path.read_text() for path in metrics.glob("*.prom"))

    label = f'crate_dir="{crate_dir.crates}",user="{os.geteuid()}"'
    wait_until(lambda: f"prov_worker_node_tasks_running{{{label}}} 1\n" in text(), "the task that runs")
    wait_until(lambda: f'tasks_total{{{label},result="completed"}} 1\n' in text(), "the one that has ended")
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as response:
        numbers = response.read().decode()
    assert f"prov_worker_node_tasks_running{{{label}}} 1\n" in numbers
    assert f'tasks_total{{{label},result="completed"}} 1\n' in numbers
    (tmp_path / "go").touch()
    assert worker.wait() == 0
    crate_dir.wait_for_end_of_agent()
    assert list(metrics.iterdir()) == []
