"""Shell commands through a real engine: what their crates, lists, queries and reports say."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from globus_compute_sdk import ShellFunction

sys.path.insert(0, str(Path(__file__).parent))

import functions

from prov_worker.crate.reader import StepCrate
from prov_worker.globus.embedded import EmbeddedEndpoint

LIMIT_S = 180
COMMANDS = {
    "mysolver --input {x} || exit 7": ("mysolver", 7),
    "sleep 30": ("sleep", 124),
    "no_such_program_41": ("no_such_program_41", 127),
    "echo one; echo token=hunter2; exit 3": ("echo", 3),
    "printf 'fine %s' {x}": ("printf", 0),
}


def prov_worker(*arguments: object) -> str:
    command = [Path(sys.executable).parent / "prov-worker", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_command_that_fails_is_a_failed_action_everywhere(
    tmp_path: Path, crates: Path, wait_for: Callable[..., None]
) -> None:
    settings = {"crate_dir": str(crates), "plots": "none"}
    with EmbeddedEndpoint(workers=1, provenance=settings, run_dir=tmp_path / "run", run_in_sandbox=True) as endpoint:
        futures = {
            template: endpoint.submit(
                ShellFunction(template, walltime=2), **({"x": "a.in"} if "{x}" in template else {})
            )
            for template in COMMANDS
        }
        for template, (_, status) in COMMANDS.items():
            assert futures[template].result(LIMIT_S).returncode == status  # the client's result is untouched
        paths = {template: crates / f"{future.task_id}.crate" for template, future in futures.items()}
        wait_for(lambda: all(path.exists() for path in paths.values()), "crates of all commands")
    for template, (name, status) in COMMANDS.items():
        crate = StepCrate.open(paths[template])
        assert (crate.function_name, crate.status) == (name, "failed" if status else "completed")
        assert crate.entities["#function-command-template"]["value"] == template.replace("hunter2", "[redacted]")
        assert crate.entities["#command"]["value"] == template.replace("{x}", "a.in").replace("hunter2", "[redacted]")
        assert crate.entities["#command-exit-status"]["value"] == status
        assert crate.entities["#function-time-limit"]["value"] == 2
        assert crate.entities[crate.function["programmingLanguage"]["@id"]]["name"] == "Bash"
        assert "source.py" not in {file.id for file in crate.files}
        if status == 124:
            assert "time limit of 2 s" in (crate.error or "")
        elif status:
            assert f"exit status {status}" in (crate.error or "")
            assert crate.entities["#failure-kind"]["value"] == "command"
    assert "command not found" in (StepCrate.open(paths["no_such_program_41"]).error or "")
    printed = paths["echo one; echo token=hunter2; exit 3"] / "logs" / "stdout.txt"
    assert printed.read_text() == "one\ntoken=[redacted]\n"
    assert (paths["printf 'fine %s' {x}"] / "logs" / "stdout.txt").read_text() == "fine a.in"
    assert len({StepCrate.open(path).function["@id"] for path in paths.values()}) == len(COMMANDS)

    statuses = [row["status"] for row in json.loads(prov_worker("list", "--json", crates))]
    assert sorted(statuses) == ["completed", *["failed"] * 4]
    prov_worker("check", crates)
    assert "exit status 7" in prov_worker("show", paths["mysolver --input {x} || exit 7"])
    prov_worker("run", "report", crates, "--output", tmp_path / "report.html")
    assert "time limit of 2 s" in (tmp_path / "report.html").read_text()
    prov_worker("run", "index", crates)
    failed = json.loads(prov_worker("run", "query", crates, "--status", "failed", "--json"))
    assert sum("exit status" in row["error"] for row in failed) == 4


@pytest.mark.parametrize("settings", [{"capture_output": "none", "capture_arguments": "none"}])
def test_what_is_not_wanted_is_not_recorded(
    crates: Path, wait_for: Callable[..., None], settings: dict[str, str]
) -> None:
    with EmbeddedEndpoint(
        workers=1, provenance={"crate_dir": str(crates), "plots": "none", **settings}, run_in_sandbox=True
    ) as endpoint:
        future = endpoint.submit(ShellFunction("echo {word}; exit 5"), word="elbow")
        assert future.result(LIMIT_S).returncode == 5
        path = crates / f"{future.task_id}.crate"
        wait_for(path.exists, "the crate")
    crate = StepCrate.open(path)
    assert (crate.status, crate.entities["#command-exit-status"]["value"]) == ("failed", 5)
    assert not [file for file in path.rglob("*") if file.is_file() and b"elbow" in file.read_bytes()]


def test_the_end_of_what_a_function_prints(crates: Path, wait_for: Callable[..., None]) -> None:
    settings = {"crate_dir": str(crates), "plots": "none", "capture_output": "tail"}
    with EmbeddedEndpoint(workers=1, provenance=settings) as endpoint:
        futures = [endpoint.submit(functions.chatter, word) for word in ("one", "two")]
        assert [future.result(LIMIT_S) for future in futures] == ["one", "two"]
        paths = [crates / f"{future.task_id}.crate" for future in futures]
        wait_for(lambda: all(path.exists() for path in paths), "crates of both tasks")
    for path, word in zip(paths, ("one", "two"), strict=True):
        assert (path / "logs" / "stdout.txt").read_text() == f"printed {word}\n"
        assert (path / "logs" / "stderr.txt").read_text() == f"warned {word}, password=[redacted]\n"
