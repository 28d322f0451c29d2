"""From nothing to crates at home: the playbooks against real login nodes, a real service and the stock SDK."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from login_nodes import Node, until

from prov_worker.crate.check import check_crate
from prov_worker.crate.reader import StepCrate, find_crates

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(500), pytest.mark.xdist_group("rollout")]

#: Sends tasks; prints id and result of each.
SUBMIT = """\
import json, sys
from globus_compute_sdk import Executor

def work(number, seconds):
    import socket, time
    time.sleep(seconds)
    return number, socket.gethostname()

count, seconds = int(sys.argv[2]), float(sys.argv[3])
with Executor(endpoint_id=sys.argv[1]) as executor:
    futures = [executor.submit(work, number, seconds) for number in range(count)]
    results = [future.result(timeout=240) for future in futures]
    print(json.dumps([[future.task_id, *result] for future, result in zip(futures, results)]))
"""


@pytest.fixture(scope="module", params=["systemd", "slurm"])
def node(request: pytest.FixtureRequest, start_node: Callable[[str], Node]) -> Node:
    return start_node(request.param)


def submit(node: Node, count: int = 2, seconds: float = 0.1) -> list[str]:
    """Tasks through the stock SDK; their ids, once each has its result."""
    found = node.site.script(SUBMIT, node.status()["endpoint_id"], str(count), str(seconds))
    assert [(number, host) for _, number, host in found] == [(n, f"{node.kind}-node") for n in range(count)]
    return [task for task, _, _ in found]


def test_from_nothing_to_crates_at_home(node: Node, tmp_path: Path) -> None:
    secret = node.site.client_secret
    first = node.play("site", "--diff", "-vvv")
    assert first.code == 0, first.output[-3000:] + node.logs()
    assert first.changed > 0
    assert f"Keep it running by {'systemd' if node.kind == 'systemd' else 'cron'}" in first.output
    assert secret not in first.output
    assert node.play("status").code == 0

    again = node.play("site")
    assert (again.code, again.changed) == (0, 0), again.output[-6000:]

    tasks = submit(node)
    assert until(lambda: {f"{task}.crate" for task in tasks} <= set(node.crates)), node.logs()
    collected = node.play("collect", collect_dest=str(tmp_path / "home"))
    assert collected.code == 0, collected.output[-3000:]
    crates = {crate.task_id: crate for crate in map(StepCrate.open, find_crates(tmp_path / "home" / "prov"))}
    assert set(tasks) <= set(crates)
    for crate in crates.values():
        assert crate.status == "completed"
        assert check_crate(crate.path) == []

    # No secret where others could read it, nor anywhere but in its one file.
    held = node.shell(f"grep -rlF {secret} ~ 2>/dev/null || true").split()
    assert held == ["/home/alice/.config/prov-worker/prov.env"]
    assert node.shell(f"stat -c %a {held[0]}").strip() == "600"


def test_a_wrong_option_is_refused_by_name(node: Node) -> None:
    refused = node.play("site", service_mode="launchd")
    assert refused.code == 2
    assert "value of service_mode must be one of" in refused.output
    assert "launchd" in refused.output
