"""Event logs: numbers that grow, whole lines, full disks, and who may remove what."""

from __future__ import annotations

import json
import os
import resource
import signal
import time
from pathlib import Path

import pytest

from prov_worker.spool.event_log import EventLog, LogName, is_written, last_sequence, log_names, read_lines

PLACE = "0123456789ab"


def told(directory: Path) -> list[dict]:
    lines = [
        line for name in log_names(str(directory)) for line in read_lines(str(directory / str(name)), 0, 1 << 20)[0]
    ]
    return [json.loads(line) for line in lines]


def test_numbers_grow_across_writers_and_when_the_clock_goes_back(tmp_path: Path) -> None:
    events = tmp_path / "events"
    future = time.time_ns() // 1000 + 3_600_000_000
    events.mkdir(mode=0o700)
    (events / str(LogName(PLACE, future))).write_text(json.dumps({"sequence": f"{future + 41:016d}"}) + "\n")
    log = EventLog(str(events), PLACE)
    for number in range(3):
        log.add("task.started", f"t{number}", {})
    log.flush()
    log.close()
    assert [int(event["sequence"]) for event in told(events)[1:]] == [future + 42, future + 43, future + 44]
    assert last_sequence(str(events), PLACE) == future + 44
    assert last_sequence(str(events), "other0000000") == 0
    assert {event["id"] for event in told(events)[1:]} == {f"{PLACE}-{future + n}" for n in (42, 43, 44)}


def test_a_writer_begins_a_file_of_its_own(tmp_path: Path) -> None:
    for text in ("a", "b"):
        log = EventLog(str(tmp_path / "events"), PLACE)
        log.add("task.started", text, {})
        log.flush()
        log.close()
    assert len(log_names(str(tmp_path / "events"))) == 2
    assert [event["subject"] for event in told(tmp_path / "events")] == ["a", "b"]


def test_a_log_that_somebody_removed_is_followed_by_another(tmp_path: Path) -> None:
    events = tmp_path / "events"
    log = EventLog(str(events), PLACE)
    log.add("task.started", "a", {})
    log.flush()
    os.unlink(events / str(log_names(str(events))[0]))
    log.add("task.ended", "a", {})
    log.flush()
    assert [event["type"] for event in told(events)] == ["task.ended"]
    log.close()


def test_what_a_full_disk_tore_follows_whole_in_another_file(tmp_path: Path) -> None:
    events = tmp_path / "events"
    log = EventLog(str(events), PLACE)
    log.add("task.started", "a", {})
    log.flush()
    size = os.stat(events / str(log_names(str(events))[0])).st_size
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 30, hard))
    try:
        log.add("task.ended", "a", {"text": "x" * 100})
        with pytest.raises(OSError, match=r"."):
            log.flush()
        assert log.is_holding
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    log.flush()
    log.close()
    assert [event["type"] for event in told(events)] == ["task.started", "task.ended"]
    assert len(log_names(str(events))) == 2


def test_while_nothing_can_be_written_samples_are_given_up_first(tmp_path: Path) -> None:
    (tmp_path / "events").write_text("no directory")
    log = EventLog(str(tmp_path / "events"), PLACE)
    text = "x" * (1 << 20)
    log.add("task.sampled", "a", {"text": text}, droppable=True)
    log.add("task.started", "a", {"text": "y"})
    for _ in range(7):
        log.add("task.sampled", "a", {"text": text}, droppable=True)
    with pytest.raises(OSError, match=r"."):
        log.flush()
    assert log.lost == 0
    os.unlink(tmp_path / "events")
    log.flush()
    log.close()
    kinds = [event["type"] for event in told(tmp_path / "events")]
    assert kinds.count("task.started") == 1
    assert len(kinds) < 8


def test_a_torn_end_is_no_line(tmp_path: Path) -> None:
    path = tmp_path / str(LogName(PLACE, 1))
    path.write_bytes(b'{"a": 1}\n{"b": 2')
    lines, offset = read_lines(str(path), 0, 1 << 20)
    assert (lines, offset) == ([b'{"a": 1}'], 9)
    assert read_lines(str(path), offset, 4) == ([], 9)
    assert read_lines(str(tmp_path / "none"), 5, 10) == ([], 5)


def test_a_line_longer_than_the_limit_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"x" * 100 + b"\ny\n")
    lines, offset = read_lines(str(path), 0, 8)
    assert lines[0] == b"x" * 100
    assert offset in (101, 103)


def test_a_log_is_written_to_while_its_writer_lives(tmp_path: Path) -> None:
    here = frozenset({PLACE})
    log = EventLog(str(tmp_path / "events"), PLACE)
    log.add("task.started", "a", {})
    log.flush()
    path = str(tmp_path / "events" / str(log_names(str(tmp_path / "events"))[0]))
    assert is_written(path, here)
    log.close()
    assert not is_written(path, here)
    assert is_written(path, frozenset())  # of another place, whose locks may mean nothing here
    os.utime(path, (1, 1))
    assert not is_written(path, frozenset())


def test_names() -> None:
    assert LogName.parse(str(LogName(PLACE, 17))) == LogName(PLACE, 17)
    assert [LogName.parse(name) for name in ("asked", "x-1.events", f"{PLACE}-1.events", "sinks")] == [None] * 4
