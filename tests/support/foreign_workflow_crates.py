"""Crates in the manner of further workflow systems; written again with a few entities each.

Sources, by name:

* ``report of Snakemake``: ``examples/poisson-equation`` of snakemake/snakemake-report-plugin-rocrate: times without
  ``T``, parameters of actions, and a run whose instrument is no workflow.
* ``OSCAR``: ``tests/fixtures/oscar`` of EOSC-Data-Commons/vre_rocrate: all parts lie elsewhere, and nothing ran yet.
* ``orchestration of LivePublication``: ``crate_1686889961000`` of LivePublication/LP_Pub_LID: steps as terms of their
  own, and crates inside the crate.
* ``REANA``: ``create_ro_crate_metadata_json`` of fairagro/m4.4_sciwin_client: sizes that are unknown, times of a log.
* ``nodes of ComfyUI``: the packaging node of FLAIR-GG: actions among the parts, a prefix that is not defined.
* ``pipeline of nf-core``: Clinical-Genomics/raredisease: a workflow with tests, and a read me as description.
* ``collections of Galaxy``: ``ro_crate_utils.py`` of galaxyproject/galaxy: collections, steps without ``#``.
* ``COMPSs on MareNostrum``: rsirvent/compss_lysozyme_rocrate: a list in a list, one mention, contact points.
* ``connections of StreamFlow``: ``streamflow/provenance/run_crate.py`` of alpha-unito/streamflow: lists of connected
  parameters, and one reference where others have lists.
"""

from __future__ import annotations

from support.foreign_crates import COMPLETED, CONTEXT, TIMES, WORKFLOW, Entity, Writer, action, file, ref, tool


def parameter(identifier: str, **fields: object) -> Entity:
    return {"@id": identifier, "@type": "FormalParameter", "name": identifier.lstrip("#"), **fields}


WRITERS: dict[str, Writer] = {
    "report of Snakemake": Writer(
        {
            "mainEntity": ref("Snakefile"),
            "mentions": [ref("#action_workflow_run"), ref("#action_1")],
            "hasPart": [ref("Snakefile"), ref("_EXTERNAL/source/square.geo"), ref("square.msh")],
        },
        [
            {**file("Snakefile", hasPart=ref("#snakemake")), "@type": WORKFLOW},
            file("_EXTERNAL/source/square.geo", exampleOfWork=[ref("#action_1-input-1")]),
            file("square.msh", exampleOfWork=[ref("#action_1-output-1")]),
            tool("#snakemake"),
            tool("#tool_1", softwareRequirements=[ref("#tool_2")]),
            tool("#tool_2", softwareVersion="0.9.*"),
            action("#action_workflow_run", "#snakemake", startTime="2026-07-15 15:56:25.092333"),
            parameter("#action_1-input-1", additionalType="input", input=ref("Snakefile"), valueRequired=False),
            parameter("#action_1-output-1", additionalType="output", output=ref("Snakefile"), valueRequired=False),
            action(
                "#action_1",
                "#tool_1",
                startTime="2026-07-15 15:56:25.092333",
                endTime="2026-07-15 15:56:40.585520",
                object=[ref("_EXTERNAL/source/square.geo")],
                result=[ref("square.msh")],
            ),
        ],
        {"Snakefile": "rule all:", "_EXTERNAL/source/square.geo": "g", "square.msh": "m"},
    ),
    "OSCAR": Writer(
        {
            "mainEntity": ref("https://raw.example.org/cowsay.json"),
            "hasPart": [ref("https://raw.example.org/cowsay.json"), ref("https://files.example.org/example.txt")],
        },
        [
            {
                **file("https://raw.example.org/cowsay.json", programmingLanguage=ref("#oscar-lang")),
                "@type": WORKFLOW,
                "runtimePlatform": "https://oscar.example.org",
            },
            {"@id": "#oscar-lang", "@type": "ComputerLanguage", "name": "OSCAR", "url": "https://oscar.grycap.net/"},
            file("https://files.example.org/example.txt", encodingFormat="text/txt"),
        ],
        {},
        context=CONTEXT[0],
    ),
    "orchestration of LivePublication": Writer(
        {"hasPart": [ref("WEP.json"), ref("fastText.py"), ref("crate_1/"), ref("crate_1/ro-crate-metadata.json")]},
        [
            {"@id": "#primary", "@type": "Thing", "step_1": ref("fastText.py"), "step_2": ref("WEP.json")},
            {**file("WEP.json", programmingLanguage=ref("#asl")), "@type": WORKFLOW},
            {"@id": "#asl", "@type": "ComputerLanguage", "name": "Amazon States Language"},
            file(
                "fastText.py",
                AP_type="LPAP",
                action_id="ful1t6i5wdGV",
                creator_id="urn:globus:auth:identity:25af9d3b-aeb8-4f44-9c88-3264ad82a3ae",
                hasPart=ref("crate_1/"),
                Next=ref("WEP.json"),
                status="succeeded",
            ),
            {"@id": "crate_1/", "@type": "Dataset", "hasPart": [ref("crate_1/ro-crate-metadata.json")]},
            {"@id": "crate_1/ro-crate-metadata.json", "@type": "File"},
        ],
        {"WEP.json": "{}", "fastText.py": "pass", "crate_1/ro-crate-metadata.json": '{"@context": [], "@graph": []}'},
        context=CONTEXT[0],
    ),
    "REANA": Writer(
        {
            "mainEntity": ref("workflow.json"),
            "mentions": [ref("#main")],
            "hasPart": [ref("workflow.json"), ref("results.csv")],
        },
        [
            {**file("workflow.json", step=[ref("workflow.json#main/calc")]), "@type": [*WORKFLOW, "HowTo"]},
            {
                "@id": "workflow.json#main/calc",
                "@type": "HowToStep",
                "position": "0",
                "connection": [],
                "workExample": ref("workflow.json#calc"),
            },
            tool("workflow.json#calc", input=[], output=[ref("workflow.json#calc/results")]),
            parameter("workflow.json#calc/results", additionalType="File", defaultValue="results.csv"),
            file("results.csv", alternateName="results.csv", contentSize="unknown"),
            action(
                "#main",
                "workflow.json",
                startTime="2025-04-02 11:05:06,123",
                endTime="2025-04-02 11:05:07,004",
                containerImage=ref("#image"),
                result=[ref("results.csv")],
            ),
            {"@id": "#image", "@type": "ContainerImage", "registry": "docker.io", "tag": "3"},
        ],
        {"workflow.json": "{}", "results.csv": "1"},
    ),
    "nodes of ComfyUI": Writer(
        {"hasPart": [ref("final_output.csv"), ref("#action-12")]},
        [
            file("final_output.csv", contentSize="1", encodingFormat="text/csv"),
            tool("#node-Plot"),
            action(
                "#action-12",
                "#node-Plot",
                endTime="2026-05-01T10:00:00Z",
                **{"flair:inputHash": "abc", "flair:outputSummary": [{"type": "IMAGE", "shape": [1, 8, 8, 3]}]},
            ),
        ],
        {"final_output.csv": "1"},
        context=CONTEXT[0],
    ),
    "pipeline of nf-core": Writer(
        {
            "creativeWorkStatus": "InProgress",
            "description": '<h1>\n  <picture><img alt="nf-core/x" src="docs/x.png"></picture>\n</h1>\n\n## Usage\n',
            "mainEntity": ref("main.nf"),
            "mentions": [ref("#1b26a4ae-2b56-4c74-8235-6a6320ec1067")],
            "isBasedOn": "https://github.com/nf-core/x",
            "hasPart": [ref("main.nf"), ref("modules/"), ref("modules/local/"), ref(".nf-core.yml")],
        },
        [
            {**file("main.nf", version=["1.0", "dev"], url=["https://nf-co.re/x/1.0"]), "@type": WORKFLOW},
            {"@id": "modules/", "@type": "Dataset", "description": "Modules used by the pipeline"},
            {"@id": "modules/local/", "@type": "Dataset"},
            file(".nf-core.yml"),
            {
                "@id": "#1b26a4ae-2b56-4c74-8235-6a6320ec1067",
                "@type": "TestSuite",
                "instance": [ref("#instance")],
                "mainEntity": ref("main.nf"),
            },
            {"@id": "#instance", "@type": "TestInstance", "resource": "repos/nf-core/x/actions/workflows/ci.yml"},
        ],
        {"main.nf": "workflow {}", "modules/local/a.nf": "process A {}", ".nf-core.yml": "lint: true"},
        context=CONTEXT[0],
    ),
    "collections of Galaxy": Writer(
        {
            "mainEntity": ref("workflows/1.gxwf.yml"),
            "license": "",
            "mentions": [ref("hdca-1"), ref("#invocation")],
            "hasPart": [ref("workflows/1.gxwf.yml"), ref("datasets/a.txt")],
        },
        [
            {
                **file("workflows/1.gxwf.yml", step=ref("step_1"), instrument=ref("toolshed/cat/1.0")),
                "@type": WORKFLOW,
                "input": [ref("#hdca-1-param"), ref("#n-param")],
            },
            tool("toolshed/cat/1.0", version="1.0", description=None),
            {"@id": "step_1", "@type": "HowToStep", "position": 1, "name": "toolshed/cat/1.0", "description": None},
            {
                "@id": "hdca-1",
                "@type": "Collection",
                "hasPart": [ref("datasets/a.txt")],
                "exampleOfWork": ref("#hdca-1-param"),
            },
            parameter("#hdca-1-param", additionalType="Collection"),
            parameter("#n-param", additionalType="Integer"),
            {"@id": "n-pv", "@type": "PropertyValue", "name": "n", "value": 3, "exampleOfWork": ref("#n-param")},
            file("datasets/a.txt"),
            action("#invocation", "workflows/1.gxwf.yml", **TIMES, object=[ref("hdca-1"), ref("n-pv")]),
            {
                "@id": "#engine-run",
                "@type": "OrganizeAction",
                "instrument": ref("#engine"),
                "object": ref("#invocation"),
            },
            tool("#engine"),
        ],
        {"workflows/1.gxwf.yml": "class: GalaxyWorkflow", "datasets/a.txt": "a"},
    ),
    "COMPSs on MareNostrum": Writer(
        {
            "mainEntity": ref("src/full.py"),
            "mentions": ref("#COMPSs_Workflow_Run_Crate_marenostrum5_SLURM_JOB_ID_3846825"),
            "publisher": [ref("https://ror.org/05sd8tv96")],
            "hasPart": [ref("src/full.py"), ref("graph.svg"), ref("compss-3846825.out"), ref("output/1aki.gro")],
        },
        [
            {**file("src/full.py", contentSize=4, image=ref("graph.svg")), "@type": WORKFLOW},
            file("graph.svg", contentSize=6, encodingFormat=[["image/svg+xml", ref("https://example.org/fmt/92")]]),
            file("compss-3846825.out", contentSize=2),
            file("output/1aki.gro", contentSize=3, dateModified="2024-07-12T11:16:05+00:00"),
            {"@id": "mailto:someone@example.org", "@type": "ContactPoint", "email": "someone@example.org"},
            action(
                "#COMPSs_Workflow_Run_Crate_marenostrum5_SLURM_JOB_ID_3846825",
                "src/full.py",
                endTime="2024-07-12T11:16:05+00:00",
                actionStatus=ref(COMPLETED),
                description="Linux gs05r2b06 5.14.0 SLURM_JOB_QOS=gp_debug SLURM_JOB_ID=3846825",
                result=[ref("output/1aki.gro")],
                subjectOf=["https://userportal.bsc.es/"],
            ),
        ],
        {"src/full.py": "pass", "graph.svg": "<svg/>", "compss-3846825.out": "ok", "output/1aki.gro": "gro"},
    ),
    "connections of StreamFlow": Writer(
        {
            "mainEntity": ref("main.cwl"),
            "mentions": [ref("#run")],
            "hasPart": [ref("main.cwl"), ref("3f2a/"), ref("3f2a/9e")],
        },
        [
            {**file("main.cwl", connection=[ref("#c1")], input=[ref("main.cwl#in")]), "@type": [*WORKFLOW, "HowTo"]},
            parameter("main.cwl#in", additionalType="Dataset"),
            {
                "@id": "#c1",
                "@type": "ParameterConnection",
                "sourceParameter": [ref("main.cwl#in"), ref("main.cwl#in")],
                "targetParameter": ref("main.cwl#in"),
            },
            {"@id": "3f2a/", "@type": "Dataset", "alternateName": "in", "hasPart": [ref("3f2a/9e")]},
            file("3f2a/9e", alternateName="in/a.txt", sha1="9e" * 20, exampleOfWork=ref("main.cwl#in")),
            action("#run", "main.cwl", **TIMES, actionStatus=COMPLETED, object=[ref("3f2a/")]),
        ],
        {"main.cwl": "class: Workflow", "3f2a/9e": "a"},
    ),
}
