"""Logs: their ends, what comes new, and what was complained of last."""

from __future__ import annotations

from pathlib import Path

import pytest

from prov_worker.fleet import logs
from prov_worker.fleet.endpoint import ManagedEndpoint
from prov_worker.fleet.fleetfile import Fleet

START = logs.start_line("one", None)

LINE = "2026-11-21 07:16:3%d,123456 %s MainProcess-12 MainThread-13 globus_compute_endpoint.cli:701 start %s\n"


def folder(fleet: Fleet, endpoint: Path, log: str = "", console: str = "") -> ManagedEndpoint:
    (endpoint / "endpoint.log").write_text(log)
    (endpoint / "console.log").write_text(console)
    return ManagedEndpoint(fleet.endpoints[0])


def test_the_last_error_with_the_end_of_its_traceback(fleet: Fleet, endpoint: Path) -> None:
    traceback = 'Traceback (most recent call last):\n  File "x.py", line 3, in f\nValueError: no broker\n'
    log = LINE % (1, "ERROR", "first") + LINE % (2, "ERROR", "second") + traceback + LINE % (3, "INFO", "goes on")
    error = logs.last(folder(fleet, endpoint, log))
    assert error is not None
    assert (error.at, error.message) == ("2026-11-21 07:16:32", "second: ValueError: no broker")


def test_a_user_endpoint_may_have_it(fleet: Fleet, endpoint: Path) -> None:
    user = fleet.user_dir / "uep.5d9f8a52-3b1c-4f0e-8a44-0d2f4a6f1c01.7"
    user.mkdir()
    (user / "endpoint.log").write_text(LINE % (9, "CRITICAL", "no engine"))
    error = logs.last(folder(fleet, endpoint, LINE % (1, "ERROR", "older")))
    assert error is not None
    assert (error.message, error.log) == ("no engine", user / "endpoint.log")


def test_no_error(fleet: Fleet, endpoint: Path) -> None:
    assert logs.last(folder(fleet, endpoint, LINE % (1, "WARNING", "hm"))) is None


def test_no_secret_is_told(fleet: Fleet, endpoint: Path) -> None:
    log = LINE % (1, "ERROR", "cannot reach amqp://user:hunter2hunter2@broker:5672/")
    error = logs.last(folder(fleet, endpoint, log))
    assert error is not None
    assert "hunter2" not in error.message


def test_why_the_last_start_went_wrong(fleet: Fleet, endpoint: Path) -> None:
    first = START + "Error: of the first\n"
    second = START + "something\nError: of the second\nmore\n"
    assert logs.last_of_start(folder(fleet, endpoint, console=first + second)) == "Error: of the second"
    third = START + "\x1b[?25lonly this\n"
    assert logs.last_of_start(folder(fleet, endpoint, console=first + third)) == "only this"
    fourth = START
    assert logs.last_of_start(folder(fleet, endpoint, console=first + fourth)) == "it printed nothing"
    fifth = fourth + "Please authenticate with Globus here:\n-----\nhttps://auth.globus.org/v2\n-----\nAborted!\n"
    assert logs.last_of_start(folder(fleet, endpoint, console=first + fifth)).startswith("is not logged in: ")
    sixth = fifth.replace(START, logs.start_line("one", "GLOBUS_COMPUTE_CLIENT_SECRET"))
    assert logs.last_of_start(folder(fleet, endpoint, console=first + sixth)).startswith(
        "is not logged in (GLOBUS_COMPUTE_CLIENT_SECRET is not set, and GLOBUS_COMPUTE_CLIENT_ID is): "
    )


@pytest.mark.parametrize("line", ["-- ", "-----", "-- {", '-- {"a": 1}', "-- []", "x"])
def test_what_a_daemon_prints_is_no_start(fleet: Fleet, endpoint: Path, line: str) -> None:
    assert logs.last_of_start(folder(fleet, endpoint, console=f"{START}Error: why\n{line}\n")) == "Error: why"


def test_the_last_lines(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("".join(f"line {number} {'x' * 200}\n" for number in range(2000)))
    lines = logs.last_lines(path, 1500)
    assert (len(lines), lines[0][:8], lines[-1][:9]) == (1500, "line 500", "line 1999")
    assert logs.last_lines(path, 0) == []
    assert len(logs.last_lines(path, 9999)) == 2000


def test_what_comes_new_also_in_a_log_that_was_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("old\n")
    new = logs.follow(path, path.stat().st_size, 0.01)
    with path.open("a") as file:
        file.write("one\ntw")
    assert next(new) == "one\n"
    with path.open("a") as file:
        file.write("o\n")
    assert next(new) == "two\n"
    path.rename(tmp_path / "log.1")
    path.write_text("three\n")
    assert next(new) == "three\n"
