"""Every name that a crate borrows from a specification, in one table.

A move to RO-Crate 1.3 and Workflow Run RO-Crate 0.6 starts here. Sources: RO-Crate 1.1
(https://w3id.org/ro/crate/1.1), Process Run Crate 0.5 (https://w3id.org/ro/wfrun/process/0.5), the terms of
ResearchObject/ro-terms for workflow runs and COMPSs, QUDT units.
"""

from __future__ import annotations

import re
from typing import Any, Final

CRATE_CONTEXT: Final = "https://w3id.org/ro/crate/1.1/context"
#: Start of the ids of all versions of RO-Crate, and of their contexts.
CRATE_PROFILES: Final = "https://w3id.org/ro/crate/"
CRATE_PROFILE: Final = "https://w3id.org/ro/crate/1.1"
RUN_CONTEXT: Final = "https://w3id.org/ro/terms/workflow-run/context"
RUN_TERMS: Final = "https://w3id.org/ro/terms/workflow-run#"
PROCESS_PROFILE: Final = "https://w3id.org/ro/wfrun/process/0.5"
PROCESS_PROFILE_VERSION: Final = "0.5"

#: Namespace of the terms that no other vocabulary has: the words of the LivePublication prototype.
NAMESPACE: Final = "https://w3id.org/ro/terms/distributed-step#"
COMPSS: Final = "https://w3id.org/ro/terms/compss#"

#: Beginning of the ``schemaVersion`` of our metadata documents, and the version that is written. Version 0.1.0 of this
#: package stated none: see :mod:`prov_worker.crate.legacy`.
LAYOUTS: Final = NAMESPACE + "layout-"
LAYOUT: Final = LAYOUTS + "2"

CONTEXT: Final[list[Any]] = [
    CRATE_CONTEXT,
    RUN_CONTEXT,
    {
        "HardwareComponent": NAMESPACE + "HardwareComponent",
        "HardwareRuntime": NAMESPACE + "HardwareRuntime",
        "components": NAMESPACE + "components",
        "performance": NAMESPACE + "performance",
        "valueRecorded": NAMESPACE + "valueRecorded",
        "observationAbout": "http://schema.org/observationAbout",
    },
]

#: ``propertyID`` of what user code noted, and of the recorder's remarks.
ANNOTATION: Final = NAMESPACE + "annotation"
NOTE: Final = NAMESPACE + "note"
#: Key of the annotation that names the run of a task (:func:`prov_worker.name_run`).
RUN_ANNOTATION: Final = "run"
#: The run that tasks of ``prov-worker diagnose`` say they are of, by which lists leave them out.
DIAGNOSIS_RUN: Final = "prov-worker diagnose"

#: ML Schema (W3C Machine Learning Schema Community Group): ``propertyID`` of runs, models and what belongs to them.
ML_SCHEMA: Final = "http://www.w3.org/ns/mls#"
ML_RUN: Final = ML_SCHEMA + "Run"
ML_PARAMETER: Final = ML_SCHEMA + "HyperParameterSetting"
ML_METRIC: Final = ML_SCHEMA + "ModelEvaluation"
ML_MODEL: Final = ML_SCHEMA + "Model"
ML_CHARACTERISTIC: Final = ML_SCHEMA + "ModelCharacteristic"
#: ``propertyID`` of what a result depends on: seeds, determinism, versions.
CONDITION: Final = NAMESPACE + "condition"
#: ``propertyID`` of a step of another library: its key there, the task that it is a part of, and steps that it needs.
PART_KEY: Final = NAMESPACE + "partKey"
PART_OF: Final = NAMESPACE + "partOf"
NEEDS: Final = NAMESPACE + "needs"

ACTION_ID: Final = "#distributed_step"
#: The action of a trigger, in a crate of its own.
TRIGGER_ID: Final = "#trigger"
TRIGGER_TYPE: Final = "ActivateAction"
ACTION_TYPES: Final = ["CreateAction", "HowTo", "ActionAccessSpecification", "Schedule"]
COMPLETED_STATUS: Final = "http://schema.org/CompletedActionStatus"
FAILED_STATUS: Final = "http://schema.org/FailedActionStatus"

#: Properties whose value is a reference or a list of references, never text. Validators do not notice text there.
REFERENCE_PROPERTIES: Final = frozenset(
    {
        "about",
        "agent",
        "author",
        "components",
        "containerImage",
        "environment",
        "hasPart",
        "instrument",
        "mainEntity",
        "mentions",
        "object",
        "observationAbout",
        "performance",
        "programmingLanguage",
        "provider",
        "publisher",
        "resourceUsage",
        "result",
        "softwareRequirements",
        "step",
        "subjectOf",
        "valueReference",
    }
)

QUDT: Final = "https://qudt.org/vocab/unit/"
#: Unit names of :class:`prov_worker.model.Column` (and ``second``) with their QUDT identifiers.
UNITS: Final = {
    "second": QUDT + "SEC",
    "byte": QUDT + "BYTE",
    "percent": QUDT + "PERCENT",
    "count": QUDT + "NUM",
    "joule": QUDT + "J",
    "watt": QUDT + "W",
    "celsius": QUDT + "DEG_C",
    "megahertz": QUDT + "MegaHZ",
}
#: Properties of other vocabularies that counters of :mod:`prov_worker.counters` are, by name.
COUNTER_PROPERTIES: Final = {"read_bytes": COMPSS + "byteRead", "written_bytes": COMPSS + "byteWritten"}
UNIT_NAMES: Final = {iri: name for name, iri in UNITS.items()}

FUNCTION_URL: Final = "https://compute.api.globus.org/v2/functions/"
PYTHON_URL: Final = "https://www.python.org/"
PYTHON_RELEASE_URL: Final = "https://www.python.org/downloads/release/python-"
BASH_URL: Final = "https://www.gnu.org/software/bash/"
PACKAGE_URL: Final = "https://pypi.org/project/"

#: Files of a crate.
METADATA_FILE: Final = "ro-crate-metadata.json"
#: A page about the crate (RO-Crate 1.1, "RO-Crate Website"): no part of what the crate describes.
PREVIEW_FILE: Final = "ro-crate-preview.html"
DATA_DIR: Final = "data"
HARDWARE_FILE: Final = "data/hardware.json"
#: What stands at the top of the hardware report alone, and not in the report of its probe: by the key at the top, the
#: probe and the key in its data.
HARDWARE_ONCE: Final = {
    "lscpu": ("cpu", "lscpu"),
    "virtual_memory": ("memory", "virtual_memory"),
    "disk": ("storage", "mounts"),
    "gpus": ("gpu", "devices"),
}
CPU_FILE: Final = "data/cpu_usage.json"
SERIES_FILE: Final = "data/resource_usage.json"
TRAINING_FILE: Final = "data/training.json"
SOURCE_FILE: Final = "function/source.py"
#: Files that are the same in many crates of a node.
SHARED_FILES: Final = (HARDWARE_FILE, SOURCE_FILE)
CALL_FILE: Final = "function/call.txt"
#: Of a step that ran again: how it compares with the first time.
RERUN_FILE: Final = "data/rerun.json"
LOGS_DIR: Final = "logs"
TRACEBACK_FILE: Final = "logs/traceback.txt"
ERROR_FILE: Final = "logs/error.txt"
STDOUT_FILE: Final = "logs/stdout.txt"
STDERR_FILE: Final = "logs/stderr.txt"
IMAGE_DIR: Final = "images"
#: Beside the crates: what their environments are made of, one file for each.
SOFTWARE_DIR: Final = ".software"
SOFTWARE_BILL: Final = "#node-software"
#: Pattern of the name of such a file.
BILL_NAME: Final = r"(?P<sha256>[0-9a-f]{64})\.cdx\.json"
BILL_MEDIA_TYPE: Final = "application/vnd.cyclonedx+json"
#: Files of a run crate.
STEPS_DIR: Final = "steps"
RUN_SOFTWARE_DIR: Final = "software"
README_FILE: Final = "README.md"
LINKS_FILE: Final = "links.jsonl"
MANIFEST_FILE: Final = "manifest-sha256.txt"
SEAL_FILE: Final = "seal.txt"
SIGNATURE_FILE: Final = "seal.txt.sig"
WORKFLOW_STEM: Final = "workflow"

#: Suffixes of a crate: of its directory, and of a zip file of it.
CRATE_SUFFIX: Final = ".crate"
ZIP_SUFFIX: Final = ".zip"
#: A crate in the making begins so; what is hidden is not a crate yet.
STAGING_PREFIX: Final = ".tmp-"
#: In the key of each attempt that is not the one which finished last.
ATTEMPT_MARK: Final = ".attempt-"
_ATTEMPT = re.compile(r"(?P<task>.+)\.attempt-(?P<number>\d+)(\.\d+)?", re.DOTALL)


def crate_name(key: str) -> str:
    """Return the name of the crate of an attempt, whose key is its task id or :func:`attempt_key`."""
    return key + CRATE_SUFFIX


def key_of(name: str) -> str:
    """Return the key in the name of a crate's directory or zip file: what is before the suffixes."""
    return name.removesuffix(ZIP_SUFFIX).removesuffix(CRATE_SUFFIX)


def attempt_key(task: str, attempt: int, number: int = 1) -> str:
    """Return the key of an attempt that is not the one which finished last.

    Args:
        task: the task id, as it stands in file names.
        attempt: number of the attempt.
        number: counts attempts of one number, which ran apart.
    """
    return f"{task}{ATTEMPT_MARK}{attempt}" + (f".{number}" if number > 1 else "")


def split_key(key: str) -> tuple[str, int | None]:
    """Return task and attempt that a key names; None is the attempt that finished last."""
    match = _ATTEMPT.fullmatch(key)
    return (key, None) if match is None else (match["task"], int(match["number"]))


def bill_name(sha256: str) -> str:
    """Return the name of the file that is the bill of materials with this digest."""
    return f"{sha256}.cdx.json"


def step_id(key: str) -> str:
    """Return the id of a step crate in its run crate."""
    return f"{STEPS_DIR}/{crate_name(key)}/"


CALL_ABSENT: Final = "#call-absent"
PLOT_ABSENT: Final = "#plot-absent"
BEGUN: Final = "#begun"
SAMPLES_TAKEN: Final = "#samples-taken"
SAMPLES_EXPECTED: Final = "#samples-expected"
LONGEST_GAP: Final = "#samples-longest-gap"
FUNCTION_IDENTIFIED_BY: Final = "#function-identified-by"
CPU_OBSERVATION: Final = "#observation-cpu-usage"
MEMORY_OBSERVATION: Final = "#observation-memory-rss"
CPU_COMPONENT: Final = "#hardware-cpu"
RAM_COMPONENT: Final = "#hardware-ram"
