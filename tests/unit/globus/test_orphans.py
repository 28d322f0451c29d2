"""Whose an interchange, a manager or a worker is, and whether its engine is gone: processes that look like them."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from prov_worker.globus import orphans, processes
from prov_worker.globus.orphans import PoolProcess
from support.pretend import Pretender, pretending

TITLE = "parsl: HTEX interchange"
POOL = ("python", "-m", "parsl.executors.high_throughput.process_worker_pool")
FORK = ("python", "--multiprocessing-fork")
NOBODY = 65534


@pytest.fixture
def pretend(tmp_path: Path) -> Iterator[Pretender]:
    yield from pretending(tmp_path / "pretended")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Of an engine, as it leaves it."""
    folder = tmp_path / "uep.1.2"
    for name in ("Engine-HTEX/certificates", "Engine-HTEX/block-0/abc", "submit_scripts"):
        (folder / name).mkdir(parents=True)
    return folder


def part_of(process: psutil.Process) -> PoolProcess | None:
    return next((part for part in orphans.pool_processes() if part.process == process), None)


def is_orphan(process: psutil.Process) -> bool:
    return process in {part.process for part in orphans.without_engine(orphans.pool_processes())}


def test_an_interchange_is_known_by_its_log(pretend: Pretender, folder: Path, tmp_path: Path) -> None:
    orphan = pretend.orphan(TITLE, opened=folder / "Engine-HTEX" / "interchange.log")
    part = part_of(orphan)
    assert part is not None
    assert (part.kind, part.folder, part.engine) == ("interchange", folder, None)
    assert is_orphan(orphan)
    link = tmp_path / "link"
    link.symlink_to(folder)
    assert orphans.is_in(part, folder)
    assert orphans.is_in(part, link)
    assert not orphans.is_in(part, tmp_path / "uep.1.3")
    assert not orphans.is_in(part, folder.parent)
    (folder / "Engine-HTEX" / "interchange.log").unlink()
    assert part_of(orphan) == part, "a log that was removed is open still"


def test_an_interchange_without_a_log_yet(pretend: Pretender, folder: Path) -> None:
    command = ("python", "-m", "parsl.executors.high_throughput.interchange")
    daemons = pretend.orphan(*command, GLOBUS_COMPUTE_ENDPOINT_DIR=str(folder))
    embedded = pretend.orphan(*command)
    assert [part and part.folder for part in map(part_of, (daemons, embedded))] == [folder, None]
    assert is_orphan(embedded)


def test_an_interchange_whose_engine_lives(pretend: Pretender, folder: Path) -> None:
    """Its parent is this process, which has no other executor in this folder."""
    process = psutil.Process(pretend(TITLE, opened=folder / "Engine-HTEX" / "interchange.log").pid)
    part = part_of(process)
    assert part is not None
    assert part.engine == psutil.Process()
    assert not is_orphan(process)
    manager = pretend.orphan(*POOL, f"--logdir={folder}/Engine-HTEX")
    assert not is_orphan(manager), "an engine of its folder lives"
    process.kill()
    process.wait()
    assert is_orphan(manager)


@pytest.mark.parametrize(
    "options",
    [
        ("--logdir={}/Engine-HTEX",),
        ("--logdir", "/scratch/logs/Engine-HTEX", "--cert_dir", "{}/Engine-HTEX/certificates"),
        ("--cert_dir", "None", "--logdir={}/Engine-HTEX", "-a", "192.0.2.7,127.0.0.1"),
    ],
    ids=["its logs", "its certificates", "an address of this host"],
)
def test_a_manager_is_known_by_its_options(pretend: Pretender, folder: Path, options: tuple[str, ...]) -> None:
    orphan = pretend.orphan(*POOL, *(option.format(folder) for option in options))
    part = part_of(orphan)
    assert part is not None
    assert (part.kind, part.folder) == ("manager", folder)
    assert is_orphan(orphan)


def test_a_manager_whose_interchange_is_on_another_host(pretend: Pretender, folder: Path) -> None:
    """A compute node: nobody here can say whether the engine lives."""
    far = pretend.orphan(*POOL, "-a", "192.0.2.7", f"--logdir={folder}/Engine-HTEX")
    near = pretend.orphan(*POOL, "-a", socket.gethostname(), f"--logdir={folder}/Engine-HTEX")
    assert (is_orphan(far), is_orphan(near)) == (False, True)


def test_workers_are_known_by_their_log_or_their_block(pretend: Pretender, folder: Path) -> None:
    worker = pretend.orphan(*FORK, opened=folder / "Engine-HTEX" / "block-0" / "abc" / "worker_0.log")
    helper = pretend.orphan(*FORK, stdout=folder / "submit_scripts" / "parsl.block-0.out")
    another = pretend.orphan(*FORK)
    parts = [part_of(process) for process in (worker, helper, another)]
    assert [part and (part.kind, part.folder) for part in parts] == [("worker", folder), ("worker", folder), None]


@pytest.mark.parametrize("command", [("vim", "process_worker_pool.py"), ("python", "my_interchange.py"), ("less",)])
def test_other_programs(pretend: Pretender, folder: Path, command: tuple[str, ...]) -> None:
    """An editor has a name in its command line, and works in the folder."""
    process = pretend.orphan(*command, opened=folder / "Engine-HTEX" / "manager.log")
    part = part_of(process)
    assert part is None or not orphans.is_in(part, folder)
    assert not is_orphan(process)


def test_a_block_is_ended_with_what_its_tasks_started(pretend: Pretender, folder: Path) -> None:
    output = folder / "submit_scripts" / "parsl.block-0.out"
    manager = pretend.orphan(*POOL, f"--logdir={folder}/Engine-HTEX", stdout=output)
    other = pretend.orphan("/bin/program", stdout=output)  # in a session of its own, as a server that a task started
    foreign = pretend.orphan(TITLE, opened=folder.parent / "interchange.log")
    part = part_of(manager)
    assert part is not None
    assert orphans.end([part]) == []
    assert [processes.is_alive(process) for process in (manager, other, foreign)] == [False, True, True]


def test_one_that_ignores_sigterm(pretend: Pretender, folder: Path) -> None:
    process = pretend.orphan(TITLE, opened=folder / "Engine-HTEX" / "interchange.log")
    part = part_of(process)
    assert part is not None
    process.send_signal(signal.SIGSTOP)  # SIGTERM waits for SIGCONT
    assert orphans.end([part], grace_s=0.2) == []
    assert not processes.is_alive(process)


def test_a_number_that_another_process_has_by_now(pretend: Pretender) -> None:
    process = psutil.Process(pretend("python").pid)
    start = processes.process_start(process.pid)
    assert processes.living(process.pid, start) == process
    assert processes.living(process.pid, start - 1) is None
    process.kill()
    assert processes.wait_gone([process], 10) == []
    assert processes.living(process.pid) is None, "nobody has waited for it"


@pytest.mark.skipif(os.getuid() != 0, reason="only root can start processes of another user")
def test_those_of_another_user_are_named_and_never_ours(pretend: Pretender, folder: Path) -> None:
    process = pretend.orphan_of(NOBODY, TITLE)
    part = part_of(process)
    assert part is not None
    assert f"process {process.pid} of nobody since " in str(part)
    assert not part.is_mine
    assert not orphans.is_in(part, folder)
    assert is_orphan(process)
