"""Programs of the host, run within a limit of time."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from prov_worker import programs


def test_what_a_program_writes_and_how_it_ends() -> None:
    result = programs.run(["sh", "-c", "echo out; echo err >&2; exit 3"])
    assert result == programs.Result(3, "out\n", "err\n")
    assert result.message == "err"


@pytest.mark.parametrize(
    "result, message",
    [
        (programs.Result(1, "a\n  b\n", " "), "a b"),
        (programs.Result(4, "", ""), "exit status 4"),
        (programs.Result(1, "", "x" * 400), "x" * 300),
    ],
)
def test_an_error_is_one_line(result: programs.Result, message: str) -> None:
    assert result.message == message


def test_a_program_that_is_not_there_is_a_result() -> None:
    result = programs.run(["no-such-program-of-a-test"])
    assert result.status is None
    assert "No such file" in result.message


def test_the_limit_ends_a_program_and_what_it_started(tmp_path: Path) -> None:
    script = f"sleep 300 & echo $! > {tmp_path}/child; echo begun; wait"
    result = programs.run(["sh", "-c", script], limit_s=0.5)
    assert (result.status, result.output, result.errors) == (None, "begun\n", "no answer within 0.5 s")
    child = int((tmp_path / "child").read_text())
    deadline = time.monotonic() + 60
    while True:
        try:
            state = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            break
        if state == "Z":
            break
        assert time.monotonic() < deadline, "the child lives on"
        time.sleep(0.01)


def test_a_child_that_holds_the_output_is_not_waited_for() -> None:
    result = programs.run([sys.executable, "-c", "import os, time; os.fork() or time.sleep(300)"], limit_s=60)
    assert result.status == 0


def test_environment_and_directory_are_those_that_are_given(tmp_path: Path) -> None:
    result = programs.run(["sh", "-c", "pwd; echo $A$HOME"], environment={"A": "b"}, directory=tmp_path)
    assert result.output == f"{os.path.realpath(tmp_path)}\nb\n"


def test_a_program_is_found_on_a_path(tmp_path: Path) -> None:
    (tmp_path / "tool").write_text("#!/bin/sh\n")
    assert programs.find("tool", str(tmp_path)) is None
    (tmp_path / "tool").chmod(0o755)
    assert programs.find("tool", str(tmp_path)) == str(tmp_path / "tool")
    assert programs.find("sh") is not None
