"""Arguments and results of every size and kind; journals and slots that are damaged."""

from __future__ import annotations

import os
import random
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from prov_worker.agent.sampler import Sampler
from prov_worker.errors import SpoolError
from prov_worker.spool.slot import SIZE, Slot
from prov_worker.spool.slot_reader import SlotReader
from support import calls as functions
from support.crate_dir import CrateDir, kill_together, wait_until
from support.direct import Call, DirectWorker, Start
from support.worker import pack


def test_arguments_and_results_that_cannot_travel(crate_dir: CrateDir, start: Start) -> None:
    stubborn = pack(functions.add, (functions.Stubborn(), 1), {}, uuid.uuid4())
    calls = [
        Call("add", body=stubborn),
        Call("unserialisable"),
        Call("large", (4 << 20,)),
        Call("add", (1, 2)),
    ]
    worker = start(*calls, options={"result_size_limit": 1 << 20})
    assert worker.wait() == 0
    assert "refuses to be rebuilt" in worker.message(0).data
    assert worker.message(2).error_details.code == "MaxResultSizeExceeded"
    assert worker.value(3) == 3
    crates = crate_dir.wait_for([call.task for call in calls])
    assert [crate.status for crate in crates] == ["failed", "failed", "failed", "completed"]
    assert "refuses to be rebuilt" in (crates[0].error or "")
    assert "MaxResultSizeExceeded" in (crates[2].error or "")
    assert crates[1].function_name == "unserialisable"


@pytest.mark.slow
@pytest.mark.parametrize("capture", [pytest.param("types", marks=pytest.mark.long), "values"])  # values have types
def test_an_argument_of_100_mb(crate_dir: CrateDir, start: Start, capture: str) -> None:
    size = 100 << 20
    calls = [Call("length", (b"x" * size,)), Call("length", (["token " + "y" * size],)), Call("length", (10**5000,))]
    worker = start(*calls, settings={"capture_arguments": capture})
    assert worker.wait(240) == 0
    assert [worker.value(0), worker.value(1)] == [size, 1]
    crates = crate_dir.wait_for([call.task for call in calls])
    assert [crate.status for crate in crates] == ["completed", "completed", "failed"]
    for path in crate_dir.crates.rglob("*"):
        assert not path.is_file() or path.stat().st_size < 1 << 20


@pytest.fixture(scope="module")
def unfinished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[list[Call], CrateDir]]:
    """Nine tasks that a worker ran, and its crate directory, which nobody finishes. Read only."""
    directory = tmp_path_factory.mktemp("unfinished")
    (directory / "sitecustomize.py").write_text("import sys; sys.executable = None")  # no agent can be started
    tests = Path(__file__).parents[1]
    path = os.pathsep.join([str(directory), str(tests.parent / "src"), str(tests)])
    calls = [Call("add", (n, n)) for n in range(9)]
    crate_dir = CrateDir(directory / "crates")
    worker = DirectWorker(directory, calls, crate_dir.crates, environment={"PYTHONPATH": path})
    try:
        assert worker.wait() == 0
        yield calls, crate_dir
    finally:
        worker.stop()
        crate_dir.close()


@pytest.mark.parametrize("place", ["first", "middle", "last"])
@pytest.mark.parametrize("damage", ["torn", "garbage", "zeros", "not_an_object", "wrong_types"])
def test_a_damaged_line_costs_no_other_task(
    crate_dir: CrateDir, unfinished: tuple[list[Call], CrateDir], place: str, damage: str
) -> None:
    calls, source = unfinished
    assert source.names() == []
    shutil.copytree(source.crates, crate_dir.crates)
    (journal,) = crate_dir.journals()
    lines = journal.read_bytes().splitlines(keepends=True)
    at = {"first": 0, "middle": len(lines) // 2, "last": len(lines) - 1}[place]
    hit = lines[at]
    lines[at] = {
        "torn": hit[: len(hit) // 2] + (b"" if place == "last" else b"\n"),
        "garbage": bytes(random.Random(7).randrange(256) for _ in range(200)) + b"\n",
        "zeros": bytes(300) + b"\n",
        "not_an_object": b"[1, 2]\n",
        "wrong_types": b'{"t":"end","task":17,"n":"x","ns":"now","dur":{},"ok":[]}\n{"t":"start","task":null,"n":[]}\n'
        b'{"t":"end","task":17,"n":1,"ns":5,"m":1,"dur":3,"ok":1,"u":[1],"args":7}\n',
    }[damage]
    journal.write_bytes(b"".join(lines))
    done = crate_dir.recover(check=False)
    assert done.returncode in (0, 1), done.stderr
    assert "Traceback" not in done.stderr
    tasks = {call.task for call in calls}
    crates = [name for name in crate_dir.names() if name.removesuffix(".crate") in tasks]
    # the damaged line may have been the only one of its task
    assert len(crates) >= (9 if place == "first" else 8), done.stdout
    if place == "first":
        assert {crate_dir.crate(call.task).host for call in calls} == {os.uname().nodename.split(".")[0]}


def test_a_damaged_slot_costs_its_worker_no_crate_and_nobody_else_anything(
    crate_dir: CrateDir, start: Start, tmp_path: Path
) -> None:
    go = tmp_path / "end"
    first, second = Call("add", (1, 2)), Call("add", (3, 4))
    process = start(first, linger=go)
    crate_dir.wait_for([first.task])
    (slot,) = crate_dir.runtime.glob("slot.*")
    with slot.open("r+b") as file:
        file.write(os.urandom(SIZE))  # amid the agent's work
    other = start(second, linger=go)
    crate_dir.wait_for([second.task])
    go.touch()
    assert [process.wait(), other.wait()] == [0, 0]
    crate_dir.wait_for_end_of_agent()
    crate_dir.recover()
    assert len(crate_dir.names()) >= 2


def test_slots_of_any_content_harm_no_sampler(tmp_path: Path) -> None:
    """Whatever stands in a page: it is read, or refused with one error."""
    rng = random.Random(20)
    good = tmp_path / "good"
    Slot(str(good), os.getpid(), 0, 5, 0.05, "/spool/h-1-5.jsonl").begin(1, 1, 1, b"t" * 16, 1)
    page = good.read_bytes()
    runtime = tmp_path / "runtime"
    runtime.mkdir()
    refused = 0
    for number in range(400):
        data = bytearray(page)
        for _ in range(rng.choice([1, 2, 8, 64])):
            data[rng.choice([rng.randrange(120), rng.randrange(SIZE), rng.randrange(2040, 2080)])] = rng.randrange(256)
        path = runtime / f"slot.{number}"
        path.write_bytes(data)
        try:
            reader = SlotReader(str(path))
        except SpoolError:
            refused += 1
        else:
            reader.read()
            reader.close()
    assert refused > 50
    for name, data in (("short", b"PRVSLT01"), ("empty", b""), ("zeros", bytes(SIZE))):
        (runtime / f"slot.{name}").write_bytes(data)
    (runtime / "slot.directory").mkdir()
    sampler = Sampler(str(runtime))
    for number in range(5):
        sampler.tick(10**9 * (number + 1))
        sampler.period_s(10**9 * (number + 1))
    sampler.close()


def test_a_reused_process_id_is_another_process(crate_dir: CrateDir, start: Start, tmp_path: Path) -> None:
    """A slot whose process is gone, and whose id lives again with another start."""
    go = tmp_path / "end"
    call = Call("add", (1, 2))
    start(call, linger=go)
    crate_dir.wait_for([call.task])
    task = os.urandom(16)
    dead = Slot(
        str(crate_dir.runtime / f"slot.{os.getpid()}"),
        os.getpid(),
        0,
        12345,
        0.05,
        str(crate_dir.spool / "h-1-12345.jsonl"),
    )
    dead.begin(10**18, 1, 0, task, 1)
    text = task.hex()
    name = f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
    (crate,) = crate_dir.wait_for([name])
    assert crate.status == "failed"
    wait_until(lambda: not Path(dead.path).exists(), "the slot is cleared away")
    go.touch()


def test_a_task_lost_twice_is_one_crate_after_recover_and_the_next_agent(
    crate_dir: CrateDir, start: Start, tmp_path: Path
) -> None:
    """Worker and agent die together; recover finishes; the slot that is left must not make a second record."""
    started = tmp_path / "started"
    call = Call("touch_and_wait", (str(started), "/nonexistent"))
    worker = start(call)
    wait_until(started.exists, "the task runs")
    agent = crate_dir.wait_for_agent()
    kill_together(agent["finaliser"], agent["pid"], worker.pid)
    worker.wait()
    crate_dir.wait_for_end_of_agent()
    crate_dir.recover()
    before = crate_dir.crate(call.task).path.joinpath("ro-crate-metadata.json").read_bytes()
    after = Call("add", (1, 2))
    start(after)
    crate_dir.wait_for([after.task])
    crate_dir.wait_for_end_of_agent()
    assert crate_dir.names() == sorted([f"{call.task}.crate", f"{after.task}.crate"])
    assert crate_dir.crate(call.task).path.joinpath("ro-crate-metadata.json").read_bytes() == before
    assert list(crate_dir.runtime.glob("slot.*")) == []


@pytest.mark.parametrize("number", [9, 15])
def test_a_function_that_was_always_quick_is_killed(
    crate_dir: CrateDir, start: Start, number: int, tmp_path: Path
) -> None:
    """After many quick calls a start is not in the journal at once; a kill must not lose it."""
    go = tmp_path / "go"
    go.touch()
    quick = [Call("wait_for_file", (str(go),)) for _ in range(50)]
    slow = Call("wait_for_file", (str(tmp_path / "never"),))
    worker = start(*quick, slow)
    crate_dir.wait_for([call.task for call in quick])
    wait_until(lambda: worker.raw(49), "the quick ones")
    import time

    time.sleep(0.5)
    os.kill(worker.pid, number)
    (crate,) = crate_dir.wait_for([slow.task])
    worker.wait()
    assert crate.status == "failed"
    assert crate.function_name == "wait_for_file"
