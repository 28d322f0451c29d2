"""What is recorded of shell commands, from the objects of Globus Compute's own classes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from globus_compute_sdk import MPIFunction, ShellFunction
from globus_compute_sdk.sdk.shell_function import ShellResult

from prov_worker.recorder.commands import TAIL, Outcome, program_of
from prov_worker.recorder.functions import function_fields, is_command


class MyShell(ShellFunction):  # type: ignore[misc]
    """A class of a user."""


@pytest.mark.parametrize(
    "template, program",
    [
        ("echo one; exit 3", "echo"),
        ("cd d && X=1 ./bin/solver {x}", "solver"),
        ("module load gcc\nmpirun -n 4 ./a", "mpirun"),
        ("export A=b; time lmp -in {f}", "lmp"),
        ("# note\nlmp", "lmp"),
        ("{program} -x", None),
        ("'open", None),
        ("", None),
    ],
)
def test_a_command_is_named_by_its_program(template: str, program: str | None) -> None:
    assert program_of(template) == program
    assert function_fields(ShellFunction(template), None)["name"] == (program or "ShellFunction")
    assert function_fields(ShellFunction(template, name="mine"), None)["name"] == "mine"


@pytest.mark.parametrize("kind", [ShellFunction, MPIFunction, MyShell])
def test_a_command_says_its_template_and_limit(kind: Any) -> None:
    fields = function_fields(kind("solve --token=hunter2 {x}", walltime=5), None)
    assert (fields["kind"], fields["limit"], fields["of"]) == (kind.__name__, 5, "command")
    assert fields["command"] == "solve --token=[redacted] {x}"
    assert "source" not in fields
    assert fields["sha256"] != function_fields(kind("solve --token=hunter3 {x}"), None)["sha256"]
    assert not is_command(kind)
    assert not is_command(print)


@pytest.mark.parametrize("as_dict", [False, True])
@pytest.mark.parametrize(
    "status, error, stderr, message",
    [
        (0, None, "", None),
        (3, "subprocess.CalledProcessError", "first\nlast password=hunter2\n", "status 3: last password=[redacted]"),
        (124, "subprocess.TimeoutExpired", "", "ran past its time limit of 2 s (exit status 124)"),
        (124, "subprocess.CalledProcessError", "", "ended with exit status 124"),
        (-9, "subprocess.CalledProcessError", "", "ended by signal 9"),
        (1, None, "WARNING: Task sandboxing will not work due to", "ended with exit status 1"),
    ],
)
def test_the_outcome_is_that_of_the_command(
    as_dict: bool, status: int, error: str | None, stderr: str, message: str | None
) -> None:
    result: Any = ShellResult("run --password hunter2", "out\n", stderr, status, error)
    outcome = Outcome(vars(result) if as_dict else result, 2.0, True, True)
    assert json.loads(outcome.field) == {"status": status, "run": "run --password [redacted]"}
    assert json.loads(outcome.output or "")[0] == "out\n"
    assert "hunter2" not in f"{outcome.output}{outcome.failure}"
    failure = json.loads(outcome.failure or "null")
    assert (failure is None) == (message is None)
    if message is not None:
        assert failure["message"].endswith(message)
        assert (failure["kind"], failure["exit_status"]) == ("command", status)


def test_the_end_of_the_output_is_kept_and_nothing_if_it_is_not_wanted() -> None:
    result = ShellResult("x", "a" * TAIL + "the end", "", 0)
    stdout, stderr = json.loads(Outcome(result, None, True, True).output or "")
    assert (len(stdout), stdout[-7:], stderr) == (TAIL, "the end", "")
    outcome = Outcome(result, None, False, False)
    assert (outcome.output, json.loads(outcome.field)) == (None, {"status": 0})
