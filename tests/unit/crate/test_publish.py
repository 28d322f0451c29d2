"""Which attempt has which name, whoever publishes when."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from prov_worker.crate.check import check_crate
from prov_worker.crate.publish import _replace, attempt_of, place, read_attempt
from prov_worker.crate.reader import StepCrate
from prov_worker.crate.sources import find_crates
from prov_worker.crate.writer import CrateWriter
from prov_worker.files import exchange
from prov_worker.model import Failure
from prov_worker.settings import Settings

NAME = "7a171870-b038-4174-84e1-29cdcc42f72c"


def attempts(directory):
    return {path.name.removeprefix(NAME): StepCrate.open(path).attempt for path in find_crates(directory)}


@pytest.fixture
def make_attempt(make_record):
    def make(number, end_s, later_ns=0):
        record = make_record(attempt=number)
        record.start_ns += number + later_ns
        record.end_ns = record.start_ns + end_s * 10**9
        return record

    return make


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 2, 1), (2, 3, 1), (1, 3, 2)])
def test_last_to_finish_has_the_plain_name(writer, make_attempt, tmp_path, order):
    for number in order:
        path = writer.publish(make_attempt(number, number), None, None, tmp_path)
        assert StepCrate.open(path).attempt == number
    assert attempts(tmp_path) == {".crate": 3, ".attempt-1.crate": 1, ".attempt-2.crate": 2}


def test_end_counts_before_the_number(writer, make_attempt, tmp_path):
    writer.publish(make_attempt(1, 50), None, None, tmp_path)
    writer.publish(make_attempt(2, 10), None, None, tmp_path)
    assert attempts(tmp_path) == {".crate": 1, ".attempt-2.crate": 2}


def test_same_attempt_twice_changes_nothing(writer, make_attempt, tmp_path):
    first = writer.publish(make_attempt(1, 1), None, None, tmp_path)
    inode = first.stat().st_ino
    assert writer.publish(make_attempt(1, 1), None, None, tmp_path) == first
    assert first.stat().st_ino == inode
    last = writer.publish(make_attempt(2, 2), None, None, tmp_path)
    earlier = tmp_path / f"{NAME}.attempt-1.crate"
    assert earlier.stat().st_ino == inode
    assert writer.publish(make_attempt(1, 1), None, None, tmp_path) == earlier
    assert sorted(tmp_path.iterdir()) == sorted([earlier, last])


def test_two_events_with_one_number_are_both_kept(writer, make_attempt, tmp_path):
    records = [make_attempt(1, end_s=number, later_ns=number) for number in (1, 2, 3)]
    for record in records:
        writer.publish(record, None, None, tmp_path)
    assert attempts(tmp_path) == {".crate": 1, ".attempt-1.crate": 1, ".attempt-1.2.crate": 1}
    assert read_attempt(tmp_path / f"{NAME}.crate").id == records[2].attempt_id
    assert read_attempt(tmp_path / f"{NAME}.attempt-1.2.crate").id == records[1].attempt_id


def test_a_later_end_of_the_same_attempt_is_no_other_attempt(writer, make_attempt, tmp_path):
    """A finaliser that takes over from a killed one may know a later end, and another name of the host."""
    first = writer.publish(make_attempt(1, 1), None, None, tmp_path)
    again = make_attempt(1, 5)
    again.worker.host = "unknown"
    assert writer.publish(again, None, None, tmp_path) == first
    assert attempts(tmp_path) == {".crate": 1}


def test_a_crate_without_a_start_began_at_its_end(writer, make_attempt, tmp_path):
    record = make_attempt(1, 1)
    metadata = writer.publish(record, None, None, tmp_path) / "ro-crate-metadata.json"
    document = json.loads(metadata.read_text())
    document["@graph"] = [entity for entity in document["@graph"] if entity["@id"] != "#start-ns"]
    metadata.write_text(json.dumps(document))
    assert read_attempt(metadata.parent).id == record.attempt_id._replace(start_ns=record.end_ns)


def test_racing_publishers_of_one_attempt(snapshot, make_attempt, tmp_path):
    for turn in range(20):
        directory = tmp_path / str(turn)
        barrier = threading.Barrier(4)

        def publish(directory=directory, barrier=barrier):
            writer = CrateWriter(snapshot, Settings())
            barrier.wait()
            return writer.publish(make_attempt(1, 1), None, None, directory)

        with ThreadPoolExecutor(4) as pool:
            paths = {future.result() for future in [pool.submit(publish) for _ in range(4)]}
        assert paths == {directory / f"{NAME}.crate"}
        assert list(directory.iterdir()) == [directory / f"{NAME}.crate"]


def test_racing_publishers_of_many_attempts(snapshot, make_attempt, tmp_path):
    for turn in range(20):
        directory = tmp_path / str(turn)
        barrier = threading.Barrier(6)

        def publish(number, directory=directory, barrier=barrier):
            writer = CrateWriter(snapshot, Settings())
            barrier.wait()
            return writer.publish(make_attempt(number, number), None, None, directory)

        with ThreadPoolExecutor(6) as pool:
            # Each attempt twice.
            list(pool.map(publish, (1, 2, 3, 1, 2, 3)))
        assert attempts(directory) == {".crate": 3, ".attempt-1.crate": 1, ".attempt-2.crate": 2}
        assert not [path for path in directory.iterdir() if path.name.startswith(".")]


def test_something_else_under_the_name_is_kept_aside(writer, make_attempt, tmp_path):
    foreign = tmp_path / f"{NAME}.crate"
    foreign.mkdir()
    (foreign / "ro-crate-metadata.json").write_text("{torn")
    crate = writer.publish(make_attempt(1, 1), None, None, tmp_path)
    assert crate == foreign
    assert check_crate(crate) == []
    assert (tmp_path / f"{NAME}.crate.unreadable" / "ro-crate-metadata.json").read_text() == "{torn"


def test_crate_that_another_node_published_between_look_and_move_is_not_lost(
    writer, make_attempt, tmp_path, monkeypatch
):
    """The earlier attempt is replaced by a later one just before it is moved aside."""
    from prov_worker.crate import publish as module

    writer.publish(make_attempt(1, 1), None, None, tmp_path)
    newest = writer.publish(make_attempt(3, 3), None, None, tmp_path / "elsewhere")
    real = module._move_earlier

    def overtaken(final, crate_dir, expected, me):
        final.rename(tmp_path / f"{NAME}.attempt-1.crate")
        newest.rename(final)
        monkeypatch.setattr(module, "_move_earlier", real)
        real(final, crate_dir, expected, me)

    # The moment between two system calls of this process cannot be hit from outside.
    monkeypatch.setattr(module, "_move_earlier", overtaken)
    writer.publish(make_attempt(2, 2), None, None, tmp_path)
    shutil.rmtree(tmp_path / "elsewhere")
    assert attempts(tmp_path) == {".crate": 3, ".attempt-1.crate": 1, ".attempt-2.crate": 2}


def test_identity_survives_the_disk(writer, make_attempt, tmp_path):
    from prov_worker.crate.publish import attempt_of

    record = make_attempt(2, 7)
    assert read_attempt(writer.publish(record, None, None, tmp_path)) == attempt_of(record)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"@graph": [{}]}', json.dumps({"@graph": [{"@id": "./"}]})])
def test_what_is_no_crate_has_no_identity(tmp_path, content):
    (tmp_path / "ro-crate-metadata.json").write_text(content)
    assert read_attempt(tmp_path) is None
    assert read_attempt(tmp_path / "nowhere") is None


def test_place_reports_a_file_system_that_refuses(tmp_path, make_attempt):
    from prov_worker.crate.publish import attempt_of

    with pytest.raises(FileNotFoundError):
        place(tmp_path / ".tmp-gone", tmp_path, attempt_of(make_attempt(1, 1)))


def test_what_never_answers_in_the_place_of_a_crate_is_set_aside(writer, make_attempt, tmp_path):
    crate = tmp_path / f"{NAME}.crate"
    crate.mkdir()
    os.mkfifo(crate / "ro-crate-metadata.json")
    writer.publish(make_attempt(1, 1), None, None, tmp_path)
    assert attempts(tmp_path)[".crate"] == 1
    assert (tmp_path / f"{crate.name}.unreadable" / "ro-crate-metadata.json").is_fifo()


@pytest.fixture
def make_verdict(make_attempt):
    def make(kind, number, end_s, start_ns=None):
        record = make_attempt(number, end_s)
        record.status = "failed"
        record.failure = Failure(kind, "nobody told of its end")
        record.start_ns = start_ns or record.start_ns
        return record

    return make


@pytest.mark.parametrize("kind", ["lost", "unknown"])
@pytest.mark.parametrize("later", [False, True])
def test_a_verdict_gives_way_to_the_end(writer, make_attempt, make_verdict, tmp_path, kind, later):
    crate = writer.publish(make_verdict(kind, 1, 1), None, None, tmp_path)
    if later:
        crate = tmp_path / f"{NAME}.attempt-1.crate"
        writer.publish(make_attempt(2, 9), None, None, tmp_path)
    assert StepCrate.open(crate).status == "failed"
    for _ in range(2):
        assert writer.publish(make_attempt(1, 5), None, None, tmp_path) == crate
        step = StepCrate.open(crate)
        assert step.status == "completed"
        assert step.notes == [
            f"Before its end was known, this attempt was published as failed ({kind}): nobody told of its end"
        ]
        assert check_crate(crate) == []
        # and never the other way round
        writer.publish(make_verdict(kind, 1, 7), None, None, tmp_path)
    assert attempts(tmp_path) == ({".crate": 2, ".attempt-1.crate": 1} if later else {".crate": 1})
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_a_loss_gives_way_whatever_start_the_engine_took(writer, make_attempt, make_verdict, tmp_path):
    writer.publish(make_verdict("lost", 1, 1, start_ns=5), None, None, tmp_path)
    writer.publish(make_attempt(1, 5), None, None, tmp_path)
    assert [step.status for step in map(StepCrate.open, find_crates(tmp_path))] == ["completed"]


def test_what_a_worker_said_gives_way_to_nothing(writer, make_attempt, make_verdict, tmp_path):
    crate = writer.publish(make_verdict("signal", 1, 1), None, None, tmp_path)
    writer.publish(make_attempt(1, 5), None, None, tmp_path)
    assert StepCrate.open(crate).status == "failed"


def test_ends_and_verdicts_that_race(snapshot, make_attempt, make_verdict, tmp_path):
    for turn in range(20):
        directory = tmp_path / str(turn)
        barrier = threading.Barrier(4)

        def publish(record, directory=directory, barrier=barrier):
            writer = CrateWriter(snapshot, Settings())
            barrier.wait()
            return writer.publish(record, None, None, directory)

        records = [make_attempt(1, 1), make_verdict("unknown", 1, 1), make_attempt(1, 1), make_verdict("lost", 1, 2)]
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(publish, records))
        (path,) = directory.iterdir()
        assert StepCrate.open(path).status == "completed"


@pytest.mark.parametrize("atomic", [True, False])
def test_a_reader_finds_a_crate_at_any_moment_while_a_verdict_is_replaced(
    writer, make_attempt, make_verdict, tmp_path, monkeypatch, atomic
):
    """Not every file system lets two names change places: there the old crate goes first."""
    crate = writer.publish(make_verdict("lost", 1, 1), None, None, tmp_path)
    seen = []
    real = os.rename

    def rename(source, target):
        seen.append(crate.exists())
        real(source, target)
        seen.append(crate.exists())

    monkeypatch.setattr("prov_worker.crate.publish.os.rename", rename)
    if not atomic:
        monkeypatch.setattr("prov_worker.crate.publish.exchange", lambda first, second: False)
    elif not exchange(*(tempfile.mkdtemp(dir=tmp_path, prefix=".") for _ in range(2))):
        pytest.skip("this file system cannot exchange two names")
    writer.publish(make_attempt(1, 5), None, None, tmp_path)
    assert StepCrate.open(crate).status == "completed"
    assert all(seen) == atomic


def test_what_another_publisher_has_put_there_is_given_back(writer, make_attempt, make_verdict, tmp_path):
    crate = writer.publish(make_attempt(1, 5), None, None, tmp_path)
    staged = writer.publish(make_attempt(2, 9), None, None, tmp_path / "other")
    verdict = attempt_of(make_verdict("lost", 1, 1))
    assert not _replace(staged, crate, verdict)
    assert (read_attempt(crate).id.attempt, read_attempt(staged).id.attempt) == (1, 2)
