"""Names that a run crate borrows from specifications, beside those of :mod:`prov_worker.crate.vocabulary`.

Sources: Workflow Run Crate 0.5 and Provenance Run Crate 0.5 (https://w3id.org/ro/wfrun), Workflow RO-Crate 1.0
(https://w3id.org/workflowhub/workflow-ro-crate/1.0), Bioschemas.
"""

from __future__ import annotations

from typing import Final

from prov_worker.crate import vocabulary as v

GENERIC_CRATE: Final = "https://w3id.org/ro/crate"
WORKFLOW_CRATE_PROFILE: Final = "https://w3id.org/workflowhub/workflow-ro-crate/1.0"
#: Profiles of a run crate: id, name, version.
PROFILES: Final = (
    (v.PROCESS_PROFILE, "Process Run Crate", v.PROCESS_PROFILE_VERSION),
    ("https://w3id.org/ro/wfrun/workflow/0.5", "Workflow Run Crate", "0.5"),
    ("https://w3id.org/ro/wfrun/provenance/0.5", "Provenance Run Crate", "0.5"),
    (WORKFLOW_CRATE_PROFILE, "Workflow RO-Crate", "1.0"),
)
BIOSCHEMAS_WORKFLOW: Final = "https://bioschemas.org/profiles/ComputationalWorkflow/1.0-RELEASE"
BIOSCHEMAS_PARAMETER: Final = "https://bioschemas.org/profiles/FormalParameter/1.0-RELEASE"
PROFILE_OF_VALIDATOR: Final = "provenance-run-crate"
#: Asks for an absolute id of the workflow, which Workflow RO-Crate forbids: cannot be met by any run crate.
SKIPPED_CHECK: Final = "process-run-crate-0.5_5.1"

RUN_ID: Final = "#run"
ENGINE_RUN_ID: Final = "#engine-run"
#: Totals of a step that the run crate shows as well; all others stay in the step crate.
SHOWN_USAGE: Final = ("#usage-wall", "#usage-cpu", "#usage-peak-rss", "#usage-cpu-max")
