"""Crates in the manner of further writers, whose structure differs; written again with a few entities each.

Sources, by name:

* ``nf-prov``: ``WrrocRenderer.groovy`` of nextflow-io/nf-prov: results of tasks are no files of the crate, and the
  licence is among its parts.
* ``trace of Nextflow``: ``dev/resource_usage/nf_tracing`` of ResearchObject/workflow-run-crate: ids with slashes,
  resource usage, and a run without times and state.
* ``runcrate with folders``: ``tests/data/dirarray-run-1-crate`` of ResearchObject/runcrate: a value that is a list of
  folders, and a step that ran twice.
* ``runcrate without outputs``: ``tests/data/no-output-run-1-crate`` there, and workflows inside a workflow.
* ``staged by WfExS``: ``cosifer-cwl_staged`` of the profiles' examples: a workflow that has not run.
* ``paths of the machine``: pipelines that name files by their absolute path, tools by a word, and requirements by an
  entity inside another one.
* ``without a description``: a document of RO-Crate 1.2 without an entity of its own, with blank nodes and folders by
  ``urn:uuid``.
* ``values inside``: steps decided by people, whose result is an object and no reference.
* ``step of LivePublication``: ``e7beae76-…/88102f1e-…`` of GusEllerm/distributed-provenance-example: a Distributed Step
  Crate, whose action is a File too.
* ``LivePublication's fork``: ``dist_step_crate.py`` of LivePublication/live-publication-globus-compute.
* ``run of LivePublication``: ``Distributed_Provenance_Crate`` of the example: a definition of Globus Flows, ids with
  ``$``, and descriptions that are null.
"""

from __future__ import annotations

from typing import Any

from support.foreign_crates import COMPLETED, CONTEXT, TIMES, WORKFLOW, Entity, Writer, action, file, ref, tool

MIT = "https://spdx.org/licenses/MIT"
FOLDERS = ("cb43436e/", "3c079cbf/")
STEP_TYPES = ["CreateAction", "HowTo", "ActionAccessSpecification", "Schedule"]


def usage(action_id: str, name: str, value: str) -> Entity:
    return {
        "@id": f"{action_id}-{name}",
        "@type": "PropertyValue",
        "name": name,
        "propertyID": f"https://w3id.org/ro/terms/nf-trace#{name}",
        "unitCode": "https://qudt.org/vocab/unit/BYTE",
        "value": value,
    }


def control(identifier: str, *steps: str, **fields: Any) -> Entity:
    return {"@id": identifier, "@type": "ControlAction", "object": [ref(step) for step in steps], **fields}


WRITERS: dict[str, Writer] = {
    "nf-prov": Writer(
        {
            "mainEntity": ref("main.nf"),
            "mentions": [ref("#session"), ref("#task/0a1b"), ref("#task/0a1b/out.txt"), ref("#publish/0a1b/out.txt")],
            "license": MIT,
            "hasPart": [
                ref("main.nf"),
                ref(MIT),
                ref("data/in.txt"),
                ref("results/out.txt"),
            ],
        },
        [
            {**file("main.nf"), "@type": [*WORKFLOW, "HowTo"], "output": [], "step": [ref("main.nf#step/1")]},
            {"@id": MIT, "@type": "CreativeWork"},
            {"@id": "main.nf#step/1", "@type": "HowToStep", "workExample": ref("main.nf#main/FOO"), "position": 1},
            tool("main.nf#main/FOO"),
            tool("main.nf#software-application"),
            control("#foo/control", "#task/0a1b", instrument=ref("main.nf#step/1")),
            action("#session", "main.nf", **TIMES, object=[ref("#param/x/value")], result=[ref("results/out.txt")]),
            action(
                "#task/0a1b",
                "main.nf#main/FOO",
                object=[ref("data/in.txt"), ref("#tmp/list.txt")],
                result=[ref("#task/0a1b/out.txt")],
                actionStatus="http://schema.org/FailedActionStatus",
                error="line 1\nline 2",
            ),
            action(
                "#publish/0a1b/out.txt",
                "main.nf#software-application",
                object=ref("#task/0a1b/out.txt"),
                result=ref("results/out.txt"),
                actionStatus=COMPLETED,
            ),
            {"@id": "#task/0a1b/out.txt", "@type": "CreativeWork", "name": "out.txt"},
            {"@id": "#tmp/list.txt", "@type": "CreativeWork", "name": "list.txt"},
            {"@id": "#param/x/value", "@type": "PropertyValue", "name": "x", "value": {"a": [1, None]}},
            file("data/in.txt"),
            file("results/out.txt"),
        ],
        {"main.nf": "process FOO {}", "data/in.txt": "1", "results/out.txt": "2"},
        context=CONTEXT[0],
    ),
    "trace of Nextflow": Writer(
        {"mainEntity": ref("tutorial.nf"), "mentions": [ref("#run")], "hasPart": [ref("tutorial.nf")]},
        [
            {**file("tutorial.nf", hasPart=[ref("tutorial.nf#split")]), "@type": [*WORKFLOW, "HowTo"]},
            tool("tutorial.nf#split"),
            action(
                "#cd/ca5a2f",
                "tutorial.nf#split",
                startTime="2023-05-17T16:33:34.290000",
                endTime="2023-05-17T16:33:34.468000",
                resourceUsage=[ref("#cd/ca5a2f-peakRSS"), ref("#cd/ca5a2f-wChar")],
            ),
            usage("#cd/ca5a2f", "peakRSS", "0"),
            usage("#cd/ca5a2f", "wChar", "223"),
            action("#run", "tutorial.nf"),
        ],
        {"tutorial.nf": "workflow {}"},
        context=[CONTEXT[0], {"resourceUsage": "https://w3id.org/ro/terms/workflow-run#resourceUsage"}],
    ),
    "runcrate with folders": Writer(
        {
            "mainEntity": ref("packed.cwl"),
            "mentions": [ref("#main")],
            "hasPart": [ref("packed.cwl"), *map(ref, FOLDERS), *(ref(f"{folder}e752cf6e") for folder in FOLDERS)],
        },
        [
            {**file("packed.cwl", output=[], step=[ref("packed.cwl#main/date")]), "@type": [*WORKFLOW, "HowTo"]},
            {"@id": "packed.cwl#main/date", "@type": "HowToStep", "position": "0", "workExample": ref("packed.cwl#d")},
            tool("packed.cwl#d", output=[]),
            {"@id": "#pv", "@type": "PropertyValue", "name": "dirs", "value": [ref(folder) for folder in FOLDERS]},
            *(
                {"@id": folder, "@type": "Dataset", "alternateName": "foo", "hasPart": [ref(f"{folder}e752cf6e")]}
                for folder in FOLDERS
            ),
            *(file(f"{folder}e752cf6e", alternateName="foo/f.txt", sha1="e752cf6e" * 5) for folder in FOLDERS),
            action("#main", "packed.cwl", **TIMES, object=[ref("#pv")], result=[]),
            action("#date", "packed.cwl#d", **TIMES, object=[ref(FOLDERS[0])], result=[]),
            action("#date_2", "packed.cwl#d", **TIMES, object=[ref(FOLDERS[1])], result=[]),
            control("#control", "#date", "#date_2", instrument=ref("packed.cwl#main/date")),
            {
                "@id": "#engine",
                "@type": "OrganizeAction",
                "instrument": ref("packed.cwl#d"),
                "object": ref("#control"),
                "result": ref("#main"),
                "startTime": "2023-05-09T15:44:38.520886",
            },
        ],
        {"packed.cwl": "{}", **{f"{folder}e752cf6e": "f" for folder in FOLDERS}},
    ),
    "runcrate without outputs": Writer(
        {"mainEntity": ref("packed.cwl"), "mentions": [ref("#main")], "hasPart": ref("packed.cwl")},
        [
            {**file("packed.cwl", hasPart=ref("packed.cwl#sub")), "@type": [*WORKFLOW, "HowTo"]},
            {
                "@id": "packed.cwl#sub",
                "@type": ["SoftwareSourceCode", "ComputationalWorkflow", "HowTo"],
                "hasPart": ref("packed.cwl#tool"),
                "step": ref("packed.cwl#sub/one"),
            },
            {"@id": "packed.cwl#sub/one", "@type": "HowToStep", "workExample": ref("packed.cwl#tool")},
            tool("packed.cwl#tool"),
            action("#main", "packed.cwl", **TIMES, object=[]),
            action("#sub", "packed.cwl#sub", **TIMES),
            action("#tool", "packed.cwl#tool", endTime="2023-01-17T16:10:01Z"),
        ],
        {"packed.cwl": "{}"},
    ),
    "staged by WfExS": Writer(
        {"mainEntity": ref("workflow/main.nf"), "hasPart": [ref("workflow/main.nf"), ref("containers/node:slim.img")]},
        [
            {**file("workflow/main.nf", isBasedOn=ref("https://example.org/main.nf")), "@type": [*WORKFLOW, "HowTo"]},
            {
                **file("containers/node:slim.img", sha256="0" * 64, contentSize="3"),
                "@type": ["File", "SoftwareApplication", "ContainerImage"],
                "tag": "slim",
            },
        ],
        {"workflow/main.nf": "workflow {}", "containers/node:slim.img": "img"},
    ),
    "paths of the machine": Writer(
        {"mainEntity": ref("align"), "hasPart": [ref("/data/in.csv"), ref("out.csv")]},
        [
            {
                "@id": "align",
                "@type": WORKFLOW,
                "name": "align",
                "softwareRequirements": [{"@id": "docker://x/y:1", "@type": "SoftwareApplication"}],
            },
            file("/data/in.csv", contentSize=3, sha256="0" * 64),
            file("out.csv", contentSize=1, sha256="6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b"),
            action("#run-7", "align", object=[ref("/data/in.csv")], result=[ref("out.csv")], actionStatus=COMPLETED),
        ],
        {"out.csv": "1"},
        context=CONTEXT[0],
    ),
    "without a description": Writer(
        {
            "conformsTo": ["https://w3id.org/ro/wfrun/process/0.5"],
            "creator": [ref("_:creator-0")],
            "datePublished": 2026,
            "hasPart": [ref("urn:uuid:5a2b0000-0000-4000-8000-000000000002")],
        },
        [
            {"@id": "_:creator-0", "@type": "Person", "affiliation": "somewhere"},
            {"@id": "urn:uuid:5a2b0000-0000-4000-8000-000000000002", "@type": "Dataset", "contentSize": 3},
        ],
        {},
        context="https://w3id.org/ro/crate/1.2/context",
        described=False,
    ),
    "values inside": Writer(
        {
            "mainEntity": ref("WORKFLOW.json"),
            "additionalProperty": [{"@type": "PropertyValue", "name": "run", "value": "7"}],
            "hasPart": [ref("WORKFLOW.json"), ref("runtime/LOG.jsonl"), ref("policies/")],
        },
        [
            {**file("WORKFLOW.json", step=[ref("#step-a")]), "@type": ["File", "ComputationalWorkflow"]},
            {"@id": "runtime/LOG.jsonl", "@type": "CreativeWork", "name": "log"},
            {"@id": "policies/", "@type": "Dataset", "name": "policies"},
            {"@id": "#step-a", "@type": "HowToStep", "position": 1, "instrument": ref("https://edamontology.org/o")},
            {
                "@id": "#expert-action-a",
                "@type": "CreateAction",
                "actionStatus": "https://schema.org/CompletedActionStatus",
                "object": ref("#step-a"),
                "agent": ref("#expert"),
                "result": {"method": "by hand", "rounds": 2},
            },
            {"@id": "#expert", "@type": "Role", "name": "expert"},
        ],
        {"WORKFLOW.json": "{}", "runtime/LOG.jsonl": "{}", "policies/a.yaml": "a:"},
    ),
    "step of LivePublication": Writer(
        {
            "mainEntity": ref("2753cdea"),
            "hasPart": [ref("b74052a9"), ref("9e547861"), ref("ffb16e21"), ref("2753cdea")],
        },
        [
            {
                **file("2753cdea", hasPart=ref("#runtime"), object=ref("9e547861"), result=ref("ffb16e21")),
                "@type": [*STEP_TYPES, "File", "DistributedStep"],
                "requiresSubscription": False,
                "step": ref("#step"),
            },
            {"@id": "#step", "@type": "HowToStep", "position": 1, "identifier": "88102f1e"},
            {"@id": "#runtime", "@type": "HardwareRuntime", "component": [ref("#cpu")]},
            {
                "@id": "#cpu",
                "@type": "HardwareComponent",
                "name": "CPU",
                "additionalProperty": [{"@type": "PropertyValue", "name": "CPU(s)", "value": "4"}],
                "performance": ref("#load"),
            },
            {
                "@id": "#load",
                "@type": "Observation",
                "image": "b74052a9",
                "value": 0.0,
                "observationAbout": ref("#cpu"),
                "valueReference": ref("3e1d8118"),
            },
            file("b74052a9", encodingFormat="image/png"),
            file("9e547861", contentSize=85547, source="sort_text/input/test.txt"),
            file("ffb16e21", contentSize=85547),
        ],
        {"2753cdea": "", "b74052a9": "png", "9e547861": "in", "ffb16e21": "out"},
        context=[*CONTEXT, "https://w3id.org/livepublication/interface-schemas/contexts/lp-dscdpc/v1.jsonld"],
    ),
    "LivePublication's fork": Writer(
        {"mainEntity": ref("distriubted_step"), "hasPart": [ref("distriubted_step")]},
        [
            {"@id": "distriubted_step", "@type": STEP_TYPES, "step": ref("#a5d6")},
            {"@id": "#a5d6", "@type": "HowToStep", "position": "5a2b0000-0000-4000-8000-000000000003"},
        ],
        {},
        context=CONTEXT[0],
    ),
    "run of LivePublication": Writer(
        {"mainEntity": ref("WEP.json"), "hasPart": [ref("WEP.json"), ref("2753cdea")]},
        [
            {**file("WEP.json", step=[ref("WEP.json#main/Sort")]), "@type": [*WORKFLOW, "HowTo"]},
            {"@id": "WEP.json#main/Sort", "@type": "HowToStep", "position": "0", "workExample": ref("WEP.json#Sort")},
            tool("WEP.json#Sort", description=None, input=[ref("WEP.json#$.input.Sort.reverse")]),
            {"@id": "WEP.json#$.input.Sort.reverse", "@type": "FormalParameter", "additionalType": "Boolian"},
            action("#execution", "WEP.json", **TIMES, object=[ref("#pv-main/reverse")]),
            {"@id": "#pv-main/reverse", "@type": "PropertyValue", "name": "main/reverse", "value": "True"},
            control("#control", "2753cdea", instrument=ref("WEP.json#main/Sort")),
            {**file("2753cdea"), "@type": ["CreateAction", "File"]},
        ],
        {"WEP.json": "{}", "2753cdea": ""},
    ),
}
