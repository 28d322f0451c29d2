"""From nothing to crates at home: the playbooks against real login nodes, a real service and the stock SDK."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from login_nodes import VERSION, Node, docker, until

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


def break_wheel(wheels: Path, target: Path) -> str:
    """A later version of the package, with which no endpoint starts; its number."""
    version = f"{VERSION}.post99"
    (wheel,) = wheels.glob("prov_worker-*.whl")
    name = wheel.name.replace(f"-{VERSION}-", f"-{version}-")
    with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(target / name, "w") as new:
        for path in old.namelist():
            data = old.read(path)
            if path.endswith(".dist-info/RECORD"):
                record = data.replace(f"-{VERSION}.dist".encode(), f"-{version}.dist".encode())
                data = b"".join(line.split(b",")[0] + b",,\n" for line in record.splitlines())
            elif path == "prov_worker/__init__.py" or path.endswith(".dist-info/METADATA"):
                data = data.replace(VERSION.encode(), version.encode(), 1)
            elif path == "prov_worker/globus/hook.py":
                data = b"raise SystemExit('broken on purpose')\n"
            new.writestr(path.replace(f"-{VERSION}.dist", f"-{version}.dist"), data)
    return version


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
    crates = {crate.task_id: crate for crate in map(StepCrate.open, find_crates(tmp_path / "home"))}
    assert set(tasks) <= set(crates)
    for crate in crates.values():
        assert crate.status == "completed"
        assert check_crate(crate.path) == []

    # No secret where others could read it, nor anywhere but in its one file.
    held = node.shell(f"grep -rlF {secret} ~ 2>/dev/null || true").split()
    assert held == ["/home/alice/.config/prov-worker/prov.env"]
    assert node.shell(f"stat -c %a {held[0]}").strip() == "600"


def test_the_endpoint_is_back_after_a_reboot(node: Node) -> None:
    before = node.status()["endpoint_id"]
    docker("restart", node.name)
    assert until(node.online, timeout_s=150), node.logs()
    assert node.status()["endpoint_id"] == before
    assert len(submit(node)) == 2


def test_a_broken_version_gives_way_to_the_old_one(node: Node, tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    broken = break_wheel(Path(node.variables["prov_worker_wheelhouse_src"]), wheels)
    for wheel in Path(node.variables["prov_worker_wheelhouse_src"]).iterdir():
        (wheels / wheel.name).symlink_to(wheel.resolve())
    before = node.status()["endpoint_id"]
    work = node.site.start(SUBMIT, before, "40", "1")
    upgrade = node.play(
        "upgrade", prov_worker_version=broken, prov_worker_wheelhouse_src=str(wheels), service_online_timeout=25
    )
    assert upgrade.code == 2, upgrade.output[-3000:]
    assert f"version {broken} did not come online" in upgrade.output
    assert node.shell("readlink .local/share/prov-worker/current").strip() == f"envs/{VERSION}"
    assert node.online()
    assert node.status()["endpoint_id"] == before
    # Every task has its result, those that were sent before the upgrade too.
    said, _ = work.communicate(timeout=200)
    results = json.loads(said.splitlines()[-1])
    assert [number for _, number, _ in results] == list(range(40))
    assert node.play("site").changed == 0


def test_a_wrong_option_is_refused_by_name(node: Node) -> None:
    refused = node.play("site", service_mode="launchd")
    assert refused.code == 2
    assert "value of service_mode must be one of" in refused.output
    assert "launchd" in refused.output


def test_nothing_is_left_but_crates(node: Node) -> None:
    removed = node.play("remove", endpoint_remove_directory=True)
    assert removed.code == 0, removed.output[-3000:]
    assert node.crates
    left = node.shell("ls -d .globus_compute/prov .local/share/prov-worker .config/prov-worker/* 2>/dev/null || true")
    assert left == ""
    assert "prov-worker" not in node.shell("crontab -l 2>/dev/null || true")
    assert node.play("remove").changed == 0
