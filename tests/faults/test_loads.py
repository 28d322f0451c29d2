"""Many tasks, many threads, little memory."""

from __future__ import annotations

import os
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.crate_dir import CrateDir, alive, wait_until
from support.direct import Call, Start

MEMORY = Path("/sys/fs/cgroup/memory")


@pytest.mark.slow
@pytest.mark.parametrize("count", [4_000, pytest.param(20_000, marks=pytest.mark.long)])
def test_many_tasks_in_a_row(crate_dir: CrateDir, start: Start, tmp_path: Path, count: int) -> None:
    go = tmp_path / "end"
    body = _body()
    calls = [Call("nothing", body=body) for _ in range(count - 2)]
    first, last = Call("descriptors_and_memory"), Call("descriptors_and_memory")
    worker = start(*calls[:500], first, *calls[500:], last, linger=go)
    agent = crate_dir.wait_for_agent()
    wait_until(lambda: len(_listed(crate_dir)) > 500, "the first crates")
    files, memory = _of(agent["finaliser"]), _of(agent["pid"])
    wait_until(lambda: worker.raw(count - 1), "all results", 240)
    wait_until(
        lambda: len(_listed(crate_dir)) == count,
        lambda: f"{len(_listed(crate_dir))} crates\n{crate_dir.describe()}",
        240,
    )
    before, after = worker.value(500), worker.value(count - 1)
    assert after[0] <= before[0]
    # the test's own list of calls is in the worker too; what the recorder kept would be hundreds of bytes a task
    assert after[1] - before[1] < 5_000
    for pid, (descriptors, kb) in ((agent["finaliser"], files), (agent["pid"], memory)):
        now = _of(pid)
        assert now[0] <= descriptors + 3
        assert now[1] - kb < 12_000
    go.touch()
    assert worker.wait() == 0
    crate_dir.wait_for_end_of_agent()
    assert len(_listed(crate_dir)) == count
    assert crate_dir.journals(closed=False) == []


def _body() -> bytes:
    from support import calls
    from support.worker import pack

    return pack(calls.nothing, (), {}, uuid.UUID(int=1))


def _listed(crate_dir: CrateDir) -> list[str]:
    try:
        return [name for name in os.listdir(crate_dir.crates) if not name.startswith(".")]
    except FileNotFoundError:
        return []


def _of(pid: int) -> tuple[int, int]:
    """Open descriptors, and resident memory in kB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return len(os.listdir(f"/proc/{pid}/fd")), int(status.split("VmRSS:")[1].split()[0])


def test_threads_share_a_process_and_each_has_its_own_record(crate_dir: CrateDir, start: Start) -> None:
    calls = [Call("burn_then_sleep", (0.02, 0.0)) if n % 2 else Call("sleep", (0.03,)) for n in range(40)]
    worker = start(*calls, threads=4)
    assert worker.wait() == 0
    crates = crate_dir.wait_for([call.task for call in calls])
    assert [crate.function_name for crate in crates] == [call.function for call in calls]
    assert {crate.status for crate in crates} == {"completed"}
    assert len({crate.entities["#worker-thread"]["value"] for crate in crates}) == 4


@pytest.fixture
def small_memory() -> Iterator[Path]:
    """A memory cgroup (version 1 or 2) of 160 MiB."""
    name = f"prov-worker-test-{uuid.uuid4().hex[:8]}"
    unified = not MEMORY.is_dir()
    group = (Path("/sys/fs/cgroup") if unified else MEMORY) / name
    try:
        group.mkdir()
        (group / ("memory.max" if unified else "memory.limit_in_bytes")).write_text(str(160 << 20))
        swap = group / ("memory.swap.max" if unified else "memory.memsw.limit_in_bytes")
        if swap.exists():
            swap.write_text("0" if unified else str(160 << 20))
    except OSError as error:
        pytest.skip(f"an out-of-memory kill needs the right to make memory cgroups: {error}")
    yield group
    for _ in range(100):
        try:
            group.rmdir()
            return
        except OSError:
            time.sleep(0.05)


def test_the_kernel_kills_a_worker_that_takes_too_much_memory(
    crate_dir: CrateDir, start: Start, small_memory: Path
) -> None:
    calls = [Call("add", (1, 2)), Call("sleep", (0.8,)), Call("allocate", (400,))]
    # only the worker is in the small group; the agent, which it starts, is killed before it or lives: both must do
    join = f'echo $$ > {small_memory}/cgroup.procs && exec "$@"'
    worker = start(*calls, prefix=["/bin/sh", "-c", join, "sh"])
    worker.wait()
    assert worker.process.returncode == -9
    assert worker.value(0) == 3
    crate_dir.wait_for([calls[0].task])
    crate_dir.wait_for_end_of_agent(40)
    crate_dir.recover()
    crate = crate_dir.crate(calls[2].task)
    assert crate.status == "failed"
    assert crate.function_name == "allocate"
    assert "SIGKILL" in (crate.error or "") or "unknown" in str(crate.entities) or "no end" in (crate.error or "")


def test_processes_are_gone_when_the_test_is_over(crate_dir: CrateDir, start: Start) -> None:
    call = Call("add", (1, 2))
    start(call)
    crate_dir.wait_for([call.task])
    agent = crate_dir.wait_for_agent()
    crate_dir.wait_for_end_of_agent()
    wait_until(lambda: not alive(agent["pid"]) and not alive(agent["finaliser"]), "both processes end")
    listing = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=False).stdout
    assert str(crate_dir.crates) not in listing
