"""The example pipeline, run as its read me says; its page against figures that are computed here from crates alone."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from prov_worker.crate.check import validate_profiles
from prov_worker.crate.validator.client import find_validator
from support.commands import run_program, run_python

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.xdist_group("pipeline")]

SCRIPT = Path(__file__).parents[2] / "examples" / "pipeline" / "run.py"
FAILED = "http://schema.org/FailedActionStatus"


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the pipeline leaves. The community's validator has a test of its own, on a crate of each kind."""
    target = tmp_path_factory.mktemp("pipeline") / "OUT"
    done = run_python(SCRIPT, target, "--workers", "2", "--draws", "100", "--no-profile", "--json", timeout=300)
    assert done.returncode == 0, done.stderr
    (target / "summary.json").write_text(done.stdout)
    return target


@dataclass(eq=False)
class Attempt:
    """What one crate says, read without the product."""

    crate: str
    task: str
    function: str
    failed: bool
    start_ns: int
    end_ns: int
    cpu_s: float
    cpus: int
    used: list[str]
    generated: list[str]


@pytest.fixture(scope="module")
def attempts(out: Path) -> list[Attempt]:
    return [read(path) for path in sorted((out / "crates").glob("*.crate"))]


def read(path: Path) -> Attempt:
    graph = {entity["@id"]: entity for entity in json.loads((path / "ro-crate-metadata.json").read_text())["@graph"]}
    action = next(entity for entity in graph.values() if "CreateAction" in entity["@type"])

    def ids(key: str) -> list[str]:
        value = action.get(key, [])
        return [reference["@id"] for reference in (value if isinstance(value, list) else [value])]

    def value(key: str) -> Any:
        return graph[key]["value"] if key in graph else 0

    def files(key: str, role: str) -> list[str]:
        prefix = f"#{role}-file-"
        return [unquote(identifier.removeprefix(prefix)) for identifier in ids(key) if identifier.startswith(prefix)]

    name = action["name"].split()
    return Attempt(
        crate=path.name,
        task=name[-1].rstrip(")"),
        function=name[2],
        failed=action["actionStatus"] == FAILED,
        start_ns=int(value("#start-ns")),
        end_ns=int(value("#end-ns")),
        cpu_s=float(value("#usage-cpu")),
        cpus=int(value("#hardware-cpu-logical")),
        used=files("object", "input"),
        generated=files("result", "output"),
    )


def test_four_stages_with_failures_and_retries(out: Path, attempts: list[Attempt]) -> None:
    summary = json.loads((out / "summary.json").read_text())
    assert summary["tasks"] == {"fetch": 56, "transform": 55, "fit": 110, "merge": 5}
    assert summary["failed"] == {"fetch": 1, "fit": 2}
    assert summary["without_crate"] == []
    tasks: dict[str, list[Attempt]] = defaultdict(list)
    for attempt in attempts:
        tasks[attempt.task].append(attempt)
    assert len(tasks) == 226
    assert Counter(group[0].function for group in tasks.values()) == summary["tasks"]
    repeated = [group for group in tasks.values() if len(group) > 1]
    assert len(repeated) == summary["attempts_repeated"] == 2
    for group in repeated:
        assert [attempt.failed for attempt in sorted(group, key=lambda attempt: attempt.start_ns)] == [True, False]


def test_the_result_is_there_and_says_what_is_known(out: Path) -> None:
    with (out / "data/tables/all.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 108
    rise = [float(row["low"]) for row in rows if row["quantity"] == "ppm" and row["model"] == "cycle"]
    assert len(rise) == 6
    assert min(rise) > 0, "carbon dioxide rises, in every decade"
    assert "<svg" in (out / "data/tables/trends.svg").read_text()


def test_the_flow_of_data_is_stated_from_stage_to_stage(out: Path, attempts: list[Attempt]) -> None:
    by_key = {attempt.crate.removesuffix(".crate"): attempt for attempt in attempts}
    lines = [json.loads(line) for line in (out / "run.crate" / "links.jsonl").read_text().splitlines()]
    stated = {(line["source"], line["target"]) for line in lines if not line["inferred"]}
    made = {path: attempt for attempt in attempts if not attempt.failed for path in attempt.generated}
    expected = {(made[path], attempt) for attempt in attempts for path in attempt.used if path in made}
    between = Counter((source.function, target.function) for source, target in expected)
    assert between == {
        ("fetch", "transform"): 55,
        ("transform", "fit"): 112,
        ("fit", "merge"): 108,
        ("merge", "merge"): 4,
    }
    tasks = {(by_key[_key(a)].task, by_key[_key(b)].task) for a, b in stated}
    assert tasks == {(source.task, target.task) for source, target in expected}


def _key(name: str) -> str:
    return name.removesuffix(".crate").split("/")[-1]


def figures(attempts: list[Attempt]) -> dict[str, float]:
    latest: dict[str, Attempt] = {}
    for attempt in sorted(attempts, key=lambda attempt: attempt.end_ns):
        latest[attempt.task] = attempt
    first, last = min(attempt.start_ns for attempt in attempts), max(attempt.end_ns for attempt in attempts)
    core_hours = attempts[0].cpus * (last - first) / 3.6e12
    cpu_hours = sum(attempt.cpu_s for attempt in attempts) / 3600
    return {
        "tasks": len(latest),
        "attempts": len(attempts),
        "failed_tasks": sum(attempt.failed for attempt in latest.values()),
        "failed_attempts": sum(attempt.failed for attempt in attempts),
        "recovered_tasks": sum(
            not latest[task].failed for task in {attempt.task for attempt in attempts if attempt.failed}
        ),
        "functions": len({attempt.function for attempt in attempts}),
        "makespan_s": (last - first) / 1e9,
        "wall_s": sum(attempt.end_ns - attempt.start_ns for attempt in attempts) / 1e9,
        "core_hours": core_hours,
        "cpu_hours": cpu_hours,
        "cpu_efficiency": cpu_hours / core_hours,
    }


def test_the_report_agrees_with_the_crates(out: Path, attempts: list[Attempt]) -> None:
    page = out / "again.html"
    done = run_program(
        Path(sys.executable).with_name("prov-worker"),
        "run",
        "report",
        out / "run.crate",
        "-o",
        page,
        "--json",
        check=True,
    )
    summary = json.loads(done.stdout)["summary"]
    ours = figures(attempts)
    assert {key: summary[key] for key in ours} == pytest.approx(ours, rel=1e-6)
    assert json.loads(done.stdout)["problems"] == []


@pytest.mark.browser
def test_the_page_shows_these_figures(out: Path, attempts: list[Attempt], tmp_path: Path) -> None:
    """Read from the document that Chromium makes of the page."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium with ChromeDriver (on Debian: apt-get install chromium chromium-driver)")
    dumped = run_program(
        chromium,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--no-first-run",
        f"--user-data-dir={tmp_path / 'profile'}",
        "--virtual-time-budget=10000",
        "--dump-dom",
        (out / "report.html").as_uri(),
        check=True,
    ).stdout
    ours = figures(attempts)
    text = " ".join(_text(dumped).split())
    assert f"Tasks {ours['tasks']} {ours['attempts']} attempts, {ours['recovered_tasks']} completed after" in text
    assert f"Failed tasks {ours['failed_tasks']} {ours['failed_attempts']} failed attempts" in text
    makespan = re.search(r"Makespan (?:(\d+) min )?([\d.]+) s", text)
    assert makespan
    assert 60 * int(makespan[1] or 0) + float(makespan[2]) == pytest.approx(ours["makespan_s"], abs=0.5)
    shown = re.search(r"([\d.]+) % CPU efficiency", text)
    assert shown
    assert float(shown[1]) == pytest.approx(100 * ours["cpu_efficiency"], abs=0.5)
    assert "points are too few for" in text
    assert "was killed by SIGKILL" in text


def _text(document: str) -> str:
    from html.parser import HTMLParser

    class Text(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.parts: list[str] = []
            self.silent = 0

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            self.silent += tag in ("script", "style")

        def handle_endtag(self, tag: str) -> None:
            self.silent -= tag in ("script", "style")

        def handle_data(self, data: str) -> None:
            if not self.silent:
                self.parts.append(data)

    parser = Text()
    parser.feed(document)
    return " ".join(parser.parts)


@pytest.mark.validator
def test_the_run_and_a_crate_of_each_kind_are_valid(out: Path, attempts: list[Attempt]) -> None:
    from prov_worker.run.assembly.vocabulary import PROFILE_OF_VALIDATOR, SKIPPED_CHECK

    if find_validator() is None:
        pytest.skip("no interpreter has roc-validator; set PROV_WORKER_VALIDATOR")
    run = out / "run.crate"
    verdicts = validate_profiles([run], "recommended", profile=PROFILE_OF_VALIDATOR, skip_checks=[SKIPPED_CHECK])
    assert verdicts == {run: []}
    kinds = {(attempt.function, attempt.failed): out / "crates" / attempt.crate for attempt in attempts}
    assert len(kinds) == 6
    steps = validate_profiles(list(kinds.values()), "recommended")
    assert {path.name: findings for path, findings in steps.items() if findings} == {}


def test_others_read_the_run(out: Path) -> None:
    rocrate = pytest.importorskip("rocrate.rocrate")
    assert rocrate.ROCrate(out / "run.crate").mainEntity.id == "workflow.json"
    runcrate = shutil.which(os.environ.get("PROV_TEST_RUNCRATE", "runcrate"))
    if runcrate is None:
        pytest.skip("no runcrate; set PROV_TEST_RUNCRATE to the program")
    report = run_program(runcrate, "report", out / "run.crate", check=True).stdout
    assert "fit" in report
