"""Crates in the manner of other writers, small: each command reads them, or says in one line why not.

The shapes are those of the examples of the Workflow Run RO-Crate profiles (ResearchObject/workflow-run-crate,
``docs/examples``) by COMPSs, WfExS, Galaxy, StreamFlow, runcrate, Autosubmit and Sapporo, written again with a few
entities each.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from prov_worker.cli.main import run as cli
from prov_worker.testing import CrateFactory

Entity = dict[str, Any]
TIMES = {"startTime": "2023-01-17T16:06:26+00:00", "endTime": "2023-01-17T16:10:01+00:00"}
COMPLETED = "http://schema.org/CompletedActionStatus"


def ref(identifier: str) -> dict[str, str]:
    return {"@id": identifier}


def tool(identifier: str, **fields: Any) -> Entity:
    return {"@id": identifier, "@type": "SoftwareApplication", "name": identifier, **fields}


def action(identifier: str, instrument: str, **fields: Any) -> Entity:
    return {"@id": identifier, "@type": "CreateAction", "name": identifier, "instrument": ref(instrument), **fields}


def file(identifier: str, **fields: Any) -> Entity:
    return {"@id": identifier, "@type": "File", "name": identifier, **fields}


WORKFLOW = ["File", "SoftwareSourceCode", "ComputationalWorkflow"]
#: By writer: the root's fields, the other entities, and files with content.
WRITERS: dict[str, tuple[Entity, list[Entity], dict[str, str]]] = {
    "process run": (
        {"hasPart": [ref("a.jpg"), ref("b.png")], "mentions": [ref("#sepia"), ref("#resize")]},
        [
            tool("https://www.imagemagick.org/", softwareVersion="6.9.7-4"),
            action("#sepia", "https://www.imagemagick.org/", **TIMES, object=ref("a.jpg"), result=ref("b.png")),
            action("#resize", "https://www.imagemagick.org/", endTime="2024-05", object=ref("b.png"), result=[]),
            file("a.jpg"),
            file("b.png"),
        ],
        {"a.jpg": "a", "b.png": "b"},
    ),
    "COMPSs": (
        {
            "mainEntity": ref("src/main.py"),
            "mentions": [ref("#run_x_mn4")],
            "creator": [ref("https://orcid.org/0000-0002-1825-0097")],
            "hasPart": [
                ref("src/main.py"),
                ref("graph.svg"),
                ref("file://node1/gpfs/scratch/in.hdr"),
                ref("file://node1/gpfs/out/"),
            ],
        },
        [
            {
                **file("src/main.py", contentSize="14", programmingLanguage=ref("#compss"), image=ref("graph.svg")),
                "@type": WORKFLOW,
            },
            {"@id": "#compss", "@type": "ComputerLanguage", "name": "COMPSs Programming Model", "version": "3.2"},
            {
                **file("graph.svg", contentSize=6, about=ref("src/main.py")),
                "@type": ["File", "ImageObject", "WorkflowSketch"],
            },
            file("file://node1/gpfs/scratch/in.hdr", contentSize=190, sdDatePublished="2023-01-17T16:06:26+00:00"),
            {"@id": "file://node1/gpfs/out/", "@type": "Dataset", "name": "out"},
            action(
                "#run_x_mn4",
                "src/main.py",
                **TIMES,
                actionStatus={"@id": COMPLETED},
                agent=ref("https://orcid.org/0000-0002-1825-0097"),
                object=[ref("file://node1/gpfs/scratch/in.hdr")],
                result=[ref("file://node1/gpfs/out/"), ref("./")],
            ),
            {"@id": "https://orcid.org/0000-0002-1825-0097", "@type": "Person", "name": "J. Carberry"},
        ],
        {"src/main.py": "print('hello')", "graph.svg": "<svg/>"},
    ),
    "WfExS": (
        {
            "mainEntity": ref("workflow/main.cwl"),
            "mentions": [ref("urn:uuid:5a2b0000-0000-4000-8000-000000000001")],
            "hasPart": [
                ref("workflow/main.cwl"),
                ref("https://zenodo.org/record/1/files/in.fa"),
                ref("containers/node:slim.img"),
            ],
        },
        [
            {
                **file("workflow/main.cwl"),
                "@type": [*WORKFLOW, "HowTo"],
                "softwareRequirements": ref("containers/node:slim.img"),
            },
            {
                **file("containers/node:slim.img", contentSize="3"),
                "@type": ["File", "SoftwareApplication", "ContainerImage"],
            },
            file("https://zenodo.org/record/1/files/in.fa", contentSize="9223372036854775808"),
            action(
                "urn:uuid:5a2b0000-0000-4000-8000-000000000001",
                "workflow/main.cwl",
                **TIMES,
                actionStatus=COMPLETED,
                object=[ref("https://zenodo.org/record/1/files/in.fa"), ref("#param")],
                result=[],
                subjectOf=[ref("containers/node:slim.img")],
            ),
            {"@id": "#param", "@type": "PropertyValue", "name": "index", "value": ["1", "2"]},
        ],
        {"workflow/main.cwl": "cwlVersion: v1.0", "containers/node:slim.img": "img"},
    ),
    "Galaxy": (
        {
            "mainEntity": ref("workflows/1.gxwf.yml"),
            "mentions": ref("#wf-execution"),
            "license": "MIT",
            "hasPart": [
                ref("workflows/1.gxwf.yml"),
                ref("datasets/a b.txt"),
                ref("datasets/c%20d.txt"),
                ref("invocation_attrs.txt"),
            ],
        },
        [
            {**file("workflows/1.gxwf.yml"), "@type": WORKFLOW, "input": [ref("#in")], "output": []},
            {
                "@id": "#in",
                "@type": "FormalParameter",
                "additionalType": "File",
                "workExample": [ref("datasets/a b.txt")],
            },
            file("datasets/a b.txt", exampleOfWork=ref("#in")),
            file("datasets/c%20d.txt"),
            file("invocation_attrs.txt", encodingFormat="application/json"),
            action(
                "#wf-execution",
                "workflows/1.gxwf.yml",
                startTime="2023-05-02T09:41:58.372127",
                actionStatus="CompletedActionStatus",
                object=[ref("datasets/a b.txt")],
                result=[ref("datasets/c%20d.txt")],
            ),
        ],
        {
            "workflows/1.gxwf.yml": "class: GalaxyWorkflow",
            "datasets/a b.txt": "1",
            "datasets/c d.txt": "2",
            "invocation_attrs.txt": "{}",
        },
    ),
    "runcrate and StreamFlow": (
        {
            "mainEntity": ref("packed.cwl"),
            "mentions": [ref("#main"), ref("#step"), ref("#control"), ref("#engine")],
            "hasPart": [ref("packed.cwl"), ref("327fc7aedf4f6b69a42a7c8b808dc5a7aff61376")],
        },
        [
            {
                **file("packed.cwl", step=[ref("packed.cwl#main/rev")], hasPart=[ref("packed.cwl#rev.cwl")]),
                "@type": [*WORKFLOW, "HowTo"],
            },
            {
                "@id": "packed.cwl#main/rev",
                "@type": "HowToStep",
                "position": "0",
                "workExample": ref("packed.cwl#rev.cwl"),
            },
            tool("packed.cwl#rev.cwl"),
            tool("#cwltool"),
            file("327fc7aedf4f6b69a42a7c8b808dc5a7aff61376", alternateName="whale.txt"),
            action("#main", "packed.cwl", **TIMES, object=[ref("327fc7aedf4f6b69a42a7c8b808dc5a7aff61376")], result=[]),
            action(
                "#step",
                "packed.cwl#rev.cwl",
                **TIMES,
                actionStatus="FailedActionStatus",
                error="exit code 1",
                object=[],
                result=[],
            ),
            {
                "@id": "#control",
                "@type": "ControlAction",
                "instrument": ref("packed.cwl#main/rev"),
                "object": ref("#step"),
            },
            {
                "@id": "#engine",
                "@type": "OrganizeAction",
                "instrument": ref("#cwltool"),
                "object": [ref("#control")],
                "result": ref("#main"),
            },
        ],
        {"packed.cwl": "{}", "327fc7aedf4f6b69a42a7c8b808dc5a7aff61376": "whale"},
    ),
    "Autosubmit": (
        {
            "mainEntity": ref("conf/main.yml"),
            "mentions": [ref("#create-action")],
            "hasPart": [ref("conf/main.yml"), ref("plot/")],
        },
        [
            {**file("conf/main.yml", contentSize="2"), "@type": WORKFLOW},
            {"@id": "plot/", "@type": "Dataset", "name": "plots"},
            action(
                "#create-action",
                "conf/main.yml",
                startTime="2023-05-02T09:41",
                endTime=None,
                actionStatus={"@id": "http://schema.org/PotentialActionStatus"},
                object=[],
                result=ref("plot/"),
                subjectOf=[],
            ),
        ],
        {"conf/main.yml": "a:", "plot/a.pdf": "pdf"},
    ),
    "Sapporo": (
        {
            "mainEntity": ref("https://raw.githubusercontent.com/x/trimming.cwl"),
            "mentions": [ref("#ro-crate")],
            "hasPart": [ref("exe/workflow_params.json"), ref("outputs/x.txt")],
        },
        [
            {**file("https://raw.githubusercontent.com/x/trimming.cwl"), "@type": WORKFLOW},
            file("exe/workflow_params.json", contentSize=2, sha512="0" * 128),
            file("outputs/x.txt", contentSize=True, lineCount=1),
            action(
                "#ro-crate",
                "https://raw.githubusercontent.com/x/trimming.cwl",
                **TIMES,
                actionStatus="CompletedActionStatus",
                exitCode=0,
                wesState="COMPLETE",
                object=[ref("exe/workflow_params.json")],
                result=[ref("outputs/x.txt"), ref("outputs/missing.txt")],
            ),
        ],
        {"exe/workflow_params.json": "{}", "outputs/x.txt": "x"},
    ),
}


def written(directory: Path, writer: str) -> Path:
    root, entities, files = WRITERS[writer]
    descriptor = {
        "@id": "ro-crate-metadata.json",
        "@type": "CreativeWork",
        "about": ref("./"),
        "conformsTo": [ref("https://w3id.org/ro/crate/1.1"), ref("https://w3id.org/workflowhub/workflow-ro-crate/1.0")],
    }
    top = {"@id": "./", "@type": "Dataset", "name": writer, "datePublished": "2023-01-17", **root}
    crate = directory / f"{writer.replace(' ', '-')}.crate"
    for name, text in files.items():
        (crate / name).parent.mkdir(parents=True, exist_ok=True)
        (crate / name).write_text(text)
    context = ["https://w3id.org/ro/crate/1.1/context", "https://w3id.org/ro/terms/workflow-run"]
    (crate / "ro-crate-metadata.json").write_text(
        json.dumps({"@context": context, "@graph": [descriptor, top, *entities]})
    )
    return crate


#: What ``check`` says of each beside that it is no step: what that writer's crates have.
RULES = {
    "COMPSs": {"content-size"},
    "Galaxy": {"unencoded-id"},
    "Autosubmit": {"null"},
    "Sapporo": {"content-size", "dangling"},
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
        lines = [line for line in errors.splitlines() if ".mainEntity: " in line]
        assert len(lines) == len(errors.splitlines()) == len(WRITERS), errors
        assert command[0] != "list" or len(json.loads(out)) == 1
    assert len(list((tmp_path / "RUN.crate" / "steps").iterdir())) == 1


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


@pytest.mark.parametrize("writer", WRITERS)
def test_their_actions_are_activities_of_prov(writer: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("prov")
    target = tmp_path / "prov.json"
    assert cli(["run", "export", str(written(tmp_path, writer)), "--format", "prov-json", "-o", str(target)]) == 0
    assert capsys.readouterr().err == ""
    kinds = ("CreateAction", "ControlAction", "OrganizeAction")
    actions = [entity for entity in WRITERS[writer][1] if entity["@type"] in kinds]
    assert len(json.loads(target.read_text())["activity"]) == len(actions)
