"""Crates in the manner of other writers, small.

The shapes are those of the examples of the Workflow Run RO-Crate profiles (ResearchObject/workflow-run-crate,
``docs/examples``) by COMPSs, WfExS, Galaxy, StreamFlow, runcrate, Autosubmit and Sapporo, written again with a few
entities each. Those of further writers: :mod:`support.more_foreign_crates`,
:mod:`support.foreign_workflow_crates`, :mod:`support.foreign_research_crates`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

Entity = dict[str, Any]
CONTEXT = ["https://w3id.org/ro/crate/1.1/context", "https://w3id.org/ro/terms/workflow-run"]
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


class Writer(NamedTuple):
    """A crate as a program writes it.

    Attributes:
        root: fields of the root beside its id, type, name and date; None for one of these that it lacks.
        entities: the others, but for the metadata file's own.
        files: their content, by path.
        context: of the document.
        described: whether the metadata file describes itself, as RO-Crate demands.
    """

    root: Entity
    entities: list[Entity]
    files: dict[str, str]
    context: Any = CONTEXT
    described: bool = True

    def write(self, directory: Path, name: str) -> Path:
        """Write it as ``NAME.crate`` into a directory; return its path."""
        descriptor = {
            "@id": "ro-crate-metadata.json",
            "@type": "CreativeWork",
            "about": ref(self.root.get("@id", "./")),
            "conformsTo": [
                ref("https://w3id.org/ro/crate/1.1"),
                ref("https://w3id.org/workflowhub/workflow-ro-crate/1.0"),
            ],
        }
        top = {"@id": "./", "@type": "Dataset", "name": name, "datePublished": "2023-01-17", **self.root}
        top = {key: value for key, value in top.items() if value is not None}
        crate = directory / f"{name.replace(' ', '-')}.crate"
        crate.mkdir(parents=True)
        for path, text in self.files.items():
            (crate / path).parent.mkdir(parents=True, exist_ok=True)
            (crate / path).write_text(text)
        graph = [*([descriptor] if self.described else []), top, *self.entities]
        (crate / "ro-crate-metadata.json").write_text(json.dumps({"@context": self.context, "@graph": graph}))
        return crate


WORKFLOW = ["File", "SoftwareSourceCode", "ComputationalWorkflow"]
WRITERS: dict[str, Writer] = {
    "process run": Writer(
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
    "COMPSs": Writer(
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
    "WfExS": Writer(
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
    "Galaxy": Writer(
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
    "runcrate and StreamFlow": Writer(
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
    "Autosubmit": Writer(
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
    "Sapporo": Writer(
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
