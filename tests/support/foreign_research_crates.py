"""Crates in the manner of writers whose documents are least like a step's; written again with a few entities each.

Sources, by name:

* ``recorded commands``: ``example/ro-crate-metadata.json`` of i-VRESSE/rocrate-action-recorder: an action whose id is a
  command line.
* ``FAIRSCAPE``: ``parity/letters-chain`` of fairscape/nf-fairscape: a root, files and computations by ``ark:``, without
  any action; times in nanoseconds.
* ``Five Safes``: ``0.5-DRAFT/example-result`` of trefx/5s-crate: assessments under ``type`` instead of ``@type``.
* ``output of ModGP``: BioDT/uc-CWR: an action that nothing names, whose result is the crate; the main entity is a word.
* ``software as root``: AquaINFRA/galaxy-workflow-idw: ``@reverse``, a context without a base, a size with a fraction.
* ``image of OME``: ``ro-crate-metadata.json`` of ome2024-ngff-challenge: a root without parts and date, and types that
  only the context explains.
* ``trials``: ``mapping`` of cloudcell/gnosislab: two instruments, properties inside entities, a File that is a Dataset.
* ``ARC``: the Process Core Crate of nfdi4plants: processes of a laboratory, named by the root's ``about``.
* ``notebook of a language archive``: Australian-Text-Analytics-Platform/cooee: an input by ``arcp:``.
"""

from __future__ import annotations

from support.foreign_crates import COMPLETED, CONTEXT, Entity, Writer, action, file, ref, tool

ARK = "ark:59853/"
EVI = "https://w3id.org/EVI#"
SCHEMA = "http://schema.org/"


def evidence(name: str, kind: str, **fields: object) -> Entity:
    return {"@id": ARK + name, "@type": ["prov:Entity", EVI + kind], "name": name, **fields}


def assessment(identifier: str, kind: str, **fields: object) -> Entity:
    return {"@id": identifier, "type": "AssessAction", "additionalType": ref(f"https://w3id.org/shp#{kind}"), **fields}


def parameter(identifier: str, **fields: object) -> Entity:
    return {"@id": identifier, "@type": "FormalParameter", "name": identifier.lstrip("#"), **fields}


def nested(identifier: str, kind: str, name: str, value: object) -> Entity:
    """Return an entity with another one inside, which has no id."""
    inner = {"@type": "PropertyValue", "name": name, "value": value}
    return {"@id": identifier, "@type": kind, "name": identifier, "additionalProperty": [inner]}


WRITERS: dict[str, Writer] = {
    "recorded commands": Writer(
        {"license": "CC-BY-4.0", "hasPart": [ref("data/input.txt"), ref("output.txt")]},
        [
            tool("myscript@1.0.0", version="1.0.0"),
            *(file(path, contentSize=1, encodingFormat="text/plain") for path in ("data/input.txt", "output.txt")),
            {"@id": "someone", "@type": "Person", "name": "someone"},
            action(
                "./myscript.py data/input.txt output.txt",
                "myscript@1.0.0",
                startTime="2026-01-29T07:54:24.131926",
                endTime="2026-01-29T07:54:24.132299",
                agent=ref("someone"),
                object=[ref("data/input.txt")],
                result=[ref("output.txt")],
            ),
        ],
        {"data/input.txt": "i", "output.txt": "o"},
    ),
    "FAIRSCAPE": Writer(
        {
            "@id": f"{ARK}rocrate-main-nf",
            "@type": ["Dataset", f"{EVI}ROCrate"],
            "author": "Ada Lovelace",
            "datePublished": "2026-07-31T09:36:34.448426782-04:00",
            "hasPart": [ref(f"{ARK}{name}") for name in ("computation-reverse", "software-tac", "dataset-letters")],
        },
        [
            {
                "@id": f"{ARK}computation-reverse",
                "@type": ["prov:Activity", f"{EVI}Computation"],
                "command": "tac letters.txt > reversed.txt",
                "usedSoftware": [ref(f"{ARK}software-tac")],
                "usedDataset": [],
                "generated": [ref(f"{ARK}dataset-letters")],
                "startTime": "2026-07-31T09:36:33.681122066-04:00",
            },
            evidence("software-tac", "Software", contentUrl="https://www.gnu.org/software/coreutils/tac"),
            evidence("dataset-letters", "Dataset", contentUrl="letters.txt", contentSize="1", keywords=["a", "b"]),
        ],
        {"letters.txt": "a"},
        context={"@vocab": "https://schema.org/", "evi": EVI, "prov": "http://www.w3.org/ns/prov#"},
    ),
    "Five Safes": Writer(
        {
            "mainEntity": ref("https://workflowhub.eu/workflows/289?version=1"),
            "mentions": [ref("#query"), ref("#check"), ref("#signoff")],
            "hasPart": [ref("https://workflowhub.eu/workflows/289?version=1"), ref("input1.txt"), ref("workflow/289/")],
            "licence": ref("http://spdx.org/licenses/CC-BY-4.0"),
        },
        [
            {"@id": "https://workflowhub.eu/workflows/289?version=1", "@type": "Dataset", "name": "workflow"},
            action(
                "#query",
                "https://workflowhub.eu/workflows/289?version=1",
                actionStatus=COMPLETED,
                object=[ref("input1.txt"), ref("#fast")],
                result=[ref("outputs/table.csv"), ref("urn:uuid:07b81e0f-7ac4-5428-9940-878b241e2397")],
            ),
            {"@id": "#fast", "@type": "PropertyValue", "name": "--fast-mode", "value": "True"},
            {"@id": "_:localid:tre72:project81", "@type": "PropertyValue", "name": "tre72", "value": "project81"},
            file("input1.txt"),
            {"@id": "workflow/289/", "@type": "Dataset", "sameAs": ref("https://workflowhub.eu/workflows/289")},
            assessment("#check", "CheckValue", endTime="2023-04-18T12:11:45+01:00", object=ref("./")),
            assessment("#signoff", "SignOff", object=[ref("./"), ref("_:localid:tre72:project81")]),
            {
                "@id": "urn:uuid:07b81e0f-7ac4-5428-9940-878b241e2397",
                "@type": "DigitalDocument",
                "name": "measurement",
            },
        ],
        {"input1.txt": "1", "workflow/289/main.cwl": "class: Workflow"},
        context="https://w3id.org/ro/crate/1.2-DRAFT/context",
    ),
    "output of ModGP": Writer(
        {
            "@type": ["Dataset"],
            "about": [ref("https://www.gbif.org/species/8301822")],
            "datePublished": "2024-01-24 09:35:26.012186+00:00",
            "mainEntity": "Dataset",
            "hasPart": [ref("Outputs.nc")],
        },
        [
            {**file("Outputs.nc", contentSize=3), "@type": ["File"]},
            action("#action1", "https://github.com/uio-mana/CWR-Hackathon/tree/main/ModGP", result=[ref("./")]),
        ],
        {"Outputs.nc": "CDF"},
        context=[CONTEXT[0]],
    ),
    "software as root": Writer(
        {
            "@type": ["Dataset", "ComputationalWorkflow", "SoftwareSourceCode", "SoftwareApplication"],
            "ComputationalWorkflow#input": [ref("#input1")],
            "hasPart": [ref("#A_workflow.ga"), ref("#https://doi.org/10.5281/zenodo.10477880")],
        },
        [
            {**parameter("#input1"), "@reverse": {"ComputationalWorkflow#input": ref("./")}},
            {
                **file("#A_workflow.ga", contentSize=6.8203125, sha256="0" * 64),
                "@type": ["File", "CreativeWork", "ComputationalWorkflow"],
                "@reverse": {"hasPart": ref("./")},
            },
            {"@id": "#https://doi.org/10.5281/zenodo.10477880", "@type": ["CreativeWork"], "name": "doi"},
        ],
        {},
        context=[CONTEXT[0], {"@base": None}],
    ),
    "image of OME": Writer(
        {
            "datePublished": None,
            "resultOf": ref("#acquisition"),
            "license": "https://creativecommons.org/licenses/by/4.0/",
        },
        [
            {"@id": "#sample", "@type": "biosample", "organism_classification": ref("NCBI:txid7227")},
            {"@id": "#specimen", "@type": "specimen", "biosample": ref("#sample")},
            {"@id": "#acquisition", "@type": "image_acquisition", "fbbi_id": ref("obo:FBbi_00000243")},
        ],
        {},
        context=[CONTEXT[0], {"acquisition": {"@reverse": "https://schema.org/result", "@type": "@id"}}],
    ),
    "trials": Writer(
        {
            "mentions": [ref("#trial/T1"), ref("#conclusion/C1")],
            "hasPart": [ref("payload/code/ab.py"), ref("payload/results/T1.json")],
        },
        [
            nested("#programme/P1", "Collection", "budget_max_trials", 8),
            {
                **file("payload/code/ab.py", contentSize=4),
                "@type": ["File", "SoftwareSourceCode"],
                "identifier": "sha256:ab",
            },
            {**file("payload/results/T1.json", about=ref("#trial/T1")), "@type": ["File", "Dataset"]},
            {
                **nested("#trial/T1", "CreateAction", "evidence_policy", '{"version": 1}'),
                "instrument": [ref("payload/code/ab.py"), ref("#gnosislab")],
                "object": [ref("payload/code/ab.py")],
                "result": [ref("payload/results/T1.json")],
                "actionStatus": ref(f"{SCHEMA}ActiveActionStatus"),
                "startTime": "2026-10-03T22:01:00Z",
            },
            tool("#gnosislab"),
            {
                "@id": "#conclusion/C1",
                "@type": "AssessAction",
                "instrument": ref("#gnosislab"),
                "object": ref("#programme/P1"),
                "result": ref("#verdict/C1"),
            },
            {"@id": "#verdict/C1", "@type": "CreativeWork", "name": "verdict", "text": "holds"},
        ],
        {"payload/code/ab.py": "pass", "payload/results/T1.json": "{}"},
        context=CONTEXT[0],
    ),
    "ARC": Writer(
        {"about": [ref("#Process_Preparation"), ref("#Process_Measurement")], "hasPart": ref("datafile.wiff")},
        [
            file("datafile.wiff"),
            {"@id": "#Sample_1", "@type": "Sample", "additionalType": "Sample", "name": "MySample"},
            {
                "@id": "#Process_Preparation",
                "@type": "LabProcess",
                "result": ref("#Sample_1"),
                "parameterValue": ref("#Temperature_25"),
            },
            {"@id": "#Temperature_25", "@type": "PropertyValue", "value": "25", "unitText": "degree Celsius"},
            {
                "@id": "#Process_Measurement",
                "@type": "LabProcess",
                "object": ref("#Sample_1"),
                "result": ref("datafile.wiff"),
            },
        ],
        {"datafile.wiff": "w"},
        context=["https://w3id.org/ro/crate/1.2/context", {"LabProcess": "https://bioschemas.org/LabProcess"}],
    ),
    "notebook of a language archive": Writer(
        {"hasPart": [ref("cooee.ipynb")]},
        [
            {
                **file("cooee.ipynb", input=[ref("arcp://name,cooee-corpus/corpus/root")]),
                "@type": ["File", "SoftwareApplication"],
            }
        ],
        {"cooee.ipynb": '{"cells": []}'},
        context=CONTEXT[0],
    ),
}
