"""Requests to an engine itself: what is answered at once, by an agent, and for want of one."""

from __future__ import annotations

import time
import uuid
from pathlib import Path
from typing import Any

import pytest
from globus_compute_endpoint.engines.base import GCFuture

from prov_worker.globus import request_handler
from prov_worker.globus.answers import read_message
from prov_worker.globus.engine_requests import EngineRequest, outcomes_of
from prov_worker.globus.request_handler import RequestHandler
from prov_worker.spool import endings
from prov_worker.spool.endings import CANCELLED, Ending

TASKS = tuple(str(uuid.UUID(int=number)) for number in range(4))
OPEN, ENDED, REFUSED, SILENT = TASKS


def answer_of(handler: RequestHandler, request: EngineRequest) -> Any:
    """The value that a client gets, or the code and the text of its error."""
    from globus_compute_sdk.serialize import ComputeSerializer

    future = GCFuture(uuid.uuid4())
    handler.take(future, request)
    answer = read_message(future.result(60))
    assert answer.task_id == str(future.gc_task_id)
    return ComputeSerializer().deserialize(answer.text) if answer.succeeded else (answer.code, answer.text)


def test_an_engine_that_records_nothing_says_who_it_is_and_cancels_nothing() -> None:
    handler = RequestHandler(None, lambda task_id: True)
    assert answer_of(handler, EngineRequest()).keys() == {"prov_worker"}
    code, text = answer_of(handler, EngineRequest(cancel=TASKS, by="me"))
    assert (code, text) == ("CANNOT_CANCEL", "tasks of this endpoint run unrecorded, and cannot be cancelled")
    assert answer_of(handler, EngineRequest(running=TASKS))["running"] == []


def test_each_task_that_is_to_be_cancelled_has_an_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By an agent where one says something, else by the engine: ended, or asked."""
    monkeypatch.setattr(request_handler, "ANSWER_S", 0.5)
    crates = str(tmp_path / "crates")
    (tmp_path / "crates").mkdir()
    handler = RequestHandler(crates, lambda task_id: str(task_id) != ENDED)
    ending = Ending(OPEN, 1, time.time_ns(), CANCELLED, time.time_ns(), "node", 7, by="me")
    endings.ask(crates, OPEN, "somebody before")
    endings.note(crates, ending)
    endings.refuse(crates, REFUSED, "its worker is another user's")
    value = answer_of(handler, EngineRequest(cancel=TASKS, by="me"))
    assert outcomes_of(value, TASKS) == {
        OPEN: ("cancelled", ending.text),
        ENDED: ("ended", ""),
        REFUSED: ("refused", "its worker is another user's"),
        SILENT: ("asked", ""),
    }
    wishes = {wish.task_id: wish.by for wish in endings.wishes(crates)}
    assert wishes == dict.fromkeys((OPEN, REFUSED, SILENT), "me"), "asked for, but what had ended"


def test_a_task_that_ends_while_its_end_is_waited_for_is_asked_for_no_more(tmp_path: Path) -> None:
    crates = str(tmp_path / "crates")
    (tmp_path / "crates").mkdir()
    looks: list[uuid.UUID] = []

    def is_open(task_id: uuid.UUID) -> bool:
        looks.append(task_id)
        return len(looks) < 3

    value = answer_of(RequestHandler(crates, is_open), EngineRequest(cancel=(OPEN,), by="me"))
    assert outcomes_of(value, [OPEN]) == {OPEN: ("ended", "")}
    assert list(endings.wishes(crates)) == []
