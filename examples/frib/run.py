"""From a detector's files to sealed run crates, on one machine: arrival, trigger, flow, tasks, crates, report.

    python examples/frib/run.py OUT

Two runs arrive by rsync. The trigger is killed while the second one arrives, and another one goes on: each run's flow
is started once. A segment of the second run is damaged: its flow fails, and its crates come back all the same.
Each fit has two MPI ranks, if mpiexec is there. Needs rsync and RabbitMQ, no account and no internet. The same
definition serves at Globus: see the read me.
"""

from __future__ import annotations

import argparse
import array
import inspect
import json
import os
import random
import signal
import struct
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import functions
from local import endpoint_id, launcher, local_globus, program

HERE = Path(__file__).resolve().parent
SEGMENTS, EVENTS = 4, 20_000
RUNS = ("run0001", "run0002")
DAMAGED = ("run0002", 2)
_LIMIT_S = 600.0


def write_run(directory: Path, number: int) -> None:
    """Write a run as a detector would: segments of events around a line that drifts."""
    directory.mkdir(parents=True)
    draw = random.Random(number)  # noqa: S311 - not a secret
    for segment in range(SEGMENTS):
        energies = array.array("f", (draw.gauss(661.7 + 0.8 * segment, 12.0) for _ in range(EVENTS)))
        data = struct.pack("<4sI", b"EVT1", EVENTS) + energies.tobytes()
        if (directory.name, segment) == DAMAGED:
            data = data[: len(data) // 2]
        (directory / f"segment-{segment:02}.evt").write_bytes(data)


def arrive(detector: Path, incoming: Path, name: str) -> subprocess.Popen[bytes]:
    """Begin to copy a run to where the trigger looks, no faster than a line would carry it."""
    return subprocess.Popen(["rsync", "-a", "--bwlimit=200", f"{detector}/{name}/", f"{incoming}/{name}/"])


def prov_worker(environment: Mapping[str, str], *arguments: str | Path, allow: tuple[int, ...] = (0,)) -> str:
    """Run a command of the product; returns what it prints."""
    command = [sys.executable, "-m", "prov_worker", *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode not in allow:
        sys.exit(f"prov-worker {arguments[0]} {arguments[1]}: exit code {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def register(environment: Mapping[str, str]) -> dict[str, str]:
    """Register the functions; returns their ids by the names of the inputs."""
    os.environ.update(environment)
    from globus_compute_sdk import Client

    client = Client()
    names = ("fit", "convert", "analyse")
    sources = {name: inspect.getsource(getattr(functions, name)) for name in names}
    return {f"{name}_function_id": client.register_source_code(source, name) for name, source in sources.items()}


def started_runs(flow_id: str) -> dict[str, dict[str, Any]]:
    """Return the flow's runs by their labels; a label that is there twice ends this."""
    from prov_worker.flow.remote.service import FlowsService

    runs: dict[str, dict[str, Any]] = {}
    for run in FlowsService().flows.list_runs(filter_flow_id=flow_id):
        if run["label"] in runs:
            sys.exit(f"{run['label']}: its flow was started twice")
        runs[run["label"]] = dict(run)
    return runs


def wait_until_started(flow_id: str, number: int) -> dict[str, dict[str, Any]]:
    """Return the flow's runs, once there are so many."""
    deadline = time.monotonic() + _LIMIT_S
    while len(runs := started_runs(flow_id)) < number:
        if time.monotonic() > deadline:
            sys.exit(f"{len(runs)} of {number} runs were started")
        time.sleep(0.5)
    return runs


def finish(out: Path, environment: Mapping[str, str], run: Mapping[str, Any]) -> dict[str, Any]:
    """Bring the record of a run back, seal its crates, and make its page; returns what became of it."""
    name, run_id = str(run["label"]), str(run["run_id"])
    home = out / "home" / name
    shown = json.loads(prov_worker(environment, "flow", "status", run_id, "--wait", "--json", allow=(0, 1)))
    prov_worker(environment, "flow", "record", run_id, "-o", home / "record")
    trigger = next((out / "triggers").glob(f"{name}-*.trigger.crate"))
    sealed = out / f"{name}.crate"
    options = (
        "--name",
        f"Fit of {name}",
        "--workflow",
        home / "record",
        "--trigger",
        trigger,
        "--run-name",
        name,
        "--json",
    )
    assembled = json.loads(prov_worker(environment, "run", "assemble", home / "crates", "-o", sealed, *options))
    prov_worker(environment, "run", "verify", sealed)
    prov_worker(environment, "run", "report", sealed, "-o", out / f"{name}.html")
    summary = home / "results" / "summary.json"
    return {
        "run": name,
        "status": shown["run"]["status"],
        "tasks": assembled["tasks"],
        "failed": assembled["failed"],
        "crate": str(sealed),
        "report": str(out / f"{name}.html"),
        "result": json.loads(summary.read_text()) if summary.exists() else None,
    }


def main() -> int:
    """Run all of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, metavar="OUT", help="directory for all that it writes; must not be there")
    parser.add_argument("--ranks", type=int, default=2, help="of MPI in each fit, if mpiexec is here (2); 1 for none")
    parser.add_argument("--json", action="store_true", help="what became of each run, as JSON")
    arguments = parser.parse_args()
    out: Path = arguments.out.absolute()
    if out.exists():
        parser.error(f"{out} is there already")
    say = (lambda text: None) if arguments.json else print
    detector, places = out / "detector", {name: out / name for name in ("incoming", "scratch", "crates", "home")}
    for place in places.values():
        place.mkdir(parents=True)
    for number, name in enumerate(RUNS):
        write_run(detector / name, number)
    ids = {name: str(uuid.uuid4()) for name in places}
    entries = [{"id": ids[name], "path": str(place), "name": name} for name, place in places.items()]
    (out / "collections.json").write_text(json.dumps(entries))

    mpi = launcher() if arguments.ranks > 1 else "none"
    with local_globus(out, out / "collections.json", places["crates"], mpi) as environment:
        say(f"broker, service and endpoint are up; launcher of MPI ranks: {mpi}")
        prov_worker(environment, "flow", "make", HERE / "flow.yaml", "-o", out / "flow")
        definition = out / "flow" / "definition.json"
        prov_worker(environment, "flow", "deploy", definition, out / "flow" / "schema.json", "--yes")
        flow_id = next(iter(json.loads((out / "flow" / "deployed.json").read_text()).values()))
        variables = {
            "raw_id": ids["incoming"], "scratch_id": ids["scratch"], "crates_id": ids["crates"], "home_id": ids["home"],
            "scratch_path": str(places["scratch"]), "endpoint": endpoint_id(environment),
            "ranks": arguments.ranks if mpi != "none" else 1, **register(environment),
        }  # fmt: skip
        watch = [
            sys.executable, "-m", "prov_worker", "trigger", str(places["incoming"]), "--pattern", "run*",
            "--settle", "4", "--every", "1", "--state", str(out / "trigger.state"), "--crates", str(out / "triggers"),
            "--flow", flow_id, "--input", str(HERE / "input.json.j2"), "--schema", str(out / "flow" / "schema.json"),
        ]  # fmt: skip
        for key, value in variables.items():
            watch += ["--set", f"{key}={value}"]
        with program(watch, out / "trigger.log", environment) as trigger:
            arrive(detector, places["incoming"], RUNS[0]).wait()
            wait_until_started(flow_id, 1)
            say(f"{RUNS[0]} has arrived, and its flow has begun")
            copy = arrive(detector, places["incoming"], RUNS[1])
            time.sleep(1)
            os.killpg(trigger.pid, signal.SIGKILL)
            say(f"the trigger is killed while {RUNS[1]} arrives, and started again")
        with program(watch, out / "trigger.log", environment):
            copy.wait()
            runs = wait_until_started(flow_id, len(RUNS))
            outcomes = [finish(out, environment, runs[name]) for name in RUNS]
    if arguments.json:
        print(json.dumps(outcomes, indent=1))
    else:
        for outcome in outcomes:
            failed = f", {outcome['failed']} failed" if outcome["failed"] else ""
            print(f"{outcome['run']}: {outcome['status']}; {outcome['tasks']} tasks{failed}; {outcome['report']}")
    return 0 if [outcome["status"] for outcome in outcomes] == ["SUCCEEDED", "FAILED"] else 1


if __name__ == "__main__":
    sys.exit(main())
