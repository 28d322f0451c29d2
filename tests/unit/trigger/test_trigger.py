"""``Trigger`` with commands: begun once, tried again, kept over restarts, recorded in a crate."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prov_worker.trigger import Watcher
from prov_worker.trigger.actions.command import CommandAction
from prov_worker.trigger.trigger import Trigger


class Desk:
    """A directory of folders, and triggers on it, one after the other."""

    def __init__(self, path: Path) -> None:
        self.path, self.data, self.log = path, path / "data", path / "log"
        self.data.mkdir()
        self.lines: list[str] = []

    def put(self, name: str, *names: str) -> None:
        (self.data / name).mkdir(exist_ok=True)
        for file in names or ("a",):
            (self.data / name / file).write_text(file)

    def run(self, command: str, until: Callable[[], bool], **options: Any) -> Trigger:
        """Run a trigger until something holds."""
        ended = threading.Event()
        with Watcher(self.data, settle_s=0.2, every_s=0.1, state=self.path / "state") as watcher:
            action = CommandAction(command, watcher.state.runs)
            crates = self.path / "crates"
            trigger = Trigger(watcher, action, crates, self.lines.append, ended, backoff_s=(0.1, 0.2), **options)
            thread = threading.Thread(target=trigger.run)
            thread.start()
            while not until() and thread.is_alive():
                time.sleep(0.02)
            ended.set()
            thread.join()
        return trigger

    def fired(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def done(desk: Desk, count: int) -> Callable[[], bool]:
    return lambda: sum(": done" in line for line in desk.lines) == count


def test_each_folder_is_given_to_the_command_once(desk: Desk) -> None:
    for name in ("run1", "run 2", "run$(touch x)"):
        desk.put(name, "a", "b")
    command = f'test "$1" = "$PROV_WORKER_TRIGGER_PATH" && basename "$1" >> {desk.log}'
    trigger = desk.run(command, done(desk, 3))
    assert (trigger.fired, trigger.failed) == (3, 0)
    assert sorted(desk.fired()) == sorted(["run1", "run 2", "run$(touch x)"])
    # and a later trigger has nothing to do
    deadline = time.monotonic() + 0.6
    desk.run(command, lambda: time.monotonic() > deadline)
    assert len(desk.fired()) == 3


def test_a_command_that_fails_is_tried_again_and_says_why(desk: Desk) -> None:
    desk.put("run1")
    count = f"echo x >> {desk.log}; test $(wc -l < {desk.log}) -ge 3 || {{ echo no beam; exit 7; }}"
    trigger = desk.run(count, done(desk, 1))
    assert (trigger.fired, trigger.failed) == (1, 2)
    attempts = [line for line in desk.lines if "failed" in line]
    assert attempts[0].startswith("run1: attempt 1 failed: ended with code 7: no beam; its output is in ")
    assert attempts[1].startswith("run1: attempt 2 failed")


def test_what_failed_is_kept_over_a_restart_and_new_content_begins_anew(desk: Desk) -> None:
    desk.put("run1")
    trigger = desk.run("exit 3", lambda: any("attempt 1 failed" in line for line in desk.lines))
    assert trigger.fired == 0
    desk.run("exit 3", lambda: any("attempt 2 failed" in line for line in desk.lines))
    desk.put("run1", "b")
    desk.lines.clear()
    desk.run("exit 3", lambda: any("attempt 1 failed" in line for line in desk.lines))


def test_a_command_goes_on_without_its_trigger_and_is_not_begun_again(desk: Desk) -> None:
    desk.put("run1")
    gate = desk.path / "gate"
    command = f"echo begun >> {desk.log}; while ! test -e {gate}; do sleep 0.05; done; echo ended >> {desk.log}"
    desk.run(command, lambda: desk.fired() == ["begun"])
    gate.touch()
    desk.run(command, done(desk, 1))
    assert desk.fired() == ["begun", "ended"]
    assert "run1: was begun before; looking how it ended" in desk.lines


def test_commands_run_one_after_the_other_unless_more_are_asked_for(desk: Desk) -> None:
    for number in range(3):
        desk.put(f"run{number}")
    command = f"echo b >> {desk.log}; sleep 0.2; echo e >> {desk.log}"
    desk.run(command, done(desk, 3))
    assert desk.fired() == ["b", "e"] * 3


def test_a_command_that_was_killed_is_tried_again(desk: Desk) -> None:
    desk.put("run1")
    desk.run(f"echo x >> {desk.log}; test $(wc -l < {desk.log}) -ge 2 || kill -9 $$", done(desk, 1))
    assert any("was ended by signal 9" in line for line in desk.lines)


def test_the_trigger_leaves_a_crate(desk: Desk) -> None:
    desk.put("run1", "a", "bb")
    desk.run("true", done(desk, 1))
    (crate,) = (desk.path / "crates").iterdir()
    graph = {entity["@id"]: entity for entity in json.loads((crate / "ro-crate-metadata.json").read_text())["@graph"]}
    action = graph["#trigger"]
    assert action["object"] == {"@id": (desk.data / "run1").as_uri()}
    assert action["startTime"] <= action["endTime"]
    assert graph[action["result"]["@id"]]["name"] == "Command: true"
    listing = json.loads((crate / "files.json").read_text())
    assert [(file["path"], file["bytes"]) for file in listing["files"]] == [("a", 1), ("bb", 2)]
    record = json.loads((desk.path / "state").read_text().splitlines()[-1])
    assert (record["event"], record["run"]["crate"]) == ("fired", str(crate))


def test_a_crate_that_cannot_be_written_holds_nothing_up(desk: Desk) -> None:
    desk.put("run1")
    (desk.path / "crates").write_text("in the way")
    desk.run("true", done(desk, 1))
    assert any("its trigger's crate cannot be written" in line for line in desk.lines)


def test_a_name_that_is_no_text_is_as_good_as_another(desk: Desk) -> None:
    desk.put(os.fsdecode(b"run\xff1"))
    desk.run(f'ls "$1" >> {desk.log}', done(desk, 1))
    assert desk.fired() == ["a"]
