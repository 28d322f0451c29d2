"""What is put into the record of a lost task from what its own node reports."""

from __future__ import annotations

from prov_worker.agent.lost_tasks import Evidence, complete
from prov_worker.model import FAILED, Failure, Function, TaskRecord, Worker
from prov_worker.spool.records import Ended

LOST = Failure("lost", "the engine reported the worker as lost")


def ended(start_ns: int, end_ns: int, function: Function, failure: Failure | None = None) -> Ended:
    record = TaskRecord("a", 1, FAILED, start_ns, end_ns, function, Worker("host", 1))
    record.failure = failure
    return Ended(record, {}, None)


def test_a_task_that_nobody_reports() -> None:
    lost = ended(5, 9, Function("f"), LOST)
    complete(lost, Evidence())
    complete(lost, Evidence(unread="/spool/x may tell of this task and could not be read (EIO)"))
    assert [note.split(":")[0] for note in lost.record.notes] == [
        "No worker began this task",
        "/spool/x may tell of this task and could not be read (EIO)",
    ]
    assert (lost.record.start_ns, lost.record.failure) == (5, LOST)


def test_what_the_node_reports_is_taken_but_for_the_engines_word() -> None:
    lost = ended(5, 9, Function("f", id="f-1"), LOST)
    reported = ended(7, 8, Function("f_of_worker"), Failure("signal", "killed"))
    reported.settings = {"poll_interval": 1.0}
    complete(lost, Evidence(ended=reported))
    record = lost.record
    assert (record.start_ns, record.end_ns, record.failure) == (7, 9, LOST)
    assert (record.function.name, record.function.id) == ("f_of_worker", "f-1")
    assert lost.settings == {"poll_interval": 1.0}
    assert record.notes == []
