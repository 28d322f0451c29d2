"""Parts of a record from the fields of journal lines."""

from __future__ import annotations

import pytest

from prov_worker.model import Command, Part, Usage
from prov_worker.sandbox import Listed
from prov_worker.spool.record_fields import command_of, files_of, function_of, part_of, usage_of, values_of

IO = "rchar: {}\nwchar: {}\nsyscr: 1\nread_bytes: 0\n"


def test_a_function_without_a_name_is_unknown_and_keeps_the_tasks_id() -> None:
    function = function_of({"name": None, "of": "call", "payload": "p"}, "f-1")
    assert (function.name, function.id, function.sha256_of, function.payload_sha256) == ("unknown", "f-1", "call", "p")


@pytest.mark.parametrize(
    ("function", "ended", "command"),
    [
        ({}, None, None),
        ({"command": "echo {}", "limit": 5}, None, Command("echo {}", 5, None, None, None)),
        # The end knows best: a task may have been given another limit than its function.
        ({"command": "echo {}", "limit": 5}, {"run": "echo 1", "status": 3, "limit": 2},
         Command("echo {}", 2, "echo 1", None, 3)),
        ({}, {"run": "true", "launcher": "mpiexec", "status": 0}, Command(None, None, "true", "mpiexec", 0)),
    ],
)  # fmt: skip
def test_a_command_is_of_its_function_and_of_its_end(function: dict, ended: dict | None, command: Command) -> None:
    assert command_of(function, ended) == command


def test_a_part_without_needs_or_steps_has_empty_ones() -> None:
    assert part_of(None) is None
    assert part_of({"library": "dask", "key": "x-1"}) == Part("dask", "x-1", None, [], [])


def test_no_listing_is_not_an_empty_one() -> None:
    assert files_of(None) is None
    assert files_of({}) == {}
    assert files_of({"a": [1, 2]}) == {"a": Listed(1, 2)}


def test_values_are_none_if_they_were_not_described() -> None:
    assert values_of(None) == []
    (value,) = values_of([["x", "int", 28, None, None, "1"]])
    assert (value.name, value.type) == ("x", "int")


def test_what_was_read_is_the_difference_of_two_texts() -> None:
    usage = usage_of([0] * 4, IO.format(10, 20) + IO.format(15, 27))
    assert (usage.read_chars, usage.written_chars) == (5, 7)


@pytest.mark.parametrize("io", [None, "", IO.format(10, 20), IO.format(10, 20) + "rchar: 15\n", "rchar: x\nwchar: y\n"])
def test_a_text_that_is_not_whole_says_nothing(io: str | None) -> None:
    usage = usage_of([0] * 4, io)
    assert (usage.read_chars, usage.written_chars) == (None, None)


def test_a_task_without_numbers_has_used_nothing_that_is_known() -> None:
    assert usage_of(None, IO.format(10, 20) + IO.format(15, 27)) == Usage()
