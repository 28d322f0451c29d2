"""From nothing to crates at home, and back to nothing: the playbooks against real login nodes and a real service."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from login_nodes import COMMAND, VERSION, Node
from releases import release

from prov_worker.crate.check import check_crate
from prov_worker.crate.reader import StepCrate
from prov_worker.crate.sources import find_crates
from support.containers import docker, until

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(900)]

#: Sends tasks by their source, as workers may have another Python; prints id and result of each.
SUBMIT = """\
import json, sys
from globus_compute_sdk import Executor
from globus_compute_sdk.serialize import ComputeSerializer, DillCodeSource

def work(number, seconds):
    import socket, time
    time.sleep(seconds)
    return number, socket.gethostname()

count, seconds = int(sys.argv[2]), float(sys.argv[3])
with Executor(endpoint_id=sys.argv[1]) as executor:
    executor.serializer = ComputeSerializer(strategy_code=DillCodeSource())
    futures = [executor.submit(work, number, seconds) for number in range(count)]
    results = [future.result(timeout=360) for future in futures]
    print(json.dumps([[future.task_id, *result] for future, result in zip(futures, results)]))
"""
#: All files of the user, with what is in them; what logs and caches hold is not compared.
FILES = """\
find . -path ./provenance -prune -o -type f ! -path './.cache/*' ! -path './.ansible/*' -print0 | sort -z |
    xargs -0 sha256sum
crontab -l 2>/dev/null
scrontab -l 2>/dev/null
true
"""
#: What others have on the node: an endpoint, a line of cron, a unit, a file beside ours.
STRANGERS = """\
mkdir -p .globus_compute/other .config/systemd/user .local/share .local/state
echo 'display_name: other' >.globus_compute/other/config.yaml
echo '0 3 * * * /bin/true # mine' | crontab - 2>/dev/null || true
echo '0 3 1 1 * /bin/true # mine' >/tmp/mine && scrontab /tmp/mine 2>/dev/null || true
printf '[Service]\\nExecStart=/bin/sleep infinity\\n' >.config/systemd/user/mine.service
echo mine >.local/share/mine
"""


SYSTEMD = pytest.param("systemd", marks=pytest.mark.xdist_group("rollout-systemd"))
#: The next kind has Slurm too: this one is for `make test-long`.
SLURM = pytest.param("slurm", marks=[pytest.mark.xdist_group("rollout-slurm"), pytest.mark.long])
SCRONTAB = pytest.param("scrontab", marks=pytest.mark.xdist_group("rollout-scrontab"))
#: This kind waits for minutes of its own: what it shows again of them is for `make test-long`.
LONG_SCRONTAB = pytest.param("scrontab", marks=[*SCRONTAB.marks, pytest.mark.long])
#: For what does not differ from node to node.
on_systemd = pytest.mark.parametrize("node", [SYSTEMD], indirect=True)
on_slurm = pytest.mark.parametrize("node", [SLURM], indirect=True)
on_all_but_quick = pytest.mark.parametrize("node", [SYSTEMD, SLURM, LONG_SCRONTAB], indirect=True)


@pytest.fixture(scope="module")
def nodes(start_node: Callable[[str], Node]) -> Callable[[str], Node]:
    """One node of each kind; the tests of this module are its history, in their order."""

    @functools.cache
    def start(kind: str) -> Node | str:
        try:
            node = start_node(kind)
            node.shell(STRANGERS)
        except AssertionError as error:
            # Each test would wait as long as the first did.
            return str(error)
        return node

    def node(kind: str) -> Node:
        started = start(kind)
        if isinstance(started, str):
            pytest.fail(started, pytrace=False)
        return started

    return node


@pytest.fixture(params=[SYSTEMD, SLURM, SCRONTAB])
def node(request: pytest.FixtureRequest, nodes: Callable[[str], Node]) -> Node:
    return nodes(request.param)


def submit(node: Node, count: int = 2, seconds: float = 0.1) -> list[str]:
    """Tasks through the stock SDK; their ids, once each has its result."""
    results = node.site.script(SUBMIT, node.status()["endpoint_id"], str(count), str(seconds))
    assert [(number, host) for _, number, host in results] == [(n, f"{node.kind}-node") for n in range(count)]
    return [task for task, _, _ in results]


@on_all_but_quick
def test_first_it_says_what_it_would_do(node: Node) -> None:
    before = node.shell(FILES)
    play = node.play("site", "--check")
    assert play.code == 0, play.output[-3000:]
    assert re.search(r"would_be_installed\W+/home/alice/.globus_compute/prov", play.output), play.output[-3000:]
    assert re.search(rf"site\W+{node.variables['endpoint_site']}", play.output)
    assert '-m prov_worker fleet "$command"' in play.output
    assert f"+unbound_host: {str(node.kind == 'scrontab').lower()}" in play.output
    assert node.shell(FILES) == before


def test_from_nothing_to_crates_at_home(node: Node, tmp_path: Path) -> None:
    node.observe()
    node.shell(f"echo {node.site.client_secret} >/tmp/planted; sleep 2; rm /tmp/planted")
    seen = node.leaks()
    assert "/tmp/planted" in seen
    assert any(path.startswith("/proc/") for path in seen)
    docker("exec", node.name, "truncate", "--size", "0", "/tmp/observed")
    first = node.play("site")
    assert first.code == 0, first.output[-3000:] + node.logs()
    assert first.changed > 0
    assert f"Keep it running by {'cron' if node.kind == 'slurm' else node.kind}" in first.output
    assert "+  type: {{" in first.output
    assert "ProvenanceEngine" in first.output
    assert "compute nodes cannot reach it" in first.output or node.kind != "slurm"
    status = node.play("status")
    assert status.code == 0
    assert re.search(r"service\W+online", status.output), status.output[-3000:]

    tasks = submit(node)
    assert until(lambda: {f"{task}.crate" for task in tasks} <= set(node.crates)), node.logs()
    collected = node.play("collect", collect_dest=str(tmp_path / "home"))
    assert collected.code == 0, collected.output[-3000:]
    crates = {crate.task_id: crate for crate in map(StepCrate.open, find_crates(tmp_path / "home" / "prov"))}
    assert set(tasks) <= set(crates)
    for crate in crates.values():
        assert crate.status == "completed"
        assert check_crate(crate.path) == []
    assert node.leaks() == []


@on_all_but_quick
def test_a_second_run_changes_nothing(node: Node) -> None:
    again = node.play("site")
    assert (again.code, again.changed) == (0, 0), again.output[-6000:]


@on_all_but_quick
def test_an_option_that_changes_is_shown_and_taken(node: Node) -> None:
    options = node.variables["endpoint_options"] | {"poll_interval": 0.04}
    would = node.play("site", "--check", endpoint_options=options)
    assert (would.code, would.changed) == (0, 2), would.output[-3000:]
    assert "-{% set poll_interval" in would.output or "poll_interval" in would.output
    process = node.status()["pid"]
    play = node.play("site", endpoint_options=options)
    assert play.code == 0, play.output[-3000:]
    node.variables["endpoint_options"] = options
    assert node.online(not_process=process)


@pytest.mark.parametrize("node", [SCRONTAB], indirect=True)
def test_hosts_with_one_home_do_not_start_it_twice(node: Node) -> None:
    """The daemon runs on another host than the one that people log in to."""
    before = node.status()
    assert (before["host"], node.shell("hostname").strip()) == ("scrontab-node", "scrontab-login")
    sites = ".local/share/prov-worker/current/bin/prov-worker sites"
    document = json.loads(node.shell(f"{sites} check perlmutter-cpu --name prov --offline --json || true"))
    (line,) = [finding for finding in document["findings"] if finding["subject"] == "daemons"]
    assert line["status"] == "pass"
    assert f"on another host, which a batch system chose: process {before['pid']}" in line["found"]
    output = node.shell(f"{sites} install perlmutter-cpu prov --set account=x --set interface= 2>&1 || true")
    assert f"kept fresh by a daemon on another host (process {before['pid']})" in output
    # As on a file system that does not lock between hosts.
    refused = node.shell(f"rm .local/state/prov-worker/fleet/*/any_host/watch.lock; {COMMAND} watch 2>&1 || true")
    assert "is being watched on scrontab-node already" in refused
    assert node.status()["pid"] == before["pid"]


@on_all_but_quick
def test_after_a_reboot_it_comes_back_by_itself(node: Node) -> None:
    # At once, as if the power failed, with a user endpoint and workers alive.
    submit(node)
    node.reboot()
    assert until(node.online, timeout_s=240, pause_s=2), node.logs()
    submit(node)


@on_systemd
def test_what_is_refused_changes_nothing(node: Node) -> None:
    """As roles by themselves do (test_roles.py): a version that is not in the wheelhouse, crates that go nowhere."""
    process = node.status()["pid"]
    # Without a lock, so that what is beside the package is not installed before it is missed.
    play = node.play("upgrade", prov_worker_version="9.9.9", prov_worker_lock="")
    assert play.code == 2, play.output[-3000:]
    assert "prov-worker[fleet,plot]==9.9.9" in play.output
    assert node.shell("readlink .local/share/prov-worker/current").strip() == f"envs/{VERSION}"
    assert node.status()["pid"] == process
    nowhere = node.play("collect", collect_dest="")
    assert nowhere.code == 2, nowhere.output[-3000:]
    assert "collect_dest: name a folder of this machine" in nowhere.output


@pytest.mark.long  # another way for a version to be broken than the next one's
@on_systemd
def test_an_upgrade_that_cannot_supervise_ends_no_endpoint(node: Node, wheelhouse: Path, tmp_path: Path) -> None:
    """The daemon outlives its watch, which the broken version has become; the old one finds it."""
    process = node.status()["pid"]
    wheels = release("0.1.3", wheelhouse, tmp_path / "wheels", broken="fleet")
    play = node.play("upgrade", prov_worker_version="0.1.3", prov_worker_wheelhouse_src=str(wheels))
    assert play.code == 2, play.output[-3000:]
    assert "version 0.1.3 did not come online" in play.output
    assert "this version is broken" in play.output
    assert node.shell("readlink .local/share/prov-worker/current").strip() == f"envs/{VERSION}"
    assert node.online(), node.logs()
    assert node.status()["pid"] == process


@on_systemd
def test_an_upgrade_that_fails_loses_no_task(node: Node, wheelhouse: Path, tmp_path: Path) -> None:
    wheels = release("0.1.1", wheelhouse, tmp_path / "wheels", broken="daemon")
    # More and longer than the time for draining: some run when the endpoint is stopped, some have not been fetched.
    sent = node.site.start(SUBMIT, node.status()["endpoint_id"], "30", "3")
    assert until(lambda: node.status()["running"]), node.logs()
    play = node.play(
        "upgrade",
        prov_worker_version="0.1.1", prov_worker_wheelhouse_src=str(wheels),
        service_drain_timeout=2, service_online_timeout=25,
    )  # fmt: skip
    assert play.code == 2, play.output[-3000:]
    assert "version 0.1.1 did not come online" in play.output
    assert "this version is broken" in play.output
    assert node.shell("readlink .local/share/prov-worker/current").strip() == f"envs/{VERSION}"
    assert node.online(), node.logs()
    results = node.site.ended(sent)
    assert [number for _, number, _ in results] == list(range(30))


@on_all_but_quick
def test_an_upgrade_takes_the_new_version(node: Node, tmp_path: Path) -> None:
    wheels = release("0.1.2", Path(node.variables["prov_worker_wheelhouse_src"]), tmp_path / "wheels")
    values = {"prov_worker_version": "0.1.2", "prov_worker_wheelhouse_src": str(wheels)}
    sent = node.site.start(SUBMIT, node.status()["endpoint_id"], "4", "2")
    play = node.play("upgrade", **values)
    assert play.code == 0, play.output[-3000:]
    assert node.shell("readlink .local/share/prov-worker/current").strip() == "envs/0.1.2"
    assert len(node.site.ended(sent)) == 4
    node.variables |= values
    again = node.play("upgrade")
    assert (again.code, again.changed) == (0, 0), again.output[-6000:]


@on_slurm
def test_what_the_site_lacks_stops_it_before_the_start(node: Node) -> None:
    process = node.status()["pid"]
    options = node.variables["endpoint_options"] | {"partition": "nowhere"}
    play = node.play("site", endpoint_options=options)
    assert play.code == 2
    assert "nowhere" in play.output
    assert node.status()["pid"] == process
    assert node.play("site").code == 0


@on_slurm
def test_a_wrong_option_is_refused_by_name(node: Node) -> None:
    refused = node.play("site", service_mode="launchd")
    assert refused.code == 2
    assert "value of service_mode must be one of" in refused.output
    assert "launchd" in refused.output


@on_all_but_quick
def test_removed_it_leaves_crates_and_what_others_have(node: Node) -> None:
    crates = node.crates
    play = node.play("remove", "-e", "endpoint_remove_directory=true")
    assert play.code == 0, play.output[-3000:]
    left = node.shell(FILES)
    assert "prov-worker" not in left
    assert "./.globus_compute/prov/" not in left
    for mine in ("other/config.yaml", "systemd/user/mine.service", "share/mine"):
        assert mine in left
    assert ("/bin/true # mine" in left) == (node.kind != "systemd")
    # A block that outlived its endpoint, when the node went down, ends by itself.
    ask = "ps -u alice -o args= | grep -i '[g]lobus' || true"
    assert until(lambda: not node.shell(ask), timeout_s=180), node.shell(ask)
    assert node.crates == crates != []
    assert node.leaks() == []
    again = node.play("remove", "-e", "endpoint_remove_directory=false")
    assert (again.code, again.changed) == (0, 0), again.output[-6000:]
