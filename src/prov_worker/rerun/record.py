"""Says in the new crate which one it is based on, and how the two compare."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from prov_worker.crate import vocabulary as v
from prov_worker.crate.entities import document_of
from prov_worker.crate.entities import file as file_entity
from prov_worker.crate.graph import load_graph, reference_ids
from prov_worker.crate.json_text import urn
from prov_worker.crate.preview import write_metadata
from prov_worker.crate.sources import DirectorySource
from prov_worker.files import write_file
from prov_worker.rerun.comparison import Comparison
from prov_worker.rerun.plan import Plan


def add_basis(crate: Path, plan: Plan, comparison: Comparison) -> None:
    """Write into a crate that it is a rerun: ``isBasedOn``, the verdicts as properties, all of it as a file.

    The file is written first; one replacement of the metadata brings the rest.

    Raises:
        CrateError: the crate cannot be read.
        OSError: it cannot be written.
    """
    graph = load_graph(DirectorySource(crate))
    entities = {entity["@id"]: entity for entity in graph}
    root = entities["./"]
    (action_id,) = reference_ids(root["mainEntity"])
    action = entities[action_id]
    first = urn(plan.step.task_id)
    document = {
        "based_on": {
            "task_id": plan.step.task_id,
            "attempt": plan.step.attempt,
            "metadata_sha256": plan.step.metadata_sha256,
        },
        **comparison.to_dict(),
        "environment": plan.to_dict()["differences"],
    }
    data = (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")
    (crate / v.DATA_DIR).mkdir(exist_ok=True)
    write_file(crate / v.RERUN_FILE, data)
    root["hasPart"] = [{"@id": name} for name in [*reference_ids(root.get("hasPart")), v.RERUN_FILE]]
    root["isBasedOn"] = {"@id": first}
    properties = list(_properties(comparison))
    named = [*reference_ids(action.get("additionalProperty")), *(entity["@id"] for entity in properties)]
    action["additionalProperty"] = [{"@id": name} for name in named]
    digest = hashlib.sha256(data).hexdigest()
    title, description = "Rerun", "What was the same and what differed, against the crate that this one is based on"
    file = file_entity(v.RERUN_FILE, title, description, "application/json", len(data), digest, action_id)
    basis = {
        "@id": first,
        "@type": "CreativeWork",
        "name": f"Distributed step crate of task {plan.step.task_id}, attempt {plan.step.attempt}",
        "identifier": first,
    }
    if plan.step.metadata_sha256:
        basis["sha256"] = plan.step.metadata_sha256
    write_metadata(crate, document_of([*graph, basis, json.loads(file), *properties]))


def _properties(comparison: Comparison) -> list[dict[str, Any]]:
    parts = [("verdict", comparison.verdict, []), *((p.name, p.verdict, p.details) for p in comparison.parts)]
    return [
        {
            "@id": f"#rerun-{name}",
            "@type": "PropertyValue",
            "name": f"rerun: {name}",
            "value": verdict,
            "propertyID": f"{v.NAMESPACE}rerun{name.title()}",
            **({"description": "; ".join(details)} if details else {}),
        }
        for name, verdict, details in parts
    ]
