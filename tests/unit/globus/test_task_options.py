"""What a client may ask of our engines for a task."""

from __future__ import annotations

from typing import Any

import pytest

from prov_worker.errors import InputError
from prov_worker.globus.task_options import take_options


def test_ours_is_taken_out_and_the_rest_stays() -> None:
    given = {"num_nodes": 2, "prov_worker": {"run": "fit-7"}}
    rest, options = take_options(given)
    assert rest == {"num_nodes": 2}
    assert options.run == "fit-7"
    assert options.sent == {"run": "fit-7"}
    assert given["prov_worker"] == {"run": "fit-7"}
    assert take_options({"prov_worker": {"run": "fit-7"}})[1] is options
    limited = take_options({"prov_worker": {"time_limit": 1.5}})[1]
    assert (limited.run, limited.time_limit_s, limited.sent) == (None, 1.5, {"limit_ns": 1_500_000_000})
    assert limited.held == "resource_specification: prov_worker: time_limit"
    once = take_options({"prov_worker": {"once": True}})[1]
    assert (once.once, once.sent, once.held) == (True, {"once": True}, "resource_specification: prov_worker: once")
    assert options.held is None
    assert take_options({"priority": 3})[0] == {"priority": 3}
    for nothing in (None, {}, {"run": None}, {"once": False}):
        assert take_options({"prov_worker": nothing}) == ({}, take_options({})[1])


def test_a_secret_in_a_name_goes_no_further() -> None:
    assert take_options({"prov_worker": {"run": "fit password=hunter2"}})[1].sent == {"run": "fit password=[redacted]"}


@pytest.mark.parametrize(
    "given, problem",
    [
        ("fit", "resource_specification: prov_worker: str: is not a mapping"),
        ({"runs": "x"}, "resource_specification: prov_worker: runs: unknown key; there is run, time_limit, once"),
        ({"run": 7}, "resource_specification: prov_worker: run: int: is not a text"),
        ({"run": " "}, "run: ' ': is not a name of 1 to 200 printable characters"),
        ({"run": "a\nb"}, r"run: 'a\\nb': is not a name"),
        ({"time_limit": "60"}, "time_limit: str: is not a number of seconds"),
        ({"time_limit": True}, "time_limit: bool: is not a number"),
        ({"time_limit": 0}, "time_limit: 0: is not above 0 and at most 31622400 s"),
        ({"time_limit": float("nan")}, "time_limit: nan: is not above 0"),
        ({"once": 1}, "once: int: is neither true nor false"),
        ({"run": "x" * 201}, "xx': is not a name of 1 to 200"),
    ],
)
def test_what_is_not_allowed_is_named(given: Any, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        take_options({"prov_worker": given})
