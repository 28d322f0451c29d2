"""Steps run again from their crates: what is the same, what differs, and what is refused."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

from prov_worker.crate.check import check_crate
from prov_worker.crate.graph import load_graph
from prov_worker.crate.reader import StepCrate
from prov_worker.crate.sources import DirectorySource
from prov_worker.model import host_name
from support.commands import run_python
from support.crate_dir import CrateDir
from support.direct import Call, Start
from support.pseudo_terminal import PseudoTerminal

PACKED = {"capture_arguments": "packed", "probes": ["cpu", "environment"]}


def rerun(*arguments: str | Path) -> tuple[int, dict[str, Any]]:
    """Exit code and the JSON of ``prov-worker``."""
    done = run_python("-m", "prov_worker", *arguments, "--json")
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def test_verdicts_on_steps_that_run_again(crate_dir: CrateDir, start: Start, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("1,2,3\n")
    calls = [
        Call("add", (1, 2)),
        Call("refuse", ("not this time",), strategy="PureSourceTextInspect"),
        Call("interval", (3,)),
        Call("roll"),
        Call("read_used", (str(table),)),
        Call("kill_self", (9, 0.1)),
    ]
    worker = start(*calls, settings=PACKED, options={"run_in_sandbox": True})
    crate_dir.wait_for([call.task for call in calls])  # before it is collected, so that all can read how it ended
    worker.wait()
    new = tmp_path / "again"

    code, answer = rerun("run", "rerun", crate_dir.crates, "--yes", "--compare", "-o", new)
    assert answer["problems"] == []
    assert code == 1  # not everything is the same
    steps = {step["function"]: step for step in answer["steps"]}
    assert {name: step["verdict"] for name, step in steps.items()} == {
        "add": "same",
        "refuse": "same",
        "interval": "not comparable",
        "roll": "differs",
        "read_used": "same",
        "kill_self": "same",
    }
    assert steps["roll"]["parts"]["result"]["verdict"] == "same"
    assert steps["roll"]["parts"]["files"]["details"] == ["rolled.dat: other content (100 bytes, now 100 bytes)"]
    (changed,) = steps["roll"]["parts"]["numbers"]["details"]
    assert changed.startswith("loss: ")
    assert steps["interval"]["parts"]["result"]["details"] == ["no digest of an object of type datetime.timedelta"]

    for step in steps.values():
        crate = Path(step["crate"])
        assert check_crate(crate) == []
        entities = {entity["@id"]: entity for entity in load_graph(DirectorySource(crate))}
        based_on = entities["./"]["isBasedOn"]["@id"]
        assert based_on == f"urn:uuid:{step['first']['task_id']}"
        assert len(entities[based_on]["sha256"]) == 64
        assert entities["#rerun-verdict"]["value"] == step["verdict"]
        assert StepCrate.open(crate).task_id == step["task_id"] != step["first"]["task_id"]
    # a crate of a rerun keeps its call too
    code, answer = rerun("rerun", Path(steps["add"]["crate"]), "--dry-run")
    assert code == 0
    assert answer["steps"][0]["arguments"][0]["value"] == 1

    table.write_text("1,2,4\n")
    done = run_python("-m", "prov_worker", "run", "rerun", str(crate_dir.crates), "--function", "read_used", "--yes")
    assert done.returncode == 1
    assert "table.csv is another one here: sha256" in done.stderr
    _, answer = rerun("run", "rerun", crate_dir.crates, "--failed", "--dry-run")
    assert sorted(step["function"] for step in answer["steps"]) == ["kill_self", "refuse"]


def test_what_cannot_be_run_again_honestly_is_refused(crate_dir: CrateDir, start: Start, tmp_path: Path) -> None:
    large = "x" * (2 << 20)
    calls = [
        Call("add", (1, 2)),
        Call("length", (large,)),
        Call("fail_with_secrets", ("t",), {"password": "hunter-2-hunter-2"}),
        Call("fail_with_secrets", ("t",), {"password": ""}, strategy="PureSourceTextInspect"),
    ]
    start(*calls, settings=PACKED).wait()
    plain = Call("add", (3, 4))
    start(plain, settings={"probes": ["cpu"]}).wait()
    crates = crate_dir.wait_for([*(call.task for call in calls), plain.task])

    def refusal(crate: Path, *options: str) -> str:
        done = run_python("-m", "prov_worker", "rerun", str(crate), *(options or ("--yes",)), cwd=tmp_path)
        assert done.returncode == 2, done.stdout
        assert not (tmp_path / "reruns").exists()
        return done.stderr

    assert "its call was not kept: larger than 1048576 characters" in refusal(crates[1].path)
    assert "its call was not kept: a secret was taken out of the function's source" in refusal(crates[3].path)
    assert "only what is recorded with capture_arguments: packed can be run again" in refusal(crates[4].path)
    assert "an argument is a secret" in refusal(crates[2].path)
    assert b"hunter-2-hunter-2" not in (crates[2].path / "ro-crate-metadata.json").read_bytes()
    assert "nothing was run: there is no terminal to ask at" in refusal(crates[0].path, "--here")

    other = tmp_path / "other.crate"
    shutil.copytree(crates[0].path, other)
    metadata = other / "ro-crate-metadata.json"
    own = f"{sys.version_info[0]}.{sys.version_info[1]}"
    metadata.write_text(metadata.read_text().replace(f'"version":"{own}.', '"version":"3.4.'))
    assert "ran with Python 3.4." in refusal(other)
    assert f"here is {own}." in refusal(other)

    with (crates[0].path / "function/call.txt").open("a") as file:
        file.write("0")
    assert "call.txt: is not what was recorded: its sha256 differs" in refusal(crates[0].path)


def test_a_person_is_asked_first(crate_dir: CrateDir, start: Start, tmp_path: Path) -> None:
    call = Call("write_file", ("here.txt", "text"))
    start(call, settings=PACKED, options={"run_in_sandbox": True}).wait()
    (crate,) = crate_dir.wait_for([call.task])
    assert host_name() in crate.hardware()["host"]
    arguments = ["-m", "prov_worker", "rerun", str(crate.path), "-o", str(tmp_path / "new")]
    terminal = PseudoTerminal([sys.executable, *arguments])
    try:
        screen = terminal.wait_until(lambda lines: "Run this call?" in lines[-1], "the question")
        assert "A crate from elsewhere is code from elsewhere" in " ".join(screen)
        terminal.press("n\r")
        terminal.wait_until(lambda lines: any("nothing was run" in line for line in lines), "the answer")
        assert terminal.process.wait(60) == 1
    finally:
        terminal.close()
    assert not (tmp_path / "new").exists()
