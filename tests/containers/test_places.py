"""Containers of one node that share its name and a crate directory, as the templates of sites start them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from prov_worker.spool.paths import JournalName
from support.containers import docker
from support.crate_dir import CrateDir, wait_until
from support.direct import TESTS, Call, DirectWorker
from support.marks import WORKER_IMAGE

if TYPE_CHECKING:
    from conftest import Machine  # of this folder

pytestmark = WORKER_IMAGE

TASKS = 40
#: Users without rights, who are nobody on this machine.
ALICE, BOB = 12001, 12002


@pytest.fixture
def crate_dir(tmp_path: Path) -> Iterator[CrateDir]:
    crates = CrateDir(tmp_path / "crates")
    crates.crates.mkdir()
    yield crates
    crates.close()


@pytest.fixture
def node(worker_image: tuple[str, str], machine: Callable[..., Machine], tmp_path: Path) -> Callable[[], Machine]:
    """Start containers with the host's network and name, which see the test's directory and the workers' program."""
    from docker.types import Mount

    mounts = [Mount(str(tmp_path), str(tmp_path), "bind"), Mount(str(TESTS), str(TESTS), "bind", read_only=True)]
    return lambda: machine(worker_image[0], network_mode="host", user="0", mounts=mounts)


@pytest.fixture
def work(crate_dir: CrateDir, tmp_path: Path) -> Iterator[Callable[..., DirectWorker]]:
    """Start workers in a container."""
    started: list[DirectWorker] = []

    def start(container: Machine, *calls: Call, user: int | None = None, **options: Any) -> DirectWorker:
        who = os.getuid() if user is None else user
        command = ["docker", "exec", "--user", f"{who}:{who}", "--env", f"PYTHONPATH={TESTS}", container.id]
        started.append(DirectWorker(tmp_path, calls, crate_dir.crates, prefix=command, python="python", **options))
        return started[-1]

    yield start
    for worker in started:
        worker.stop()


def result(worker: DirectWorker, number: int) -> None:
    wait_until(lambda: worker.raw(number) is not None, lambda: f"the result of call {number}\n{worker.text()}")


def begun(crate_dir: CrateDir, call: Call) -> bool:
    return any(line["task"] == call.task for line in crate_dir.lines("start"))


def test_two_containers_and_one_crate_directory(
    node: Callable[[], Machine], work: Callable[..., DirectWorker], crate_dir: CrateDir, tmp_path: Path
) -> None:
    go, end = tmp_path / "go", tmp_path / "end"
    plans = []
    workers = []
    for _ in range(2):
        long = Call("wait_for_file", (str(go),))
        plans.append(
            [*(Call("add", (n, n)) for n in range(TASKS - 10)), long, *(Call("add", (n, 1)) for n in range(9))]
        )
        workers.append(work(node(), *plans[-1], linger=end))
        result(workers[-1], TASKS - 11)
        wait_until(lambda long=long: begun(crate_dir, long), "the task that runs on")
    hosts = {JournalName.parse(path.name) for path in crate_dir.journals(closed=False)}
    assert len({name.host for name in hosts if name is not None}) == 1
    assert len({name.place for name in hosts if name is not None}) == 2
    for _ in range(3):
        assert "finished 0 crates" in crate_dir.recover().stdout
    assert not {plan[TASKS - 10].task for plan in plans} & {name.removesuffix(".crate") for name in crate_dir.names()}
    go.touch()
    crates = crate_dir.wait_for([call.task for plan in plans for call in plan])
    assert [crate.status for crate in crates] == ["completed"] * 2 * TASKS
    end.touch()
    assert [worker.wait() for worker in workers] == [0, 0]
    assert len(crate_dir.names()) == 2 * TASKS


def test_a_container_that_is_restarted(
    node: Callable[[], Machine], work: Callable[..., DirectWorker], crate_dir: CrateDir, tmp_path: Path
) -> None:
    """Its place may be the same again, as the kernel gives the numbers of name spaces again, or another one."""
    end = tmp_path / "end"
    container = node()
    began, lost = Call("add", (1, 2)), Call("wait_for_file", ("/nowhere",))
    first = work(container, began, lost)
    result(first, 0)
    wait_until(lambda: begun(crate_dir, lost), "the task that is lost")
    docker("restart", "--time", "0", container.id)
    first.wait()
    after = [Call("add", (n, n)) for n in range(TASKS)]
    second = work(container, *after, linger=end)
    crates = crate_dir.wait_for([call.task for call in after])
    assert {crate.status for crate in crates} == {"completed"}
    took = docker("exec", container.id, "prov-worker", "recover", str(crate_dir.crates), "--take-over", check=False)
    assert "finished" in took
    assert [crate.status for crate in crate_dir.wait_for([began.task, lost.task])] == ["completed", "failed"]
    end.touch()
    assert second.wait() == 0
    assert len(crate_dir.names()) == TASKS + 2


def test_two_users_and_one_crate_directory(
    node: Callable[[], Machine], work: Callable[..., DirectWorker], crate_dir: CrateDir, tmp_path: Path
) -> None:
    end = tmp_path / "end"
    for directory in (tmp_path, crate_dir.crates):
        directory.chmod(0o1777)
    container = node()
    plans = {user: [Call("add", (n, user)) for n in range(TASKS)] for user in (ALICE, BOB)}
    workers = [work(container, *plan, user=user, linger=end) for user, plan in plans.items()]
    crates = crate_dir.wait_for([call.task for plan in plans.values() for call in plan])
    assert {crate.status for crate in crates} == {"completed"}
    for user, plan in plans.items():
        assert {(crate_dir.crates / f"{call.task}.crate").stat().st_uid for call in plan} == {user}
    spools = sorted(path for path in crate_dir.crates.iterdir() if path.name.startswith(".spool"))
    assert {path.stat().st_uid for path in spools} == {ALICE, BOB}
    assert {path.stat().st_mode & 0o777 for path in spools} == {0o700}
    end.touch()
    assert [worker.wait() for worker in workers] == [0, 0]
    assert len(crate_dir.names()) == 2 * TASKS
