"""The agent writes packs: what it appends is whole, there once, and survives each death of it."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from prov_worker.agent import recover
from prov_worker.crate.check import check_crate
from prov_worker.crate.reader import StepCrate
from prov_worker.crate.sources import find_sources
from prov_worker.model import host_name
from prov_worker.spool.paths import JournalName, place_of, runtime_dir, spool_dir

NOW = 1_795_000_000_000_000_000
#: An agent's finishing half on the journal of a worker that is gone; its packs are small.
AGENT = """
import sys, time
from pathlib import Path
from prov_worker.agent.finaliser import Finaliser
from prov_worker.agent.orphaned_journals import UNKNOWN, journals
from prov_worker.agent.publisher import Publisher
from prov_worker.crate.packs import writer
crates, runtime = sys.argv[1:]
writer.MAX_CRATES = 40
finaliser = Finaliser(runtime, Publisher(crates))
for journal, name in journals(crates, [runtime]):
    finaliser.adopt(journal, UNKNOWN)
finaliser.finish()
print("ready", flush=True)
while finaliser.outstanding:
    finaliser.work(time.monotonic() + 1)
finaliser.work(time.monotonic())
finaliser.close()
"""


@pytest.fixture
def crate_dir(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "crates"
    path.mkdir()
    yield path
    shutil.rmtree(runtime_dir(str(path)), ignore_errors=True)


def write_journal(crate_dir: Path, count: int) -> list[str]:
    """Write the journal of a worker that is gone; return its tasks."""
    runtime = runtime_dir(str(crate_dir))
    place = place_of(runtime)
    name = JournalName(host_name(), 2**22, 7, None, place)
    settings = {"crate_dir": str(crate_dir), "probes": [], "plots": "none", "crates": "packs"}
    lines: list[dict[str, object]] = [
        {"t": "worker", "v": 1, "host": name.host, "place": place, "pid": name.pid, "settings": settings},
        {"t": "function", "k": 1, "name": "f", "module": "m"},
    ]
    tasks = [str(uuid.UUID(int=number + 1, version=4)) for number in range(count)]
    for task in tasks:
        lines.append({"t": "start", "task": task, "n": 1, "ns": NOW, "k": 1})
        lines.append({"t": "end", "task": task, "n": 1, "ns": NOW, "m": 1000, "dur": 10**9, "ok": 1})
    path = Path(spool_dir(str(crate_dir)), str(name))
    path.parent.mkdir()
    path.write_text("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines))
    return tasks


def start_agent(crate_dir: Path) -> subprocess.Popen[str]:
    runtime = runtime_dir(str(crate_dir))
    return subprocess.Popen([sys.executable, "-c", AGENT, crate_dir, runtime], stdout=subprocess.PIPE, text=True)


def published(crate_dir: Path) -> list[str]:
    return sorted(StepCrate.open(source).task_id for source in find_sources(crate_dir, pytest.fail))


def test_an_agent_leaves_one_closed_pack_and_no_directory(crate_dir: Path) -> None:
    tasks = write_journal(crate_dir, 30)
    with start_agent(crate_dir) as agent:
        agent.communicate()
    assert agent.returncode == 0
    assert published(crate_dir) == tasks
    names = [name for name in os.listdir(crate_dir) if not name.startswith(".")]
    assert len(names) == 1
    assert names[0].endswith(".crates.zip")
    assert all(check_crate(source) == [] for source in find_sources(crate_dir, pytest.fail))


def test_recover_writes_packs_for_records_that_ask_for_them(crate_dir: Path) -> None:
    tasks = write_journal(crate_dir, 5)
    assert recover.recover(crate_dir).finished == 5
    assert published(crate_dir) == tasks
    assert recover.recover(crate_dir).finished == 0
    assert published(crate_dir) == tasks


@pytest.mark.faults
@pytest.mark.parametrize("times", [7, pytest.param(60, marks=pytest.mark.long)])
def test_an_agent_that_is_killed_again_and_again_loses_and_doubles_nothing(crate_dir: Path, times: int) -> None:
    """It dies while it appends, between a crate and its line in the ledger, and while it closes packs."""
    tasks = write_journal(crate_dir, 50 * times)
    chosen = random.Random(3)
    deaths = 0
    for _ in range(times):
        with start_agent(crate_dir) as agent:
            assert agent.stdout is not None
            agent.stdout.readline()
            time.sleep(chosen.random() * 0.06)
            agent.kill()
        deaths += agent.returncode == -signal.SIGKILL
        seen = published(crate_dir)  # in the middle of it: whole crates, each once
        assert len(seen) == len(set(seen))
        if agent.returncode == 0:
            break
    assert deaths > times // 2
    with start_agent(crate_dir) as agent:
        agent.communicate()
    assert published(crate_dir) == tasks


def test_a_reader_beside_an_agent_never_sees_half_a_crate(crate_dir: Path) -> None:
    tasks = write_journal(crate_dir, 300)
    counts = [0]
    with start_agent(crate_dir) as agent:
        while agent.poll() is None:
            sources = list(find_sources(crate_dir, pytest.fail))
            for source in sources[-20:]:
                assert check_crate(source) == []
            assert len(sources) >= counts[-1]
            counts.append(len(sources))
    assert published(crate_dir) == tasks
