"""A trigger is killed at random moments: each folder is fired once, none is lost."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest

from support.commands import run_python

#: Forks a trigger over and over, kills each at a random moment, and makes folders meanwhile; the last one is left to
#: finish. Forked, so that 200 of them take as long as they live.
DRIVER = """
import os, random, signal, sys, time, traceback
from pathlib import Path
from prov_worker.trigger import Watcher
from prov_worker.trigger.trigger import Trigger
from prov_worker.trigger.actions.command import CommandAction
import prov_worker.trigger.record, prov_worker.trigger.actions.keeper

base, kills, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
data, log = base / "data", base / "log"
data.mkdir()
chance = random.Random(seed)
command = f'basename "$1" >> {log}'

def serve(total):
    import threading
    ended = threading.Event()
    with Watcher(data, settle_s=0.1, every_s=0.05, state=base / "state") as watcher:
        action = CommandAction(command, watcher.state.runs)
        trigger = Trigger(watcher, action, base / "crates", lambda text: None, ended,
                          parallel=chance.choice([1, 3]), backoff_s=(0.05, 0.1))
        thread = threading.Thread(target=trigger.run)
        thread.start()
        done = 0
        while total is None or done < total:
            time.sleep(0.05)
            done = sum(record.content in record.fired for record in watcher.state.records.values())
        ended.set()
        thread.join()

made = 0
for number in range(kills):
    for _ in range(chance.randrange(3)):
        folder = data / f"run{made}"
        folder.mkdir()
        (folder / "file").write_text("x")
        made += 1
    pid = os.fork()
    if pid == 0:
        try:
            serve(None)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(3)
    time.sleep(chance.uniform(0.0, 0.6))
    os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    if not os.WIFSIGNALED(status):
        sys.exit(f"trigger {number} ended by itself: {status}")
serve(made)
print(made)
"""


def killed(path: Path, kills: int) -> None:
    seed = random.randrange(1 << 30)
    done = run_python("-W", "ignore", "-c", DRIVER, str(path), str(kills), str(seed), timeout=280)
    assert done.returncode == 0, f"seed {seed}: {done.stderr}"
    made = int(done.stdout)
    fired = Counter((path / "log").read_text().splitlines())
    assert fired == Counter(f"run{number}" for number in range(made)), f"seed {seed}"
    assert len(list((path / "crates").glob("*.trigger.crate"))) == made


def test_each_folder_is_fired_once_over_kills(tmp_path: Path) -> None:
    killed(tmp_path, 20)


@pytest.mark.long
def test_each_folder_is_fired_once_over_many_kills(tmp_path: Path) -> None:
    killed(tmp_path, 200)


def test_a_keeper_that_was_killed_is_no_end(tmp_path: Path) -> None:
    """Killed with its command, as by a batch job that is over: the attempt has failed, and is made again."""
    code = (
        "import sys, threading, time, os, signal\n"
        "from pathlib import Path\n"
        "from prov_worker.trigger.actions.command import CommandAction\n"
        "from prov_worker.trigger.watcher import Settled\n"
        "runs = Path(sys.argv[1])\n"
        "action = CommandAction('sleep 600', runs)\n"
        "folder = Settled(runs, 1, 1, 1, 1, 'c')\n"
        "assert action.begin('key-1', folder, again=False) is None\n"
        "while not (runs / 'key-1.began').exists(): time.sleep(0.02)\n"
        "keeper = int((runs / 'key-1.began').read_text().split()[0])\n"
        "assert CommandAction('sleep 600', runs).begin('key-1', folder, again=True) is None\n"
        "os.killpg(keeper, signal.SIGKILL)\n"
        "while (outcome := action.outcome('key-1')) is None: time.sleep(0.02)\n"
        "print(outcome.error)\n"
        "print(CommandAction('sleep 600', runs).begin('key-1', folder, again=True).error)\n"
    )
    done = run_python("-c", code, str(tmp_path))
    assert done.stdout.splitlines() == ["was killed before it ended, or could not begin"] * 2, done.stderr
