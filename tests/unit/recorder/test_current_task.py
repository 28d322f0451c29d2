"""Libraries that tasks use: which task they are in."""

from __future__ import annotations

from pathlib import Path

import pytest

from prov_worker.attempt import AttemptId
from prov_worker.recorder import context, current_task
from prov_worker.spool.slot import Slot

TASK = "5a30b2b5-0000-4000-8000-00000000000a"


def test_a_process_knows_the_task_of_the_worker_that_started_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(tmp_path / "slot.1")
    slot = Slot(path, 1, 0, 1, 0.05, "/crates/.spool/a-1-1.jsonl")
    provenance = {"key": "k", "settings": {"capture": {"mlflow": False}}, "endpoint_name": None, "attempt": 3}
    monkeypatch.setenv(context.CONTEXT, "")
    context.publish(path, provenance, None)
    assert current_task.current_task() is None
    slot.begin(17, 1, 1, bytes.fromhex(TASK.replace("-", "")), 2)
    assert current_task.current_task() == (str(tmp_path), AttemptId(TASK, 2, 17))
    slot.end()
    assert current_task.current_task() is None
    assert context.capture_settings() == {"mlflow": False}
    Path(path).unlink()
    assert current_task.current_task() is None


def test_who_asks_again_sees_each_task_also_of_a_slot_that_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / "slot.1"
    user = current_task.TaskOfSlot(str(path))
    assert user.find() is None
    slot = Slot(str(path), 1, 0, 1, 0.05, "/crates/.spool/a-1-1.jsonl")
    for number in (1, 2):
        slot.begin(17, 1, 1, bytes.fromhex(TASK.replace("-", "")), number)
        assert user.find() == (str(tmp_path), AttemptId(TASK, number, 17))
        slot.end()
        assert user.find() is None
    path.unlink()
    assert user.find() is None
    slot.make_again()
    slot.begin(18, 1, 1, bytes.fromhex(TASK.replace("-", "")), 3)
    assert user.find() == (str(tmp_path), AttemptId(TASK, 3, 18))


@pytest.mark.parametrize("text", ["", "[]", "{", '{"slot": "/x"}', '{"slot": 1, "provenance": {"settings": {}}}'])
def test_an_odd_context_is_none(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(context.CONTEXT, text)
    assert context.context() == {}
    assert context.capture_settings() == {}
