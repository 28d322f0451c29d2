"""``prov-worker jobs``, as a person calls it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from prov_worker.cli.main import run

pytestmark = [pytest.mark.xdist_group("jobs"), pytest.mark.slow, pytest.mark.timeout(280)]
FILE = '''\
"""Functions to send."""


def share(number, of=1, mark="/nowhere"):
    import os

    return number / (of or os.path.exists(mark))


def stay(path):
    import os
    import time

    while not os.path.exists(path):
        time.sleep(0.02)
    return path
'''
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def jobs(endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Call ``prov-worker jobs`` in a directory with functions; gives exit code, output and errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GLOBUS_COMPUTE_ENDPOINT_ID", endpoint)
    Path("work.py").write_text(FILE)

    def call(*arguments: str) -> tuple[int, str, str]:
        code = run(["jobs", *arguments])
        output = capsys.readouterr()
        return code, output.out, output.err

    return call


def test_submit_list_show_result(jobs: Command) -> None:
    assert jobs("submit", "work.py:share", "-a", "3", "-a", "of=4") == (0, "0.75\n", "")
    code, output, errors = jobs("submit", "work.py:share", "-a", "1", "-a", "of=0")
    assert (code, output) == (1, "")
    assert errors == "prov-worker: job 2 (share): failed: ZeroDivisionError: division by zero\n"
    code, output, _ = jobs("list")
    assert code == 0
    assert output.splitlines()[-1] == "1 completed, 1 failed"
    rows = json.loads(jobs("list", "jobs.jsonl", "--state", "failed", "--json")[1])
    assert [(row["id"], row["state"], row["name"]) for row in rows] == [(2, "failed", "share")]
    code, output, _ = jobs("show", "jobs.jsonl", "2")
    assert "attempt 1: failed, task" in output
    assert "    ZeroDivisionError: division by zero" in output
    assert jobs("result", "jobs.jsonl", "1") == (0, "0.75\n", "")
    assert json.loads(jobs("result", "jobs.jsonl", "1", "--json")[1])[0]["value"] == 0.75
    assert jobs("retry", "jobs.jsonl", "2")[0] == 1
    assert len(json.loads(jobs("show", "jobs.jsonl", "2", "--json")[1])[0]["attempts"]) == 2


def test_map_and_map_again(jobs: Command, tmp_path: Path) -> None:
    Path("items.csv").write_text(f"number,of,mark\n1,2,{tmp_path}/mark\n3,0,{tmp_path}/mark\n4,5,x\n")
    options = ("map", "work.py:share", "items.csv", "--key", "number")
    code, output, errors = jobs(*options)
    assert (code, output) == (1, "1: 0.5\n4: 0.8\n")
    assert errors.startswith("prov-worker: job 2 (share): failed: ZeroDivisionError")
    Path("mark").touch()
    assert jobs(*options) == (0, "1: 0.5\n3: 3.0\n4: 0.8\n", "")
    rows = json.loads(jobs("list", "jobs.jsonl", "--json")[1])
    assert [len(row["attempts"]) for row in rows] == [1, 2, 1]


def test_cancel_and_what_goes_on(jobs: Command, tmp_path: Path, wait_for: Callable[..., None]) -> None:
    code, output, _ = jobs("submit", "work.py:stay", "-a", str(tmp_path / "go"), "--no-wait")
    assert code == 0
    assert output.startswith("job 1 is task ")
    wait_for(lambda: jobs("list", "--look")[1].endswith("\n1 running\n"), "the job")
    assert jobs("list")[1].endswith("\n1 queued\n")
    code, output, _ = jobs("cancel", "jobs.jsonl", "1")
    assert (code, output) == (0, "job 1: cancelled at the endpoint, where its worker was ended\n")
    code, _, errors = jobs("result", "jobs.jsonl")
    assert code == 1
    assert "job 1 (stay): cancelled: cancelled by " in errors
    code, output, _ = jobs("cancel", "jobs.jsonl", "1")
    assert (code, output) == (1, "job 1: it had ended already\n")


@pytest.mark.parametrize(
    "arguments, problem",
    [
        (["list", "none.jsonl"], "none.jsonl: no such store"),
        (["list", "work.py"], "work.py: not a store of jobs"),
        (["submit", "work.py"], "'work.py': is not FILE:FUNCTION"),
        (["submit", "no.py:f"], "no.py: no such file"),
        (["submit", "work.py:nothing"], "work.py: nothing: there is no such function"),
        (["submit", "work.py:share", "-e", "no-id"], "endpoint: 'no-id': is no UUID"),
        (["submit", "work.py:share", "--config", "x"], "--config: 'x': is not KEY=VALUE"),
        (["submit", "work.py:share", "--ranks", "3", "--nodes", "2"], "ranks: 3 cannot be shared out evenly among 2"),
        (["submit", "work.py:share", "--time-limit", "-1"], "time_limit: -1.0: is not above 0 and at most 31622400 s"),
        (["submit", "work.py:share", "--once", "--retries", "1"], "once, retries: a job that is sent again may run tw"),
        (["list"], "jobs.jsonl: no such store"),
        (["map", "work.py:share", "none.csv"], "none.csv: cannot be read"),
        (["map", "work.py:share", "empty.csv"], "empty.csv: has no rows below its head"),
        (["map", "work.py:share", "short.csv"], "short.csv: row 1: has not 2 values"),
        (["map", "work.py:share", "good.csv", "--key", "z"], "good.csv: z: no such column"),
        (["cancel", "none.jsonl"], "name jobs, or --all"),
    ],
)
def test_bad_input_is_one_line(jobs: Command, arguments: list[str], problem: str) -> None:
    Path("work.py").chmod(0o600)
    Path("empty.csv").write_text("number\n")
    Path("short.csv").write_text("number,of\n1\n")
    Path("good.csv").write_text("number\n1\n")
    code, output, errors = jobs(*arguments)
    assert (code, output) == (2, "")
    assert problem in errors
    assert len(errors.splitlines()) == 1
    assert not list(Path().glob("*.jsonl*"))
