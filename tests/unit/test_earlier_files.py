"""Files that version 0.1.0 wrote are read by the code of today."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from prov_worker.crate.check import check_crate
from prov_worker.crate.reader import StepCrate
from prov_worker.crate.sources import find_crates
from prov_worker.run.api import open_run
from prov_worker.spool.journal import JournalReader
from prov_worker.spool.records import Ended, JournalState

EARLIER = Path(__file__).parents[1] / "data" / "0.1.0"
QUICK = "a2624a0b-41d2-4901-8675-e9d3bdf01177"
SAMPLED = "0b82fedd-4977-4e46-be81-25c251fd3c25"
RAISED = "2e48758d-d4ee-48f4-ab39-71e259c4b820"
RETRIED = "4cc4c031-db33-4c25-ac57-b94396615eb8"
KILLED = "4bf7fede-87c3-4f51-951f-ba821d6c235f"
VALUES = "a75235f3-ed97-43a6-96dd-55c02ff6d0fc"
OPEN_QUICK = "dc89733e-f814-4d47-9729-c3bb5b358171"
OPEN_LONG = "ccf0cb53-52f7-4a90-a241-3e81a6c48c69"
PRIMES = f"/data/run/tasks_working_dir/{SAMPLED}/primes.txt"
DROPPED = "1 annotations were too many or too long, and were left out."
#: What this release says of the same line of a journal.
DROPPED_NOW = "1 annotation was too many or too long, and left out."


@pytest.fixture(scope="module")
def steps() -> dict[str, Any]:
    run = open_run(EARLIER / "crates")
    read = {step.key: step for step in run.steps()}
    assert run.problems == []
    return read


def ended_of(journal: Path) -> tuple[list[Ended], JournalState, JournalReader]:
    reader, state = JournalReader(str(journal)), JournalState()
    return [ended for line in reader.read() if (ended := state.feed(line)) is not None], state, reader


def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    pytest.importorskip("click")
    from prov_worker.cli.main import run

    assert run(list(arguments)) == 0
    return capsys.readouterr().out


# -- step crates -----------------------------------------------------------------------------------------------------


def test_every_crate_is_found_and_whole() -> None:
    paths = list(find_crates(EARLIER / "crates"))
    assert [path.name for path in paths] == sorted(
        f"{name}.crate" for name in (QUICK, SAMPLED, RAISED, RETRIED, f"{RETRIED}.attempt-1", KILLED, VALUES)
    )
    assert [str(finding) for path in paths for finding in check_crate(path)] == []


def test_a_crate_of_a_quick_task() -> None:
    crate = StepCrate.open(EARLIER / "crates" / f"{QUICK}.crate")
    assert (crate.task_id, crate.attempt, crate.status, crate.error) == (QUICK, 1, "completed", None)
    assert (crate.function_name, crate.host) == ("add", "node1")
    assert crate.endpoint_id == "af1e78d2-75c7-4027-87df-87f7e64e0383"
    assert crate.wall_time_s == 0.011191905
    assert crate.usage["cpu"] == (0.0045179999999999994, "second")
    assert crate.usage["peak-rss"] == (71790592, "byte")
    assert crate.series().task is None
    assert crate.hardware()["probes"]["cpu"]["data"]["model"] == "Example CPU 2.00GHz"


def test_samples_that_were_taken_and_expected(steps: dict[str, Any]) -> None:
    taken = {key: (step.samples, step.samples_expected, step.has_series, step.has_plot) for key, step in steps.items()}
    nothing = (None, None, False, False)
    assert taken == {
        QUICK: nothing,
        SAMPLED: (23, 26, True, True),
        RAISED: nothing,
        RETRIED: nothing,
        f"{RETRIED}.attempt-1": nothing,
        KILLED: (9, 10, True, False),
        VALUES: nothing,
    }
    series = StepCrate.open(EARLIER / "crates" / f"{SAMPLED}.crate").series()
    assert series.task is not None
    assert (series.task.taken, series.task.expected, len(series.task)) == (23, 26, 23)
    assert series.task.columns["rss_bytes"].extremes() == (71843840, 71843840)


def test_notes(steps: dict[str, Any]) -> None:
    assert {key: step.notes for key, step in steps.items() if step.notes} == {SAMPLED: [DROPPED]}


def test_values_that_were_recorded_and_values_that_were_not(steps: dict[str, Any]) -> None:
    def values(key: str) -> list[tuple[str, Any, bool]]:
        step = steps[key]
        return [
            (argument.name, argument.value if argument.recorded else None, argument.recorded)
            for argument in step.arguments + step.results
        ]

    assert values(VALUES) == [("left", 1, True), ("right", 2, True), ("return", 3, True)]
    assert values(QUICK) == [("left", None, False), ("right", None, False), ("return", None, False)]
    assert [argument.type for argument in steps[QUICK].arguments] == ["int", "int"]
    assert values(KILLED) == [("seconds", None, False)]


def test_annotations_and_files(steps: dict[str, Any]) -> None:
    step = steps[SAMPLED]
    assert step.annotations == {"model": "sieve", "limit": 3000, "share": 0.14333333333333334, "ok": True}
    assert [(file.path, file.role, file.size_bytes, file.declared) for file in step.files] == [
        ("/data/in/input.csv", "used", 8, True),
        (PRIMES, "generated", 1953, True),
    ]


def test_failures_and_attempts(steps: dict[str, Any]) -> None:
    failed = {key: (step.attempt, step.failure_kind, step.error) for key, step in steps.items() if step.failed}
    assert failed == {
        RAISED: (1, "exception", "ZeroDivisionError: division by zero"),
        f"{RETRIED}.attempt-1": (1, "signal", "worker process 29727 on node1 was killed by SIGKILL"),
        KILLED: (2, "signal", "worker process 29822 on node1 was killed by SIGKILL"),
    }
    assert steps[KILLED].failure_signal == "SIGKILL"
    assert (steps[RETRIED].attempt, steps[RETRIED].latest, steps[f"{RETRIED}.attempt-1"].latest) == (2, True, False)


def test_what_reports_and_exports_need(steps: dict[str, Any]) -> None:
    step = steps[SAMPLED]
    assert (step.start_ns, step.end_ns) == (1795908732651739030, 1795908733953322039)
    assert (step.host, step.pid, step.rank, step.user) == ("node1", 29727, "0", "researcher")
    assert (step.cpu_affinity, step.cpus_allowed, step.container) == ("0-1", 2, "docker")
    assert (step.node_cpus, step.node_memory_bytes, step.node_gpus) == (2, 17179869184, 0)
    assert (step.cpu_max_percent, step.cpu_mean_percent) == (64.64, 44.821)
    assert step.function_sha256 == "814e015f076decb3780e9c7555d0fd8c4989ccf0c1997284bbdce3b250cbcd66"
    assert step.module == "__main__"
    assert step.versions["prov-worker"] == "0.1.0"


def test_show(capsys: pytest.CaptureFixture[str]) -> None:
    page = shown(capsys, "show", str(EARLIER / "crates" / f"{SAMPLED}.crate"))
    lines = [" ".join(line.split()) for line in page.splitlines()]
    assert "samples 23 of 26 expected, one each 0.05 s" in lines
    assert lines.count("host node1") == 1
    assert not any(line.startswith("host of the worker") for line in lines)
    assert lines[lines.index("Notes") + 1] == DROPPED
    data = json.loads(shown(capsys, "show", "--json", str(EARLIER / "crates" / f"{KILLED}.crate")))
    assert (data["status"], data["samples"], data["reason"]) == (
        "failed",
        9,
        "worker process 29822 on node1 was killed by SIGKILL",
    )


# -- run crates and indexes ------------------------------------------------------------------------------------------


def test_a_run_crate_is_read_and_its_seal_holds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_dir = tmp_path / "primes.crate"
    shutil.unpack_archive(EARLIER / "primes.crate.zip", run_dir)
    for path in (run_dir, EARLIER / "primes.crate.zip"):
        assert "seal" in shown(capsys, "run", "verify", str(path))
    run = open_run(run_dir)
    assert (run.is_run_crate, run.name) == (True, "Primes")
    assert len(list(run.steps())) == 8
    assert [(link.source, link.via, link.what) for link in run.links()] == [(SAMPLED, "declared", PRIMES)]
    assert run.problems == []
    zipped = open_run(EARLIER / "primes.crate.zip")
    assert {step.key for step in zipped.steps()} >= {QUICK, SAMPLED, f"{KILLED}.attempt-1"}


def test_an_index_answers_and_goes_on(tmp_path: Path) -> None:
    pytest.importorskip("duckdb")
    pytest.importorskip("pyarrow")
    from prov_worker.run.index.build import index
    from prov_worker.run.index.query import Index
    from prov_worker.run.selection import Filters

    target = tmp_path / "crates.index"
    shutil.copytree(EARLIER / "crates.index", target)
    with Index(target) as opened:
        rows = {row[0]: row[1:] for row in opened.ask(Filters(), ["key", "status", "samples", "wall_s"]).rows}
        assert len(rows) == 8
        assert rows[SAMPLED] == ("completed", 23, 1.301583009)
        assert rows[KILLED][0] == "failed"
    result = index([EARLIER / "crates"], target)
    # The same crates under another path, and one that the index does not have.
    assert (result.read, result.total, result.problems) == (7, 9, [])


# -- journals --------------------------------------------------------------------------------------------------------


def test_journals_that_were_put_away() -> None:
    read = {path.name: ended_of(path) for path in sorted((EARLIER / "spools" / "closed").glob("*.jsonl"))}
    assert {
        name: [(ending.record.function.name, ending.record.status) for ending in ended]
        for name, (ended, _, _) in read.items()
    } == {
        "node1-29368-48839-t0.jsonl": [("unknown", "failed")] * 3,
        "node1-29727-49831.jsonl": [
            ("add", "completed"),
            ("measure", "completed"),
            ("summarise", "completed"),
            ("divide", "failed"),
        ],
        "node1-29792-50232.jsonl": [("once", "completed")],
        "node1-29822-50632.jsonl": [],
    }
    assert all(reader.problems == state.problems == 0 for _, state, reader in read.values())
    measured = read["node1-29727-49831.jsonl"][0][1].record
    assert (measured.task_id, measured.start_ns, measured.end_ns) == (
        SAMPLED,
        1795908732651739030,
        1795908733953322039,
    )
    assert measured.annotations == {"model": "sieve", "limit": 3000, "share": 0.14333333333333334, "ok": True}
    assert (measured.notes, [file.path for file in measured.used]) == ([DROPPED_NOW], ["/data/in/input.csv"])
    killed = read["node1-29822-50632.jsonl"][1]
    assert [attempt[:2] for attempt in killed.open_attempts()] == [(KILLED, 2)]
    lost = read["node1-29368-48839-t0.jsonl"][0][0]
    assert lost.lost
    assert lost.record.failure is not None
    assert lost.record.failure.kind == "lost"


def test_journals_of_a_busy_worker() -> None:
    ended, state, reader = ended_of(EARLIER / "spools" / "open-quick" / "node1-30597-53433.jsonl")
    assert [ending.record.status for ending in ended] == ["completed"] * 20 + ["failed"]
    # Some of them have a line of their own for their end, some have one line in all.
    kinds = [line["t"] for line in JournalReader(reader.path).read()]
    assert (kinds.count("start"), kinds.count("end")) == (21, 18)
    assert (state.open_attempts(), reader.problems, state.problems) == ([], 0, 0)
    _, state, _ = ended_of(EARLIER / "spools" / "open-long" / "node1-30597-53433.jsonl")
    assert [attempt[:2] for attempt in state.open_attempts()] == [(OPEN_LONG, 1)]


@pytest.mark.parametrize(
    "spool, task, function", [("open-quick", OPEN_QUICK, "maybe_long"), ("open-long", OPEN_LONG, "long")]
)
def test_recover_finishes_a_spool(tmp_path: Path, spool: str, task: str, function: str) -> None:
    from prov_worker.agent.recover import recover

    shutil.copytree(EARLIER / "spools" / spool, tmp_path / ".spool")
    os.chmod(tmp_path / ".spool", 0o700)
    report = recover(tmp_path, take_over=True)
    assert report.problems == report.skipped == []
    (path,) = find_crates(tmp_path)
    crate = StepCrate.open(path)
    assert (crate.task_id, crate.function_name, crate.status, crate.host) == (task, function, "failed", "node1")
    # The hardware report that the agent kept is that of the worker's node.
    assert crate.hardware()["probes"]["memory"]["data"]["total_bytes"] == 17179869184
    assert not list((tmp_path / ".spool").glob("*.jsonl"))


def test_the_fleet_counts_their_tasks(tmp_path: Path) -> None:
    pytest.importorskip("jsonschema")
    from prov_worker.fleet.endpoint import ManagedEndpoint
    from prov_worker.fleet.fleetfile import read
    from prov_worker.fleet.task_counts import Counts, Tally

    text = (EARLIER / "fleet.yaml").read_text().replace("/data/", f"{tmp_path}/")
    (tmp_path / "fleet.yaml").write_text(text)
    shutil.copytree(EARLIER / "spools" / "closed", tmp_path / "crates" / ".spool" / "closed")
    shutil.copytree(EARLIER / "spools" / "open-long", tmp_path / "crates" / ".spool", dirs_exist_ok=True)
    os.chmod(tmp_path / "crates" / ".spool", 0o700)
    folder = ManagedEndpoint(read(tmp_path / "fleet.yaml").endpoints[0])
    folder.spec.directory.mkdir(parents=True)
    (folder.spec.directory / "endpoint.json").write_text('{"endpoint_id": "321c5e00-65e7-4427-831a-24e3982a1142"}')
    # Whether the worker of another host still runs cannot be seen from here.
    assert Tally().count(folder) == Counts(completed=25, failed=3, running=1)


# -- settings, endpoints and fleets ----------------------------------------------------------------------------------


def test_settings_of_a_journal() -> None:
    from prov_worker.settings import Settings

    _, state, _ = ended_of(EARLIER / "spools" / "closed" / "node1-29727-49831.jsonl")
    settings = Settings.from_mapping(state.settings)
    assert (settings.crate_dir, settings.plots, settings.license) == (
        "/data/crates",
        "svg",
        "https://creativecommons.org/licenses/by/4.0/",
    )


def test_a_template_and_its_settings() -> None:
    pytest.importorskip("globus_compute_endpoint")
    import yaml

    from prov_worker.globus.template import load, render
    from prov_worker.settings import Settings

    endpoint = EARLIER / "endpoint"
    schema = json.loads((endpoint / "user_config_schema.json").read_text())
    text = render((endpoint / "user_config_template.yaml.j2").read_text(), schema, {"plots": "svg"})
    provenance = yaml.safe_load(text)["engine"]["provenance"]
    settings = Settings.from_mapping(provenance)
    assert (settings.crate_dir, settings.plots, settings.poll_interval) == ("/data/crates", "svg", 0.05)
    load(text, any_interface=True)


def test_an_endpoint_s_directory_is_brought_up_to_date(tmp_path: Path) -> None:
    pytest.importorskip("globus_compute_endpoint")
    from prov_worker.sites.catalog import site
    from prov_worker.sites.install import install, marker_of, options_of
    from prov_worker.sites.options import complete

    target = tmp_path / "laptop"
    shutil.copytree(EARLIER / "endpoint", target)
    options = options_of(target, "local")
    assert (options["crate_dir"], options["workers"]) == ("/data/crates", 2)
    marker = marker_of(target)
    assert marker is not None
    assert (marker["site"], marker["host"], marker["owner"]["fleet"]) == ("local", "node1", "/data/fleet.yaml")
    # It belongs to node1, and none of its files was changed by hand.
    local = site("local")
    installed = install(
        local, "laptop", complete(local, options, "prov_worker.json"), user_dir=tmp_path, overwrite=True
    )
    assert (installed.directory, installed.noted, installed.backups) == (target, True, [])


def test_a_fleet_file() -> None:
    pytest.importorskip("jsonschema")
    from prov_worker.fleet.fleetfile import read

    fleet = read(EARLIER / "fleet.yaml")
    assert [(endpoint.name, endpoint.site.name, endpoint.host) for endpoint in fleet.endpoints] == [
        ("laptop", "local", "node1"),
        ("polaris-debug", "polaris", "polaris-login-01"),
    ]
    assert fleet.endpoints[1].values["account"] == "MyProject"
    watch = fleet.watch
    assert (watch.interval_s, tuple(watch.backoff_s), watch.cap, watch.window_s) == (20, (5, 300), 4, 1800)


def test_a_fleet_s_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("jsonschema")
    from prov_worker.fleet.fleetfile import read
    from prov_worker.fleet.state import State

    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    state = State(read(EARLIER / "fleet.yaml"))
    shutil.copyfile(EARLIER / "fleet-state.json", state.path)
    record = state.load()["laptop"]
    assert state.damaged is None
    assert (record.wanted, record.made, record.pid, record.started_at) == ("stopped", True, 31495, 1795908808.3971105)
    assert record.last_error.startswith("ended with code 1: is not logged in")
