"""What waits in an engine: looked at until it is over, whatever the looks and the ends raise."""

from __future__ import annotations

import logging
import threading

import pytest

from prov_worker.globus import waiting_list
from prov_worker.globus.waiting_list import WaitingList


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting_list, "_LOOK_S", 0.01)


def test_each_ends_once_when_its_look_says_so_and_the_thread_with_the_last() -> None:
    looks: dict[str, int] = {}
    ends: list[str] = []
    over = threading.Event()

    def look(item: str) -> bool:
        looks[item] = looks.get(item, 0) + 1
        return looks[item] >= {"at once": 1, "later": 3}[item]

    def end(item: str) -> None:
        ends.append(item)
        if len(ends) in (2, 3):
            over.set()

    items = WaitingList("test-waiting", look, end)
    for item in ("later", "at once"):
        items.add(item)
    assert over.wait(60)
    assert sorted(ends) == ["at once", "later"]
    assert looks == {"at once": 1, "later": 3}
    thread = items._thread
    if thread is not None:
        thread.join(60)
    assert items._thread is None, "nothing waits"
    # Another one has a thread again.
    over.clear()
    items.add("at once")
    assert over.wait(60)
    assert sorted(ends) == ["at once", "at once", "later"]


def test_an_error_ends_its_own_item_alone(caplog: pytest.LogCaptureFixture) -> None:
    ends: list[str] = []
    over = threading.Event()

    def look(item: str) -> bool:
        if item == "cannot look":
            raise OSError("the file system is gone")
        return True

    def end(item: str) -> None:
        ends.append(item)
        if item == "last":
            over.set()
        if item == "cannot end":
            raise RuntimeError("the engine was shut down")

    items = WaitingList("test-waiting", look, end)
    with caplog.at_level(logging.ERROR):
        for item in ("cannot look", "cannot end", "last"):
            items.add(item)
        assert over.wait(60)
    assert ends == ["cannot look", "cannot end", "last"]
    assert [record.getMessage() for record in caplog.records] == ["test-waiting: cannot look any more"]
