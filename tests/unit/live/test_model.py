"""What agents say, read with care."""

from __future__ import annotations

import json
from typing import Any

import pytest

from prov_worker.live.model import DEAD, LATE, LIVE, View, node_of
from prov_worker.spool.live import parse_live

NOW = 1_795_000_000.0

GPUS = [
    {"number": 2, "utilization_percent": 5.0, "memory_used_bytes": 1, "power_watts": 50.0},
    {"number": 3, "utilization_percent": 70.0, "memory_used_bytes": 1 << 30, "power_watts": 300.5},
]


def document(**changes: Any) -> dict[str, Any]:
    """What an agent says, as it goes through a file."""
    made = {
        "v": 1,
        "host": "nid1",
        "place": "0123456789ab",
        "written": NOW - 1,
        "renew_s": 2.0,
        "sampled": NOW - 1.5,
        "node": {"load": [1.0, 2.0, 3.0], "cpus": 64, "gpus": GPUS},
        "workers": 2,
        "tasks": [{"task": "a", "function": "fit", "gpus": [3], "cpu_joules": 2.0, "gpu_joules": 40, "elapsed_s": 5}],
        "ended": [{"task": "b", "status": "failed", "ended": NOW - 3, "reason": "no"}],
        "crates": {"published": 1, "waiting": 0, "stuck": 0},
        "more": 0,
    }
    return {**made, **changes}


def test_a_task_has_the_use_and_the_energy_of_its_own_devices() -> None:
    node = node_of(parse_live(json.dumps(document()).encode()), NOW, by="file")
    [task] = node.tasks
    assert (task.gpu_memory_bytes, task.gpu_power_watts) == (1 << 30, 300.5)
    assert (task.host, task.function, task.gpu_percent, task.joules) == ("nid1", "fit", 70.0, 42.0)
    assert node.ended[0].reason == "no"
    assert node.load == (1.0, 2.0, 3.0)


@pytest.mark.parametrize(
    ("changes", "by", "state"),
    [
        ({}, "file", LIVE),
        ({"written": NOW - 30}, "file", LATE),
        ({"written": NOW - 30, "renew_s": 30.0}, "file", LIVE),
        ({"written": NOW - 3600, "renew_s": 1e9}, "file", LATE),
        ({"written": NOW + 50}, "file", LIVE),  # another clock
        ({"sampled": NOW - 60}, "socket", LATE),  # half of the agent hangs
        ({"sampled": None}, "socket", LIVE),
    ],
)
def test_an_agent_that_gives_no_sign_is_late(changes: dict[str, Any], by: str, state: str) -> None:
    assert node_of(document(**changes), NOW, by=by).state == state


def test_what_is_known_of_an_agent_counts_more_than_the_time() -> None:
    assert node_of(document(), NOW, by="file", state=DEAD).state == DEAD


@pytest.mark.parametrize(
    "changes",
    [
        {key: value}
        for key in document()
        for value in (None, True, "text", -1, 1e300, [], {}, [None, 7, {}], {"load": "x", "gpus": [1, {"number": []}]})
    ],
    ids=str,
)
def test_a_damaged_document_shows_what_is_sound(changes: dict[str, Any]) -> None:
    node = node_of(document(**changes), NOW, by="file")
    assert json.dumps(View((node,), (), NOW).to_json(), allow_nan=False)
    if "tasks" not in changes:
        assert node.tasks[0].task == "a"


@pytest.mark.parametrize(
    "task",
    [{"task": 5}, {}, {"task": "x", "function": 3, "pid": "y", "elapsed_s": [], "gpus": "12", "cpu_percent": 10**400}],
    ids=str,
)
def test_damaged_tasks_show_what_is_sound(task: dict[str, Any]) -> None:
    tasks = node_of(document(tasks=[task]), NOW, by="file").tasks
    assert [entry.task for entry in tasks] == (["x"] if task.get("task") == "x" else [])
    assert all(entry.function is None and entry.elapsed_s is None and entry.cpu_percent is None for entry in tasks)


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"v":"1"}', b"[" * 100_000, b'{"v":2}', b"\xff", b'{"v":true}'])
def test_what_no_agent_of_this_release_says_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_live(data)
