"""Senders to files: positions, leases, retention, and sinks that refuse."""

from __future__ import annotations

import json
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prov_worker.agent.task_events import remove_old
from prov_worker.probes.mounts import Mount
from prov_worker.spool.event_log import log_names
from prov_worker.stream.lane import Lane
from prov_worker.stream.lease import Lease
from prov_worker.stream.positions import remove_passed
from prov_worker.stream.sender import Sender, Stream
from prov_worker.stream.sink import AwayError, RefusedError
from prov_worker.stream.sinks import sqlite
from prov_worker.stream.tables import VERSION_TABLE
from prov_worker.stream_url import StreamUrl
from support.events import Story


@pytest.fixture
def story(tmp_path: Path) -> Story:
    return Story(tmp_path / "crates")


def lane_to(story: Story, text: str) -> Lane:
    return Lane(str(story.directory), StreamUrl(text))


def ids_in(path: Path) -> list[str]:
    return [json.loads(line)["id"] for line in path.read_text().splitlines()]


def rows(path: Path, query: str) -> list[Any]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def test_a_lane_goes_on_where_it_was(story: Story, tmp_path: Path) -> None:
    story.tell(3)
    out = tmp_path / "out.jsonl"
    first = lane_to(story, f"jsonl:{out}")
    assert (first.waiting(), first.step(), first.step(), first.waiting()) == (9, 9, 0, 0)
    first.close()
    story.tell(2)
    second = lane_to(story, f"jsonl:{out}")
    assert second.step() == 6
    second.close()
    assert len(set(ids_in(out))) == len(ids_in(out)) == 15
    assert out.stat().st_mode & 0o777 == 0o600
    assert all(f"{tmp_path}" not in path.read_text() for path in (story.directory / "sinks").iterdir())


def test_batches_are_bounded_and_all_comes(story: Story, tmp_path: Path) -> None:
    story.tell(800)
    other = Story(story.crates, "bbbbbbbbbbbb")
    other.tell(800)
    lane = lane_to(story, f"sqlite:{tmp_path / 'x.sqlite'}")
    assert lane.step() == 4800
    lane.close()
    assert rows(tmp_path / "x.sqlite", "SELECT status, count(*) FROM task GROUP BY 1") == [("completed", 1600)]
    assert rows(tmp_path / "x.sqlite", "SELECT count(*), count(DISTINCT id) FROM event") == [(4800, 4800)]


def test_a_position_that_is_lost_doubles_nothing_in_tables(story: Story, tmp_path: Path) -> None:
    story.tell(5)
    for _ in range(2):
        lane = lane_to(story, f"sqlite:{tmp_path / 'x.sqlite'}")
        assert lane.step() == 15
        lane.close()
        for path in (story.directory / "sinks").iterdir():
            path.unlink()
    assert rows(tmp_path / "x.sqlite", "SELECT count(*) FROM event") == [(15,)]
    assert rows(tmp_path / "x.sqlite", "SELECT count(*), min(status) FROM task") == [(5, "completed")]


def test_lines_that_are_no_events_are_counted_and_left_out(story: Story, tmp_path: Path) -> None:
    story.tell(1)
    story.close()
    (name,) = log_names(str(story.directory))
    with (story.directory / str(name)).open("ab") as file:
        file.write(b"\0\0\0\nnonsense\n" + b'{"torn')
    lane = lane_to(story, f"jsonl:{tmp_path / 'out'}")
    assert (lane.step(), lane.odd, lane.waiting()) == (3, 2, 0)
    lane.close()


def test_a_log_goes_once_every_sink_has_passed_it_and_nobody_writes_to_it(story: Story, tmp_path: Path) -> None:
    story.tell(1)
    first, second = (lane_to(story, f"jsonl:{tmp_path / name}") for name in ("a", "b"))
    first.step()
    second.positions.advance({})
    assert remove_passed(str(story.directory)) == []  # the second has not
    second.step()
    assert remove_passed(str(story.directory)) == []  # it is written to
    story.close()
    (name,) = log_names(str(story.directory))
    path = story.directory / str(name)
    os.utime(path, (1, 1))  # of another place: quiet for long
    assert remove_passed(str(story.directory)) == [str(path)]
    first.positions.advance({})
    assert {file.name: file.read_text() for file in (story.directory / "sinks").iterdir()}.popitem()[1] != ""
    first.close()
    second.close()


def test_events_wait_only_for_so_long(story: Story) -> None:
    story.tell(1)
    assert remove_old(str(story.directory), 3600, 1 << 30) == []
    assert remove_old(str(story.directory), 3600, 10) == []  # it is written to
    story.close()
    path = story.directory / str(log_names(str(story.directory))[0])
    os.utime(path, (1, 1))
    ((removed, reason),) = remove_old(str(story.directory), 3600, 1 << 30)
    assert removed == str(path)
    assert "stream_keep" in reason
    story.tell(1)
    story.close()
    path = story.directory / str(log_names(str(story.directory))[0])
    os.utime(path, (path.stat().st_mtime - 400,) * 2)
    ((_, reason),) = remove_old(str(story.directory), 3600, 10)
    assert "stream_limit" in reason


def test_one_sender_per_sink(tmp_path: Path) -> None:
    path = str(tmp_path / "sinks" / "a.lease")
    first, second = Lease(path), Lease(path)
    assert first.hold()
    assert not second.hold()
    assert first.hold()
    first.let_go()
    assert second.hold()
    second.let_go()


def test_a_lease_of_another_place_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a file system whose locks mean nothing between nodes: what the other has written decides."""
    from prov_worker.stream import lease

    path = tmp_path / "sinks" / "a.lease"
    mine = Lease(str(path))
    path.parent.mkdir(mode=0o700)
    path.write_text("ffffffffffff 0011 000000000001\n")
    assert not mine.hold()
    monkeypatch.setattr(lease, "_GONE_S", -1.0)  # nobody waits 20 s in a test
    assert mine.hold()
    monkeypatch.setattr(lease, "_RENEW_S", -1.0)
    assert mine.hold()
    path.write_text("ffffffffffff 0011 000000000002\n")  # the other lives after all
    assert not mine.hold()


class Sayings:
    """What a sender says."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.said = threading.Event()

    def __call__(self, text: str, *values: object) -> None:
        self.texts.append(text % values)
        self.said.set()


def test_a_sink_that_refuses_is_named_once_and_holds_up_no_other(
    story: Story, tmp_path: Path, wait_for: Callable[..., None]
) -> None:
    story.tell(2)
    connection = sqlite3.connect(tmp_path / "other.sqlite")
    connection.execute(f"CREATE TABLE {VERSION_TABLE} (version INTEGER)")
    connection.execute(f"INSERT INTO {VERSION_TABLE} VALUES (7)")
    connection.commit()
    connection.close()
    sayings = Sayings()
    urls = [StreamUrl(f"sqlite:{tmp_path / 'other.sqlite'}", 1), StreamUrl(f"jsonl:{tmp_path / 'out'}", 2)]
    sender = Sender(str(story.crates), urls, sayings)
    sender.start()
    wait_for(lambda: sender.streams[1].lane.sent == 6, "events in the file")
    wait_for(sayings.said.is_set, "a word on the database")
    assert sender.is_alive
    sender.end(1.0)
    assert [text for text in sayings.texts if "version 7" in text] == sayings.texts
    assert sender.streams[0].lane.waiting() == 6


def test_a_missing_extra_is_one_line_and_the_others_go_on(
    story: Story, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    story.tell(1)
    monkeypatch.setitem(sys.modules, "redis", None)
    sayings = Sayings()
    urls = [StreamUrl("redis://host/0", 1), StreamUrl(f"jsonl:{tmp_path / 'out'}", 2)]
    sender = Sender(str(story.crates), urls, sayings)
    sender.start()
    sender.end(30.0)
    assert [stream.lane.sent for stream in sender.streams] == [3]
    (text,) = sayings.texts
    assert text.startswith("redis://host/0: no events are sent there: events to redis need redis (")
    assert text.endswith("install it with: pip install 'prov-worker[redis]'")


def test_what_is_refused_is_not_asked_again_within_a_minute(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    story.tell(1)
    asked_at: list[float] = []

    class Refusing:
        def open(self) -> None:
            asked_at.append(time.monotonic())
            raise RefusedError("wrong password: geheim")

        def close(self) -> None:
            """Nothing is open."""

    lane = lane_to(story, f"sqlite:{story.crates / 'x'}")
    monkeypatch.setattr(lane, "_sink", Refusing())
    sayings = Sayings()
    stream = Stream(lane, sayings, "geheim")
    stream.start()
    assert sayings.said.wait(60)
    stream.end(30.0)
    stream.join(60)
    assert not stream.is_alive
    assert len(asked_at) == 1
    assert stream.problem == "wrong password: [redacted]"
    assert sayings.texts == [f"{lane.url.text}: events wait: wrong password: [redacted]"]


def test_a_reader_that_has_seen_enough_ends_the_stream(story: Story) -> None:
    story.tell(300)
    command = [sys.executable, "-m", "prov_worker", "stream", str(story.crates), "jsonl:-"]
    program = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert program.stdout is not None
    line = program.stdout.readline()
    program.stdout.close()
    assert json.loads(line)["type"] == "task.started"
    story.tell(300)
    assert program.wait(60) in (0, 1)


def test_a_log_waits_for_a_sink_that_has_never_been_there(
    story: Story, tmp_path: Path, wait_for: Callable[..., None]
) -> None:
    story.tell(1)
    story.close()
    path = story.directory / str(log_names(str(story.directory))[0])
    os.utime(path, (1, 1))  # nobody writes to it
    urls = [StreamUrl(f"jsonl:{tmp_path / 'out'}", 1), StreamUrl(f"sqlite:{tmp_path / 'later' / 'x'}", 2)]
    sender = Sender(str(story.crates), urls, Sayings())
    sender.start()
    wait_for(lambda: sender.streams[0].lane.sent == 3, "events in the file")
    sender.end(0.5)
    assert path.exists()
    (tmp_path / "later").mkdir()
    again = Sender(str(story.crates), urls, Sayings())
    again.start()
    again.end(30.0)
    assert rows(tmp_path / "later" / "x", "SELECT count(*) FROM event") == [(3,)]
    assert remove_passed(str(story.directory)) == [] or not path.exists()
    assert not path.exists()


@pytest.mark.parametrize("kind, error", [("sqlite", RefusedError), ("jsonl", AwayError)])
def test_what_is_no_such_file(story: Story, tmp_path: Path, kind: str, error: type[Exception]) -> None:
    story.tell(1)
    (tmp_path / "text").write_text("no database" * 1000)
    (tmp_path / "folder").mkdir()
    lane = lane_to(story, f"{kind}:{tmp_path / ('text' if kind == 'sqlite' else 'folder')}")
    with pytest.raises(error):
        lane.step()
    assert lane.waiting() == 3
    away = lane_to(story, f"{kind}:{tmp_path / 'none' / 'x'}")
    with pytest.raises(AwayError, match="none"):
        away.step()


@pytest.mark.parametrize("kind", ["sqlite", "jsonl"])
def test_a_full_disk_takes_nothing_by_halves(story: Story, tmp_path: Path, kind: str) -> None:
    story.tell(4)
    out = tmp_path / "out"
    lane = lane_to(story, f"{kind}:{out}")
    assert lane.step() == 12
    before = out.read_bytes()
    story.tell(400)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 5000, hard))
    try:
        with pytest.raises(AwayError):
            lane.step()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    if kind == "jsonl":
        assert out.read_bytes() == before
    lane.close()
    assert lane.step() == 1200
    lane.close()
    if kind == "jsonl":
        assert len(set(ids_in(out))) == len(ids_in(out)) == 1212
    else:
        assert rows(out, "SELECT count(*) FROM event") == [(1212,)]


def test_a_torn_line_of_a_killed_sender_is_ended(story: Story, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.write_bytes(b'{"torn')
    story.tell(1)
    lane = lane_to(story, f"jsonl:{out}")
    lane.step()
    lane.close()
    assert [line.startswith('{"specversion"') for line in out.read_text().splitlines()] == [False, True, True, True]


@pytest.mark.parametrize("kind, mode", [("ext4", "wal"), ("lustre", "delete"), ("nfs4", "delete")])
def test_a_write_ahead_log_is_for_file_systems_of_one_node(
    story: Story, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, mode: str
) -> None:
    monkeypatch.setattr(sqlite, "holding", lambda *_: Mount("/", "device", kind, ""))
    story.tell(1)
    path = tmp_path / "x.sqlite"
    for _ in range(2):
        lane = lane_to(story, f"sqlite:{path}")
        lane.step()
        lane.close()
        assert rows(path, "PRAGMA journal_mode") == [(mode,)]
        story.tell(1)
    if mode == "wal":
        reader = sqlite3.connect(path)
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM event").fetchone() == (6,)
        assert lane.step() == 3  # nobody waits for anybody
        assert reader.execute("SELECT count(*) FROM event").fetchone() == (6,)
        reader.close()
        monkeypatch.setattr(sqlite, "holding", lambda *_: None)  # it was moved to who knows where
        story.tell(1)
        lane.close()
        lane.step()
        assert rows(path, "PRAGMA journal_mode") == [("delete",)]
    lane.close()
