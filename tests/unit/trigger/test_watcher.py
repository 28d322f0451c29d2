"""``Watcher``: what is settled, once per content, over restarts."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from prov_worker.errors import InputError
from prov_worker.trigger import Watcher
from prov_worker.trigger.watcher import Settled

QUICK: dict[str, Any] = {"settle_s": 0.2, "every_s": 0.1}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "data"
    path.mkdir()
    return path


def put(folder: Path, *names: str) -> None:
    for name in names or ("a",):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)


@pytest.fixture
def lines() -> list[str]:
    return []


class Opened:
    """Opens watchers of one directory and one state, one after the other."""

    def __init__(self, data: Path, lines: list[str]) -> None:
        self.data, self.lines = data, lines
        self.watcher: Watcher | None = None

    def __call__(self, **options: Any) -> Watcher:
        if self.watcher is not None:
            self.watcher.close()
        arguments = {**QUICK, "state": self.data.parent / "state.jsonl", "say": self.lines.append, **options}
        self.watcher = Watcher(self.data, **arguments)
        return self.watcher


@pytest.fixture
def opened(data: Path, lines: list[str]) -> Iterator[Opened]:
    opener = Opened(data, lines)
    yield opener
    if opener.watcher is not None:
        opener.watcher.close()


def until(watcher: Watcher, count: int = 1) -> list[Settled]:
    """Look until so many folders are settled."""
    folders: dict[str, Settled] = {}
    while len(folders) < count:
        folders |= {folder.name: folder for folder in watcher.look()}
        time.sleep(0.02)
    return list(folders.values())


def looks(watcher: Watcher) -> list[str]:
    """Names that are settled after the settle time is certainly over."""
    watcher.look()
    time.sleep(0.3)
    return [folder.name for folder in watcher.look()]


def test_a_folder_is_settled_after_it_was_seen_at_rest(data: Path, opened: Opened) -> None:
    put(data / "run1", "a", "sub/b")
    watcher = opened()
    assert watcher.look() == []  # never at the first look, however old its files are
    (folder,) = until(watcher)
    assert (folder.path, folder.files, folder.size_bytes) == (data / "run1", 2, 6)
    assert folder.seen_ns <= folder.settled_ns
    assert [entry.path for entry in folder.entries] == ["a", "sub/b"]


def test_old_times_say_nothing_and_a_change_begins_the_count_anew(data: Path, opened: Opened) -> None:
    put(data / "run1")
    os.utime(data / "run1" / "a", ns=(1, 1))
    watcher = opened(settle_s=0.4, every_s=0.2)
    for number in range(8):  # something changes before each look: never settled, though longer than the settle time
        put(data / "run1", f"sub/{number}")
        assert watcher.look() == []
        time.sleep(0.1)


def test_each_content_is_given_once_over_restarts(data: Path, opened: Opened) -> None:
    put(data / "run1")
    watcher = opened()
    (folder,) = until(watcher)
    watcher.fired(folder.name, folder.content, {"run": "x"})
    assert looks(watcher) == []
    assert looks(opened()) == []
    put(data / "run1", "b")
    (again,) = until(opened())
    assert (again.files, again.content != folder.content) == (2, True)
    watcher = opened()
    watcher.fired(again.name, again.content, {})
    (data / "run1" / "b").unlink()  # the content that was there first
    assert looks(opened()) == []


def test_iterating_gives_each_folder_once_and_one_whose_body_raises_again(data: Path, opened: Opened) -> None:
    put(data / "run1")
    put(data / "run2")
    folders = iter(opened())
    next(folders)
    with pytest.raises(ZeroDivisionError):
        folders.throw(ZeroDivisionError)  # type: ignore[attr-defined]
    names = []
    for folder in opened():
        names.append(folder.name)
        if len(names) == 2:
            break
    assert sorted(names) == ["run1", "run2"]
    # the last one was not asked to go on
    assert [folder.name for folder in until(opened())] == [names[-1]]


def test_the_count_goes_on_over_restarts_within_a_boot(data: Path, opened: Opened) -> None:
    put(data / "run1")
    opened().look()
    time.sleep(0.3)
    assert [folder.name for folder in opened().look()] == ["run1"]  # as with cron
    watcher = opened(state=data.parent / "other")
    watcher.look()
    time.sleep(0.3)
    watcher._boot = "another boot"  # whose clock began elsewhere
    assert watcher.look() == []


def test_deleting_a_folder_gives_nothing(data: Path, opened: Opened) -> None:
    put(data / "run1")
    watcher = opened()
    (folder,) = until(watcher)
    watcher.fired(folder.name, folder.content, {})
    shutil.rmtree(data / "run1")
    assert looks(watcher) == []


def test_folders_that_are_there_at_the_first_start_can_be_skipped(data: Path, opened: Opened) -> None:
    put(data / "old")
    watcher = opened(existing="skip")
    assert looks(watcher) == []
    put(data / "new")
    (folder,) = until(watcher)
    watcher.fired(folder.name, folder.content, {})
    put(data / "later")
    assert [f.name for f in until(opened(existing="skip"))] == ["later"]  # not the first start


def test_what_is_held_back_is_said_once_with_its_reason(data: Path, opened: Opened, lines: list[str]) -> None:
    (data / "empty").mkdir()
    put(data / "half", "x.evt", ".y.evt.a1B2c3")
    put(data / "some", "x.txt", "COMPLETE")
    put(data / "open", "x.evt")
    put(data / "whole", "x.evt", "COMPLETE")
    watcher = opened(expect=["*.evt"], done_file="COMPLETE")
    assert looks(watcher) == ["whole"]
    assert looks(watcher) == ["whole"]
    assert sorted(lines) == [
        "empty: is held back: has no file yet",
        "half: is held back: rsync has not finished .y.evt.a1B2c3",
        "open: is held back: has no COMPLETE yet",
        "some: is held back: has no file *.evt yet",
    ]


def test_names_are_matched_and_hidden_ones_left_alone(data: Path, opened: Opened) -> None:
    for name in ("run1", "other", ".run2", "run\n3", os.fsdecode(b"run\xff4")):
        put(data / name)
    assert [f.name for f in until(opened(pattern="run*"), 3)] == sorted(["run1", "run\n3", os.fsdecode(b"run\xff4")])


def test_links_are_followed_at_the_top_but_not_where_they_lead_back(
    data: Path, opened: Opened, tmp_path: Path, lines: list[str]
) -> None:
    put(tmp_path / "elsewhere")
    (data / "linked").symlink_to(tmp_path / "elsewhere")
    (data / "back").symlink_to(tmp_path)
    (data / "self").symlink_to("self")
    assert looks(opened()) == ["linked"]
    assert sorted(lines) == [
        "back: is skipped: a link that leads back to where it is",
        "self: is skipped: a link that leads back to where it is",
    ]


def test_a_directory_that_is_a_link_is_the_directory(data: Path, tmp_path: Path) -> None:
    put(data / "run1")
    (tmp_path / "link").symlink_to(data)
    with Watcher(tmp_path / "link", state=tmp_path / "state", **QUICK) as watcher:
        assert [folder.path for folder in until(watcher)] == [tmp_path / "link" / "run1"]


def test_a_directory_that_goes_away_is_waited_for(data: Path, opened: Opened, lines: list[str]) -> None:
    put(data / "run1")
    watcher = opened()
    (folder,) = until(watcher)
    watcher.fired(folder.name, folder.content, {})
    put(data / "run2")
    watcher.look()
    os.rename(data, data.parent / "away")
    assert (watcher.look(), watcher.look()) == ([], [])
    time.sleep(0.3)
    os.rename(data.parent / "away", data)
    # who writes there was held up as well: the count begins again
    assert watcher.look() == []
    assert [f.name for f in until(watcher)] == ["run2"]
    assert lines == [f"{data}: is away (No such file or directory); it is waited for", f"{data}: is there again"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"settle_s": 59.0, "every_s": 30.0}, "settle 59 s: is shorter than two looks; with one each 30 s, 60 s is"),
        ({"settle_s": 0.0}, "settle 0: expected seconds above 0"),
        ({"settle_s": float("nan")}, "settle nan: expected seconds above 0"),
        ({"existing": "ask"}, "existing 'ask': expected fire or skip"),
        ({"done_file": "a/b"}, "done-file 'a/b': expected a name"),
    ],
)
def test_bad_values_are_refused(opened: Opened, options: Any, message: str) -> None:
    with pytest.raises(InputError, match="^" + message):
        opened(**options)


def test_a_directory_must_be_there_and_have_one_trigger(data: Path, opened: Opened) -> None:
    opened()
    with pytest.raises(InputError, match="another trigger is at work"):
        Watcher(data, state=data.parent / "state.jsonl", **QUICK)
    with pytest.raises(InputError, match="none: no such directory"):
        Watcher(data / "none", **QUICK)


# -- the state -------------------------------------------------------------------------------------------------------


def test_a_line_that_was_cut_off_is_forgotten_and_a_damaged_one_refused(data: Path, opened: Opened) -> None:
    put(data / "run1")
    watcher = opened()
    (folder,) = until(watcher)
    watcher.fired(folder.name, folder.content, {})
    path = data.parent / "state.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"event":"fai')
    assert looks(opened()) == []
    assert path.read_bytes() == whole
    opened().close()
    path.write_bytes(whole.replace(b'"fired"', b'"fried"'))
    with pytest.raises(InputError, match=r"state.jsonl:3: is damaged \(unknown event fried\)"):
        opened()
    path.write_text("{}\n")
    with pytest.raises(InputError, match="not a trigger's state"):
        opened()


def test_the_state_is_compacted_and_says_the_same(data: Path, opened: Opened) -> None:
    watcher = opened()
    for number in range(1200):
        watcher.state.write(
            {"event": "seen", "name": "run1", "signature": f"s{number}", "content": f"c{number}", "since_s": 1.0,
             "boot": "b", "seen_ns": 7}, sync=False,
        )  # fmt: skip
        if number % 100 == 0:
            watcher.fired("run1", f"c{number}", {"run": number})
    before = watcher.state.records
    lines = (data.parent / "state.jsonl").read_text().splitlines()
    assert len(lines) < 300
    assert json.loads(lines[0]) == {"format": "prov-worker trigger 1"}
    assert opened().state.records == before
