"""A fleet file that changes under a watch."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prov_worker.fleet import fleetfile
from prov_worker.fleet.reload import Reader
from prov_worker.fleet.state import State
from prov_worker.fleet.watch import Watcher

Write = Callable[[Any], Path]


def content(*names: str, options: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {"endpoints": [{"name": name, "site": "local", "options": options or {}} for name in names], **more}


@pytest.fixture
def reader(write: Write) -> Reader:
    write(content("one", "two"))
    return Reader(fleetfile.read())


def test_a_file_that_is_as_it_was_says_nothing(reader: Reader, write: Write) -> None:
    assert reader.look() == []
    write(content("one", "two"))
    assert reader.look() == []


def test_what_came_what_went_and_what_differs(reader: Reader, write: Write) -> None:
    write(content("three", "one", options={"retries": 1}, watch={"interval": 5}, credentials="secret"))
    changes = dict(reader.look()[:3])
    assert changes["three"] == "came into the file: is looked after"
    assert changes["two"].startswith("went from the file: is left as it is")
    assert changes["one"].endswith("prov-worker fleet up one writes them")
    assert reader.fleet.names == ("three", "one")
    assert reader.fleet.watch.interval_s == 5
    assert reader.look() == []


def test_settings_of_the_watch_and_credentials_are_told(reader: Reader, write: Write) -> None:
    path = write(content("one", "two", watch={"interval": 5, "cap": 2}, credentials="secret"))
    lines = [text for name, text in reader.look() if name == "file"]
    assert lines[0].startswith("watch: looks every 5 s, back-off 10 to 600 s, 2 restarts in 3600 s")
    assert lines[1] == f"credentials: from {path.parent / 'secret'}, for the next start"


def test_a_broken_file_is_named_once_and_the_last_good_one_kept(reader: Reader, write: Write) -> None:
    before = reader.fleet
    path = write("endpoints: [\n")
    ((name, text),) = reader.look()
    assert name == "file"
    assert text.startswith(f"{path}: ")
    assert text.endswith("goes on with what it read before")
    assert reader.look() == []
    assert reader.fleet is before
    path.unlink()
    assert "no such file" in reader.look()[0][1]
    write(content("one", "two", "three"))
    assert [name for name, _ in reader.look()] == ["file", "three"]


def test_another_fleet_is_not_taken_for_this_one(reader: Reader, write: Write, tmp_path: Path) -> None:
    path = write(content("one", "two", user_dir=str(tmp_path / "other")))
    assert "user_dir: is " in reader.look()[0][1]
    path.rename(path.with_name("moved.yaml"))
    path.symlink_to("moved.yaml")
    assert "another fleet: it wants a watch of its own" in reader.look()[0][1]
    assert reader.fleet.user_dir == tmp_path / "gc"


def test_a_watch_looks_after_what_came(reader: Reader, write: Write) -> None:
    lines: list[str] = []
    watcher = Watcher(reader.fleet, State(reader.fleet), lines.append, threading.Event())
    watcher.read()
    watcher.look()
    write(content("one", "three"))
    watcher.read()
    watcher.look()
    texts = [line.split(" ", 1)[1] for line in lines]
    assert "three: came into the file: is looked after" in texts
    assert "three: not created yet: prov-worker fleet up three" in texts
