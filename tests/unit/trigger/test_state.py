"""What a trigger remembers: read again after each kind of end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from prov_worker.errors import InputError
from prov_worker.trigger.state import FORMAT, FolderRecord, Pending, State, begins, failed, seen

SEEN = seen("scan-1", "sig", "content", 1.5, "boot", 7)
PENDING = Pending("key", "content", 1, {"files": 3})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new" / "state.jsonl"


def after(path: Path, *entries: dict) -> FolderRecord:
    """What a state says of the folder once events were written and the file was read again."""
    state = State(path)
    state.write(*entries)
    state.close()
    state = State(path)
    state.close()
    return state.records["scan-1"]


def test_what_was_written_is_read(path: Path) -> None:
    record = after(path, SEEN, begins("scan-1", PENDING))
    assert (record.signature, record.content, record.since_s, record.seen_ns) == ("sig", "content", 1.5, 7)
    assert record.pending == PENDING
    assert path.stat().st_mode & 0o077 == 0


def test_an_action_that_succeeded_is_not_pending_and_its_content_fired(path: Path) -> None:
    fired = {"event": "fired", "name": "scan-1", "content": "content", "run": {"id": "r"}}
    record = after(path, SEEN, failed("scan-1", 1, 9, "no"), begins("scan-1", PENDING), fired, fired)
    assert (record.pending, record.fired, record.run) == (None, ["content"], {"id": "r"})
    assert (record.attempts, record.next_ns, record.error) == (0, 0, "")


def test_failures_are_of_a_content(path: Path) -> None:
    assert after(path, SEEN, failed("scan-1", 2, 9, "no")).attempts == 2
    assert after(path, SEEN).attempts == 2
    assert after(path, seen("scan-1", "sig-2", "other", 2.0, "boot", 7)).attempts == 0


def test_only_the_last_contents_are_remembered(path: Path) -> None:
    events = [{"event": "fired", "name": "scan-1", "content": f"c{number}"} for number in range(40)]
    assert after(path, *events).fired == [f"c{number}" for number in range(8, 40)]


def test_a_line_that_was_cut_off_did_not_happen(path: Path) -> None:
    after(path, SEEN)
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"event":"fired","name":"scan-1","con')
    state = State(path)
    assert state.records["scan-1"].fired == []
    state.close()
    assert path.read_bytes() == whole


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('{"event":"fired","name":"scan-1"}', ":2: is damaged"),
        ('{"event":"danced","name":"scan-1"}', r":2: is damaged \(unknown event danced\)"),
        ("[1]", ":2: is damaged"),
        ("nonsense", ":2: is damaged"),
    ],
)
def test_damage_is_named_by_its_line_and_another_trigger_may_begin_then(path: Path, line: str, problem: str) -> None:
    path.parent.mkdir()
    path.write_text(f"{json.dumps({'format': FORMAT})}\n{line}\n")
    for _ in range(2):
        with pytest.raises(InputError, match=f"{path}{problem}"):
            State(path)


def test_a_file_of_something_else_is_left_alone(path: Path) -> None:
    path.parent.mkdir()
    path.write_text('{"format": "something"}\n')
    with pytest.raises(InputError, match="not a trigger's state"):
        State(path)
    assert path.read_text() == '{"format": "something"}\n'


def test_one_trigger_at_a_time(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prov_worker.trigger.state.FORK_WAIT_S", 0.0)
    state = State(path)
    with pytest.raises(InputError, match="another trigger is at work"):
        State(path)
    state.close()
    State(path).close()


def test_lines_of_the_past_are_dropped_and_what_is_known_stays(path: Path) -> None:
    state = State(path)
    state.write(SEEN, {"event": "fired", "name": "scan-1", "content": "before", "run": {"id": "r"}}, sync=False)
    for number in range(600):
        state.write(begins("scan-1", PENDING), failed("scan-1", number + 1, 9, "no"), sync=False)
    state.write(begins("scan-1", PENDING), sync=False)
    expected = state.records["scan-1"]
    state.close()
    lines = path.read_text().splitlines()
    assert len(lines) < 1000
    assert json.loads(lines[0]) == {"format": FORMAT}
    again = State(path)
    again.close()
    assert again.records["scan-1"] == expected
    assert (expected.attempts, expected.run, expected.pending) == (600, {"id": "r"}, PENDING)
