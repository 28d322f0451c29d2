"""Which attempts of a run are meant: the same by an index, and by crates that are read one by one."""

from __future__ import annotations

import json
import uuid
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

import prov_worker
from prov_worker.cli.main import run as cli
from prov_worker.errors import InputError
from prov_worker.run.assembly.assemble import assemble
from prov_worker.run.assembly.model import Options
from prov_worker.run.index.build import index
from prov_worker.run.index.query import Index
from prov_worker.run.selection import Filters, Selection
from prov_worker.run.selection.groups import keep, kept_at
from prov_worker.testing import CrateFactory
from prov_worker.testing.crates import START_NS, task_id

#: The start of task 3.
LATER = datetime.fromtimestamp(START_NS // 10**9 + 4, timezone.utc)


@pytest.fixture
def named(workflow_crates: CrateFactory) -> Path:
    """The crates of the workflow, and two tasks that named their run."""
    workflow_crates.add(5, "fit", offset_s=7, annotations={"run": "scan-7", "loss": 0.5})
    workflow_crates.add(6, "fit", offset_s=8, annotations={"run": "scan-8"}, error="did not converge")
    return workflow_crates.directory


CASES: list[tuple[dict[str, Any], list[int]]] = [
    ({}, [0, 1, 1, 2, 3, 4, 5, 6]),
    ({"status": "failed"}, [1, 4, 6]),
    ({"function": ("re*", "merge")}, [0, 1, 1, 4]),
    ({"function": ("Read",)}, []),
    ({"host": ("node0?",), "latest": True}, [0, 1, 2, 3, 4, 5, 6]),
    ({"endpoint": ("laptop",), "run_name": ("scan-*",)}, [5, 6]),
    ({"run_name": ("scan-7",)}, [5]),
    ({"tasks": frozenset(map(task_id, (1, 5, 99)))}, [1, 1, 5]),
    ({"tasks": frozenset(), "status": "failed"}, []),
    ({"task": (task_id(2), f"{task_id(3)[:-1]}*")}, [0, 1, 1, 2, 3, 4, 5, 6]),
    ({"task": (task_id(2),)}, [2]),
    ({"user": ("nobody",)}, []),
    ({"since": LATER}, [3, 4, 5, 6]),
    ({"until": LATER, "error": "NOT there"}, [1]),
    ({"error": "valueerror"}, [1, 4, 6]),
    ({"min_wall_s": 0.5, "max_wall_s": 0.5}, [1]),
    ({"min_gpu_percent": 1.0}, []),
    ({"gpu": True}, []),
    ({"gpu": False}, []),
]


@pytest.mark.parametrize(("filters", "numbers"), CASES, ids=[" ".join(case[0]) or "all" for case in CASES])
def test_an_index_and_single_crates_agree(named: Path, filters: dict[str, Any], numbers: list[int]) -> None:
    index([named])
    with Index(named) as opened:
        indexed = [row[0] for row in opened.ask(Filters(**filters), ["task_id"], ["task_id"]).rows]
    chosen = [step.task_id for step in prov_worker.open_run(named, Selection(Filters(**filters))).steps()]
    assert indexed == sorted(chosen) == [task_id(number) for number in numbers]


@pytest.mark.parametrize(
    ("where", "numbers"),
    [
        ("wall_s < 1 OR run = 'scan-8'", [1, 6]),
        ("annotations->>'loss' = '0.5'", [5]),
        ('"end" - start < INTERVAL 1 SECOND -- a comment', [1]),
        ("function IN ('total') AND status = 'completed'", [2, 3]),
    ],
)
def test_a_condition_in_sql(named: Path, where: str, numbers: list[int]) -> None:
    run = prov_worker.open_run(named, Selection(Filters(), where))
    assert [step.task_id for step in run.steps()] == [task_id(number) for number in numbers]


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("nonsense > 1", 'Referenced column "nonsense" not found'),
        ("wall_s >", "syntax error"),
        ("true); DELETE FROM attempt; SELECT (1", 'syntax error at or near ")"'),
        ("true; DELETE FROM attempt", "expected one condition"),
        ("", "empty; expected a condition"),
        (" \n", "empty; expected a condition"),
        ("-- wall_s > 1", "no condition, but a comment"),
        ("((((", 'syntax error at or near "("'),
        ("(wall_s", 'syntax error at or near "wall_s"'),
        ("host = 'node", "unterminated"),
        ("EXISTS (SELECT * FROM read_csv('/etc/passwd'))", "disabled"),
    ],
)
def test_a_condition_that_is_none(where: str, message: str) -> None:
    with pytest.raises(InputError, match="^--where: ") as refusal:
        Selection(Filters(), where)
    assert message in str(refusal.value)


def test_a_run_of_chosen_attempts_is_whole_and_sealed(named: Path, tmp_path: Path) -> None:
    made = assemble([named], tmp_path / "fits.crate", Options(selection=Selection(Filters(run_name=("scan-*",)))))
    assert (made.tasks, made.failed, made.problems) == (2, 1, [])
    assert cli(["run", "verify", str(tmp_path / "fits.crate")]) == 0


def test_commands_choose_alike(named: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli(["list", str(named), "--run-name", "scan-7"]) == 0
    assert "1 crate\n" in capsys.readouterr().out
    page = tmp_path / "page.html"
    assert cli(["run", "report", str(named), "-o", str(page), "--status", "failed", "--json"]) == 0
    assert '"attempts": 3' in capsys.readouterr().out
    for name, suffix in (("csv", "csv"), ("prov-json", "json")):
        target = tmp_path / f"few.{suffix}"
        options = ["--format", name, "-o", str(target), "--where", "wall_s < 1"]
        assert cli(["run", "export", str(named), *options]) == 0
    provenance = (tmp_path / "few.json").read_text()
    assert task_id(1) in provenance
    assert task_id(0) not in provenance
    capsys.readouterr()
    assert cli(["list", str(named), "--where", "nonsense"]) == 2
    assert capsys.readouterr().err.startswith("prov-worker: --where: ")


def test_a_run_crate_is_exported_in_part(named: Path, tmp_path: Path) -> None:
    assemble([named], tmp_path / "all.crate", Options())
    target = tmp_path / "failed.json"
    options = ["--format", "prov-json", "-o", str(target), "--status", "failed"]
    assert cli(["run", "export", str(tmp_path / "all.crate"), *options]) == 0
    provenance = target.read_text()
    assert task_id(4) in provenance
    assert task_id(5) not in provenance


@pytest.mark.parametrize("options", [["--function", "none"], ["--where", "wall_s > 1e9"], ["--task", task_id(99)]])
def test_a_selection_of_nothing_is_said_alike(
    named: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    assert cli(["list", str(named), *options]) == 0
    assert capsys.readouterr() == ("0 crates\n", "")
    before = sorted(tmp_path.rglob("*"))
    for command in (
        ["report", str(named), "-o", str(tmp_path / "page.html")],
        ["compare", str(named), str(named)],
        ["assemble", str(named), "-o", str(tmp_path / "none.crate")],
        ["assemble", str(named), "-o", str(tmp_path / "none.crate.zip")],
        *(
            ["export", str(named), "--format", name, "-o", str(tmp_path / "few")]
            for name in ("csv", "prov-json", "ro-crate", "flowcept")
        ),
    ):
        assert cli(["run", *command, *options]) == 2, command
        assert capsys.readouterr() == ("", f"prov-worker: {named}: no attempt matches\n"), command
    assert sorted(tmp_path.rglob("*")) == before


def test_what_holds_no_crate_is_not_compared(named: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("notes")
    (tmp_path / "notes.zip").write_text("notes")
    for name, message in (
        ("empty", "no step crate"),
        ("notes.txt", "is a file; expected a crate directory or a zip"),
        ("notes.zip", "not a readable zip file: File is not a zip file"),
        ("none", "no such run or directory"),
    ):
        for pair in ([named, tmp_path / name], [tmp_path / name, named]):
            assert cli(["run", "compare", *map(str, pair)]) == 2
            assert capsys.readouterr() == ("", f"prov-worker: {tmp_path / name}: {message}\n")


def test_a_task_group_is_kept_beside_its_run(
    named: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Nobody is logged in here: what is kept is taken, and said; without it, it is refused."""
    monkeypatch.setenv("GLOBUS_COMPUTE_USER_DIR", str(tmp_path / "gc"))
    for name in ("GLOBUS_COMPUTE_CLIENT_ID", "GLOBUS_COMPUTE_CLIENT_SECRET"):
        monkeypatch.delenv(name, raising=False)
    group = str(uuid.UUID(int=7))
    assert cli(["list", "--group", group, str(named)]) == 2
    error = capsys.readouterr().err
    assert f"--group {group}: nobody can be asked for its tasks: " in error
    assert len(error.splitlines()) == 1
    keep(named, group, [task_id(5), task_id(6)])
    assert kept_at(named).parent == named.parent
    assert cli(["list", "--json", "--group", group, str(named)]) == 0
    output = capsys.readouterr()
    assert {row["task_id"] for row in json.loads(output.out)} == {task_id(5), task_id(6)}
    assert "2 tasks as kept beside the crates" in output.err
    index([named])
    assert cli(["run", "query", str(named), "--group", group.upper(), "--json"]) == 0
    assert {row["task_id"] for row in json.loads(capsys.readouterr().out)} == {task_id(5), task_id(6)}
    assert cli(["run", "report", str(named), "--group", group, "-o", str(tmp_path / "report.html")]) == 0
    assert "2 tasks as kept" in capsys.readouterr().err
    assert cli(["list", "--group", "7", str(named)]) == 2
    assert "--group: '7': is not a UUID" in capsys.readouterr().err
    kept_at(named).write_text("[]")
    assert cli(["list", "--group", group, str(named)]) == 2
    assert "crates.groups.json: is not a JSON object" in capsys.readouterr().err
