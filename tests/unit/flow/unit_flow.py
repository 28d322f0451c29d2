"""Flows of the shapes that Globus publishes as examples, written for these tests: what they transfer, compute, share
and publish, what they read, and how they loop."""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

Json = dict[str, Any]
UUID = "6c54cade-bde5-45c1-bdea-f4bd71dba2cc"
_OLD = "https://actions.automate.globus.org/transfer"
_NEW = "https://transfer.actions.globus.org"


class Example(NamedTuple):
    """A flow and a valid input."""

    definition: Json
    schema: Json
    input: Json

    def copy(self) -> Example:
        """Return one that may be changed."""
        return Example(*map(copy.deepcopy, self))


def action(name: str, url: str, parameters: Json, **fields: Any) -> Json:
    """Return a state that runs an action and goes on, or ends the flow."""
    way = {} if {"Next", "End"} & set(fields) else {"End": True}
    state = {"Type": "Action", "ActionUrl": url, "Parameters": parameters, "ResultPath": f"$.{name}"}
    return {name: {**state, **fields, **way}}


def transfer(name: str, source: str, target: str, **fields: Any) -> Json:
    """Return a state that transfers from a collection of the input to another."""
    item = {
        "source_path.$": f"$.input.{source}.path",
        "destination_path.$": f"$.input.{target}.path",
        "recursive.$": "$.input.recursive_tx",
    }
    parameters = {
        "source_endpoint_id.$": f"$.input.{source}.id",
        "destination_endpoint_id.$": f"$.input.{target}.id",
        "transfer_items": [item],
    }
    return action(name, f"{_OLD}/transfer", parameters, WaitTime=60, **fields)


def compute(name: str, **fields: Any) -> Json:
    """Return a state that runs a function of the input."""
    parameters = {
        "endpoint.$": "$.input.compute_endpoint_id",
        "function.$": "$.input.compute_function_id",
        "kwargs.$": "$.input.compute_function_kwargs",
    }
    return action(name, "https://compute.actions.globus.org", parameters, WaitTime=180, **fields)


def share(name: str, target: str, kind: str, principal: str, **fields: Any) -> Json:
    """Return a state that lets somebody read a collection of the input."""
    parameters = {
        "endpoint_id.$": f"$.input.{target}.id",
        "path.$": f"$.input.{target}.path",
        "operation": "CREATE",
        "permissions": "r",
        "principal_type.$": kind,
        "principal.$": principal,
    }
    return action(name, f"{_OLD}/set_permission", parameters, **fields)


def ingest(name: str, prefix: str, **fields: Any) -> Json:
    """Return a state that publishes metadata of the input."""
    document = "$.input.search_ingest_document"
    parameters = {
        "search_index.$": f"{document}.search_index",
        "subject.$": f"{document}.search_subject",
        "visible_to.$": f"{document}.{prefix}_visible_to",
        "content.$": f"{document}.{prefix}_content",
        "id.$": f"{document}.{prefix}_entry_id",
    }
    return action(name, "https://actions.globus.org/search/ingest", parameters, **fields)


def flow(*states: Json) -> Json:
    """Return a definition that starts with the first state."""
    merged = {name: state for part in states for name, state in part.items()}
    return {"StartAt": next(iter(merged)), "States": merged}


def an_object(**properties: Json) -> Json:
    """Return the schema of an object with these properties and no others, all of them required."""
    return {
        "type": "object",
        "required": list(properties),
        "properties": properties,
        "additionalProperties": False,
    }


TEXT: Json = {"type": "string"}
ID: Json = {"type": "string", "format": "uuid"}
COLLECTION: Json = {**an_object(id=ID, path=TEXT), "format": "globus-collection"}
PRINCIPAL: Json = {"type": "object", "format": "globus-principal", "title": "Who may read"}
OPEN: Json = {"type": "object", "properties": {}, "additionalProperties": True}
_MOVE = {"source": COLLECTION, "destination": COLLECTION, "recursive_tx": {"type": "boolean", "default": True}}
_FUNCTION = {"compute_endpoint_id": ID, "compute_function_id": ID, "compute_function_kwargs": OPEN}
_AT = {"id": UUID, "path": "/data/"}
_MOVED = {"source": _AT, "destination": _AT, "recursive_tx": True}
_CALLED = {"compute_endpoint_id": UUID, "compute_function_id": UUID, "compute_function_kwargs": {"size": 3}}
_PRINCIPAL = {"id": UUID, "type": "group"}


def _input(**properties: Json) -> Json:
    schema = an_object(input=an_object(**properties))
    del schema["type"]  # as in the published ones
    return schema


def _examples() -> dict[str, Example]:
    tar = {
        **compute("Tar", Next="Transfer"),
        **action(
            "Transfer",
            f"{_OLD}/transfer",
            {
                "source_endpoint_id.$": "$.transfer.source",
                "destination_endpoint_id.$": "$.transfer.target",
                "transfer_items": [{"source_path.$": "$.transfer.from", "destination_path.$": "$.transfer.to"}],
            },
        ),
    }
    # A key of JSON Schema that stands one level too deep, as in the published one.
    moved = an_object(source=ID, target=ID, **{"from": TEXT, "to": TEXT})
    moved["properties"]["additionalProperties"] = False
    del moved["additionalProperties"]
    tar_schema = _input(**_FUNCTION)
    tar_schema["properties"]["transfer"] = moved
    tar_schema["required"].append("transfer")
    document = {
        "search_index": TEXT,
        "search_subject": TEXT,
        **{f"{prefix}_entry_id": TEXT for prefix in ("open", "closed")},
        **{f"{prefix}_visible_to": {"type": "array"} for prefix in ("open", "closed")},
        **{f"{prefix}_content": OPEN for prefix in ("open", "closed")},
    }
    filled = {key: [] if key.endswith("to") else {} if key.endswith("content") else "x" for key in document}
    return {
        "transfer": Example(flow(transfer("Move", "source", "destination")), _input(**_MOVE), {"input": _MOVED}),
        "transfer_share": Example(
            flow(
                transfer("Move", "source", "destination", Next="Share"),
                share("Share", "destination", "$.input.principal.type", "$.input.principal.id"),
            ),
            _input(**_MOVE, principal=PRINCIPAL),
            {"input": {**_MOVED, "principal": _PRINCIPAL}},
        ),
        "transfer_compute": Example(
            flow(transfer("Move", "source", "destination", Next="Process"), compute("Process")),
            _input(**_MOVE, **_FUNCTION),
            {"input": {**_MOVED, **_CALLED}},
        ),
        "transfer_compute_share": Example(
            flow(
                transfer("Raw", "source", "destination", Next="Process"),
                compute("Process", Next="Results"),
                transfer("Results", "destination", "resultshare", Next="Share"),
                share("Share", "resultshare", "$.input.principal_type", "$.input.principal_identifier"),
            ),
            _input(
                **_MOVE,
                **_FUNCTION,
                resultshare=COLLECTION,
                principal_type={"type": "string", "enum": ["identity", "group"]},
                principal_identifier=ID,
            ),
            {
                "input": {
                    **_MOVED,
                    **_CALLED,
                    "resultshare": _AT,
                    "principal_type": "group",
                    "principal_identifier": UUID,
                }
            },
        ),
        "tar_transfer": Example(
            flow(tar),
            tar_schema,
            {"input": _CALLED, "transfer": {"source": UUID, "target": UUID, "from": "/a", "to": "/b"}},
        ),
        "looping_move": Example(_looping(), _looping_schema(), {"source": _AT, "destination": _AT}),
        # The published one reads two properties that its schema neither has nor lets pass.
        "transfer_publish": Example(
            flow(
                transfer("Move", "source", "destination", Next="Share"),
                share(
                    "Share",
                    "destination",
                    "$.input.principal_type",
                    "$.input.principal_identifier",
                    ExceptionOnActionFailure=False,
                    Next="Publish",
                ),
                ingest("Publish", "open", Next="PublishRestricted"),
                ingest("PublishRestricted", "closed"),
            ),
            _input(**_MOVE, principal=PRINCIPAL, search_ingest_document=an_object(**document)),
            {"input": {**_MOVED, "principal": _PRINCIPAL, "search_ingest_document": filled}},
        ),
    }


def _looping() -> Json:
    """List, move and delete a batch after the other until nothing is left."""
    each = "for item in ls_results.details.DATA]"
    return flow(
        action(
            "List",
            f"{_NEW}/ls",
            {"endpoint_id.$": "$.source.id", "path.$": "$.source.path", "limit": 100},
            ResultPath="$.ls_results",
            Next="IsDone",
        ),
        {
            "IsDone": {
                "Type": "Choice",
                "Choices": [{"Variable": "$.ls_results.details.total", "NumericEquals": 0, "Next": "Done"}],
                "Default": "Prepare",
            },
            "Done": {"Type": "Pass", "End": True},
            "Prepare": {
                "Type": "ExpressionEval",
                "Parameters": {
                    "items.=": "[{'source_path': source.path.rstrip('/') + '/' + item.name, "
                    f"'destination_path': destination.path.rstrip('/') + '/' + item.name}} {each}"
                },
                "ResultPath": "$.batch",
                "Next": "Move",
            },
        },
        action(
            "Move",
            f"{_NEW}/transfer",
            {
                "DATA.$": "$.batch.items",
                "source_endpoint.$": "$.source.id",
                "destination_endpoint.$": "$.destination.id",
            },
            Next="PrepareDelete",
        ),
        {
            "PrepareDelete": {
                "Type": "ExpressionEval",
                "Parameters": {"paths.=": f"[{{'path': source.path.rstrip('/') + '/' + item.name}} {each}"},
                "ResultPath": "$.batch",
                "Next": "Delete",
            }
        },
        action("Delete", f"{_NEW}/delete", {"DATA.$": "$.batch.paths", "endpoint.$": "$.source.id"}, Next="List"),
    )


def _looping_schema() -> Json:
    schema = an_object(source=COLLECTION, destination=COLLECTION)
    schema["properties"]["transfer_label"] = {"type": "string", "maxLength": 128}  # not required, and not read
    schema["propertyOrder"] = ["source", "destination", "transfer_label"]  # of Globus' web app
    return schema


EXAMPLES = _examples()
