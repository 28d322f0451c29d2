"""``prov-worker top`` with real agents, in a terminal and for programs."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from prov_worker.live.agents import Agents
from prov_worker.spool.live import live_files
from support.commands import run_python
from support.crate_dir import CrateDir, wait_until
from support.direct import Call, Start
from support.pseudo_terminal import PseudoTerminal

Show = Callable[..., PseudoTerminal]


@pytest.fixture
def show(crate_dir: CrateDir) -> Iterator[Show]:
    """Start ``top`` in a terminal."""
    terminals = []

    def begin(*options: str, **size: int) -> PseudoTerminal:
        command = [sys.executable, "-m", "prov_worker", "top", str(crate_dir.crates), "--interval", "0.2", *options]
        terminals.append(PseudoTerminal(command, **size))
        return terminals[-1]

    yield begin
    for terminal in terminals:
        terminal.close()


def once(crate_dir: CrateDir, *options: str) -> tuple[int, dict[str, Any]]:
    """Exit status and answer of ``top --once --json``."""
    done = run_python("-m", "prov_worker", "top", crate_dir.crates, "--once", "--json", *options)
    return done.returncode, json.loads(done.stdout)


def test_a_person_sees_tasks_come_sorts_them_and_looks_at_one(
    crate_dir: CrateDir, start: Start, show: Show, tmp_path: Path
) -> None:
    crate_dir.crates.mkdir()
    terminal = show(columns=120)
    terminal.wait_until(lambda lines: any("No agent serves" in line for line in lines), "nothing runs")
    go = tmp_path / "go"
    waiting, busy = Call("wait_for_file", (str(go),)), Call("burn", (600.0,))
    worker = start(Call("add", (1, 2)), waiting, await_agent=True)
    burning = start(Call("refuse", ("no",)), busy)
    terminal.wait_until(
        lambda lines: {line[:8] for line in lines} >= {waiting.task[:8], busy.task[:8]}, "both tasks are there"
    )
    terminal.press("f")
    terminal.wait_until(
        lambda lines: (
            [line[:8] for line in lines if line[:8] in (waiting.task[:8], busy.task[:8])]
            == [busy.task[:8], waiting.task[:8]]
        ),
        "sorted by function",
    )
    terminal.press("/wait_\r")
    terminal.wait_until(
        lambda lines: all(busy.task[:8] != line[:8] for line in lines) and waiting.task[:8] in "".join(lines),
        "only the task that was searched for",
    )
    terminal.press("\r")
    terminal.wait_until(lambda lines: any(waiting.task in line for line in lines), "details")
    terminal.press("\x1b")
    terminal.wait_until(lambda lines: any("matches" in line or "filter 'wait_'" in line for line in lines), "the list")
    terminal.resize(50, 12)
    terminal.wait_until(lambda lines: len(lines) <= 12 and all(len(line) == 50 for line in lines), "a small terminal")
    terminal.resize(120, 24)
    go.touch()
    assert worker.wait() == 0
    terminal.wait_until(lambda lines: any("no running task matches" in line for line in lines), "its end")
    assert terminal.wait_until(lambda lines: any("refuse" in line for line in lines), "what ended")
    terminal.press("q")
    assert terminal.wait() == 0
    assert terminal.attributes() == terminal.before
    assert terminal.output.endswith("\x1b[?25h\x1b[?1049l")
    burning.stop()


def test_an_agent_that_hangs_holds_nobody_up(crate_dir: CrateDir, start: Start, show: Show) -> None:
    call = Call("burn", (600.0,))
    crate_dir.crates.mkdir()
    worker = start(Call("add", (1, 2)), call, await_agent=True)
    terminal = show(columns=120)
    terminal.wait_until(lambda lines: any(line.startswith(call.task[:8]) for line in lines), "the task")
    wait_until(lambda: any(call.task in Path(f).read_text() for f in live_files(str(crate_dir.crates))), "the file")
    agent = crate_dir.wait_for_agent()
    for key in ("pid", "finaliser"):
        os.kill(agent[key], signal.SIGSTOP)
    terminal.wait_until(lambda lines: any("does not answer" in line for line in lines), "that it hangs")
    terminal.press("\r")
    terminal.wait_until(lambda lines: any(call.task in line for line in lines), "details, all the same")
    status, answer = once(crate_dir)
    assert status == 1
    assert [node["state"] for node in answer["nodes"]] == ["late"]
    assert [task["task"] for node in answer["nodes"] for task in node["tasks"]] == [call.task]
    for key in ("pid", "finaliser"):
        os.kill(agent[key], signal.SIGCONT)
    terminal.press("\x1b")
    terminal.wait_until(lambda lines: any(" live " in line for line in lines), "it answers again")
    terminal.press("\x03")
    assert terminal.wait() == 130
    assert terminal.attributes() == terminal.before
    worker.stop()


def test_a_program_is_told_the_same(crate_dir: CrateDir, start: Start) -> None:
    call = Call("burn", (600.0,))
    crate_dir.crates.mkdir()
    status, answer = once(crate_dir)
    assert (status, answer["nodes"], answer["problems"]) == (0, [], [])
    worker = start(Call("add", (1, 2)), call, await_agent=True)
    status, answer = once(crate_dir)
    while not any(node["tasks"] for node in answer["nodes"]):
        status, answer = once(crate_dir)
    assert status == 0
    [node] = answer["nodes"]
    assert (node["state"], node["by"], node["tasks"][0]["task"]) == ("live", "socket", call.task)
    wait_until(lambda: live_files(str(crate_dir.crates)), "the file of the same agent")
    assert [remark.by for remark in Agents(crate_dir.crates).collect()[0]] == ["socket"], "not twice"
    shown = run_python("-m", "prov_worker", "top", crate_dir.crates, check=True)  # no terminal: tables
    assert call.task[:8] in shown.stdout
    assert "1 running" in shown.stdout
    worker.stop()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [(("/nonexistent",), "/nonexistent: no such directory"), ((".", "--sort", "age"), "'age' is not among function")],
)
def test_bad_input_is_named(arguments: tuple[str, ...], reason: str) -> None:
    done = run_python("-m", "prov_worker", "top", *arguments)
    assert done.returncode == 2
    assert reason in done.stderr
    assert len(done.stderr.splitlines()) == 1
