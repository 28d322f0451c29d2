"""Crates in the manner of other writers: each command reads them, or says in one line why not."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from prov_worker.cli.main import run as cli
from prov_worker.crate.check import check_crate
from prov_worker.crate.graph import types_of
from prov_worker.testing import CrateFactory
from support.foreign_crates import WRITERS as EXAMPLES
from support.foreign_research_crates import WRITERS as RESEARCH
from support.foreign_workflow_crates import WRITERS as SYSTEMS
from support.more_foreign_crates import WRITERS as MORE

WRITERS = EXAMPLES | MORE | SYSTEMS | RESEARCH


def written(directory: Path, writer: str) -> Path:
    return WRITERS[writer].write(directory, writer)


#: What ``check`` says of each beside that it is no step: what that writer's crates have.
RULES = {
    "COMPSs": {"content-size"},
    "Galaxy": {"unencoded-id"},
    "Autosubmit": {"null"},
    "Sapporo": {"content-size", "dangling"},
    "nf-prov": {"unreferenced"},
    "trace of Nextflow": {"unreferenced"},
    "runcrate with folders": {"unreferenced"},
    "runcrate without outputs": {"unreferenced"},
    "staged by WfExS": {"sha256"},
    "paths of the machine": {"content-size", "missing-file", "not-a-reference", "outside", "unreferenced"},
    "values inside": {"not-a-reference", "unlisted", "unreferenced"},
    "step of LivePublication": {"content-size", "dangling"},
    "run of LivePublication": {"null", "unreferenced"},
    "without a description": {"time"},
    "report of Snakemake": {"time"},
    "REANA": {"content-size", "time"},
    "collections of Galaxy": {"null", "unreferenced"},
    "COMPSs on MareNostrum": {"content-size", "not-a-reference", "unreferenced"},
    "orchestration of LivePublication": {"unreferenced"},
    "recorded commands": {"content-size", "unencoded-id", "unreferenced"},
    "FAIRSCAPE": {"not-a-reference", "unlisted"},
    "Five Safes": {"dangling", "no-type"},
    "output of ModGP": {"content-size", "not-a-reference", "time", "unreferenced"},
    "image of OME": {"unreferenced"},
    "trials": {"content-size"},
}


@pytest.fixture
def crates(crates: CrateFactory) -> CrateFactory:
    """All of them beside a step of ours."""
    for writer in WRITERS:
        written(crates.directory, writer)
    crates.add(1)
    return crates


def test_what_reads_steps_names_them_in_a_line_each_and_takes_ours(
    crates: CrateFactory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in (["list", "--json"], ["run", "assemble", "-o", str(tmp_path / "RUN.crate")]):
        assert cli([*command, str(crates.directory)]) == 1
        out, errors = capsys.readouterr()
        lines = [line for line in errors.splitlines() if re.search(r"\.mainEntity: |reference to the task id$", line)]
        assert len(lines) == len(errors.splitlines()) == len(WRITERS), errors
        assert command[0] != "list" or len(json.loads(out)) == 1
    assert len(list((tmp_path / "RUN.crate" / "steps").iterdir())) == 1


def test_tables_and_reports_are_of_ours_alone(
    crates: CrateFactory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("duckdb")
    assert cli(["run", "index", str(crates.directory), "-o", str(tmp_path / "index")]) == 1
    out, errors = capsys.readouterr()
    assert "1 attempt; 1 read" in out
    assert len(errors.splitlines()) == len(WRITERS), errors
    assert cli(["run", "report", str(crates.directory), "-o", str(tmp_path / "report.html")]) == 1
    _, errors = capsys.readouterr()
    assert all(writer.replace(" ", "-") in errors for writer in WRITERS)


@pytest.mark.parametrize("writer", WRITERS)
def test_one_of_them_is_no_step_in_one_line(writer: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli(["show", str(written(tmp_path, writer))]) == 2
    out, errors = capsys.readouterr()
    assert (out, len(errors.splitlines())) == ("", 1)


def test_check_has_a_verdict_on_each(crates: CrateFactory, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli(["check", "--no-validator", "--json", str(crates.directory)]) == 1
    verdicts = {
        Path(path).stem: {finding["rule"] for finding in findings}
        for path, findings in json.loads(capsys.readouterr().out).items()
    }
    expected = {writer.replace(" ", "-"): {"not-a-step"} | RULES.get(writer, set()) for writer in WRITERS}
    assert {name: rules for name, rules in verdicts.items() if rules} == expected
    assert len(verdicts) == len(WRITERS) + 1


def test_a_file_that_is_called_something_else_is_not_called_unlisted(tmp_path: Path) -> None:
    findings = check_crate(written(tmp_path, "values inside"))
    (message,) = [finding.message for finding in findings if finding.rule == "unlisted"]
    assert message == "the crate lists it as CreativeWork, and not as File"


@pytest.mark.parametrize("writer", WRITERS)
def test_their_actions_are_activities_of_prov(writer: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("prov")
    target = tmp_path / "prov.json"
    assert cli(["run", "export", str(written(tmp_path, writer)), "--format", "prov-json", "-o", str(target)]) == 0
    assert capsys.readouterr().err == ""
    activities = {"LabProcess", "prov:Activity"}
    actions = [
        entity
        for entity in WRITERS[writer].entities
        if any(kind.endswith("Action") or kind in activities for kind in types_of(entity))
    ]
    document = json.loads(target.read_text())
    assert len(document.get("activity", {})) == len(actions)
    assert not document.get("activity", {}).keys() & document.get("entity", {}).keys()
