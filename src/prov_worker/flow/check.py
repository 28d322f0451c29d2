"""Load a flow, and check it without the service."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prov_worker.errors import InputError, MissingExtraError
from prov_worker.flow import source
from prov_worker.flow.findings import FlowFinding
from prov_worker.flow.source import Document
from prov_worker.flow.states import Flow

#: A file, or what is in it.
Source = str | os.PathLike[str] | Mapping[str, Any]


def load(
    definition: Source,
    schema: Source | None = None,
    input: Source | None = None,  # noqa: A002 - Flows' own word for it
    *,
    walltime_s: float | None = None,
) -> Flow:
    """Load a flow.

    Args:
        definition: JSON or YAML with ``StartAt`` and ``States``, or what ``globus flows show`` gives, with both below
            ``definition`` and the schema below ``input_schema``.
        schema: of the input, JSON Schema 2020-12.
        input: of a run.
        walltime_s: of the batch jobs in which tasks run, if neither definition nor input has it.

    Raises:
        InputError: a file cannot be read, is not JSON or YAML (with line and column), or not a flow definition.
    """
    document = _document(definition, "definition")
    if not isinstance(document.value, dict):
        raise InputError(f"{document.name}: expected an object with StartAt and States")
    outer = document
    if "States" not in document.value and isinstance(document.value.get("definition"), dict):
        document = document.part("definition")
        if schema is None and isinstance(outer.value.get("input_schema"), dict):
            return Flow(document, outer.part("input_schema"), _optional(input, "input"), walltime_s)
    if "States" not in document.value and "StartAt" not in document.value:
        raise InputError(f"{document.name}: not a flow definition: it has neither StartAt nor States")
    return Flow(document, _optional(schema, "schema"), _optional(input, "input"), walltime_s)


def _optional(given: Source | None, name: str) -> Document | None:
    return None if given is None else _document(given, name)


def _document(given: Source, name: str) -> Document:
    if isinstance(given, Mapping):
        return Document(name, dict(given))
    return source.read(Path(given))


def check(flow: Flow) -> list[FlowFinding]:
    """Return what all checks find, in the order of the files' lines.

    Raises:
        MissingExtraError: jsonschema is not installed, and there is a schema.
    """
    from prov_worker.flow.checks import CHECKS

    if flow.schema is not None:
        try:
            import jsonschema as _  # noqa: F401 - asked for once, before any work
        except ImportError as error:
            raise MissingExtraError("a check of an input schema needs jsonschema", "flow", error) from error
    findings = [draft.finished(name) for name, run in CHECKS.items() for draft in run(flow)]
    files = [document.name for document in (flow.definition, flow.schema, flow.input) if document is not None]
    return sorted(findings, key=lambda finding: (files.index(finding.file), finding.line or 0))
