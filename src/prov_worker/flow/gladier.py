"""Tools for Gladier (https://gladier.readthedocs.io) that bring the crates of a compute step back.

They keep to the inputs by which LivePublication's extension of Gladier brings crates back: the crate
``<task id>.crate`` lies at the home of the collection ``prov_compute_GCS_id`` (or in ``prov_crate_source_directory`` of
it), and comes into
``_provenance_crate_destination_directory`` of ``orchestration_server_endpoint_id``. The endpoint needs
``write: before_result``, so that a crate is complete when its task's result is there::

    @generate_flow_definition
    class Fits(GladierBaseClient):
        gladier_tools = [Fit, crates_of(Fit)]
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prov_worker.errors import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Mapping

_TRANSFER = "https://transfer.actions.globus.org/transfer"
#: Of a transfer, in seconds.
_WAIT_S = 86_400
#: Globus Transfer's word for a comparison by checksums.
_CHECKSUM = 3
_INPUTS = ("prov_compute_GCS_id", "orchestration_server_endpoint_id", "_provenance_crate_destination_directory")
_SOURCE = "getattr('input.prov_crate_source_directory', '')"
_TARGET = "input._provenance_crate_destination_directory.rstrip('/')"


def crates_of(tool: Any) -> type[Any]:
    """Return a tool that brings back the crates of all tasks of a tool's compute functions; it goes behind that tool.

    A step that failed does not tell its tasks: then all that is in the directory of crates is transferred, of which
    what is there already is not sent again, and the flow fails. Gladier's own default lets it go on.

    Args:
        tool: a class of a tool with ``compute_functions``, as it is or behind ``@generate_flow_definition``.

    Raises:
        MissingExtraError: Gladier is not installed.
        ValueError: the tool has no compute function.
    """
    try:
        from gladier import GladierBaseTool
        from gladier.utils.name_generation import get_compute_flow_state_name
    except ImportError as error:
        raise MissingExtraError("tools for Gladier need gladier", "gladier", error) from error
    # Gladier's decorator makes a function of a class.
    name = tool.__name__
    functions = getattr(getattr(tool, "__wrapped__", tool), "compute_functions", ())
    steps = [get_compute_flow_state_name(function) for function in functions]
    if not steps:
        raise ValueError(f"{name} has no compute function, and so no crates")
    states: dict[str, dict[str, Any]] = {}
    for number, step in enumerate(steps):
        follows = f"{steps[number + 1]}Crates" if number + 1 < len(steps) else None
        states |= _states(step, follows)
    members = {
        "__doc__": f"Brings the crates of {', '.join(steps)} back.",
        "flow_definition": {
            "Comment": f"Crates of {', '.join(steps)}",
            "StartAt": f"{steps[0]}Crates",
            "States": states,
        },
        "required_input": list(_INPUTS),
        "flow_input": {},
        "compute_functions": [],
        "flow_transition_states": [f"{steps[-1]}CratesHome"],
    }
    return type(f"{name}Crates", (GladierBaseTool,), members)


def _states(step: str, follows: str | None) -> dict[str, dict[str, Any]]:
    """Return the states that bring back what one compute state left."""
    ends = {
        "source_endpoint.$": "$.input.prov_compute_GCS_id",
        "destination_endpoint.$": "$.input.orchestration_server_endpoint_id",
        "sync_level": _CHECKSUM,
    }
    name = "item.task_id + '.crate/'"
    item = f"{{'source_path': {_SOURCE} + {name}, 'destination_path': {_TARGET} + '/' + {name}, 'recursive': True}}"
    everything = {
        "source_path.=": f"{_SOURCE} or '/~/'",
        "destination_path.=": f"{_TARGET} + '/'",
        "recursive": True,
    }
    onwards: Mapping[str, Any] = {"End": True} if follows is None else {"Next": follows}
    return {
        f"{step}Crates": {
            "Type": "Choice",
            "Choices": [{"Variable": f"$.{step}.status", "StringEquals": "SUCCEEDED", "Next": f"{step}CratesList"}],
            "Default": f"{step}CratesAll",
        },
        f"{step}CratesAll": _transfer({**ends, "DATA": [everything]}, f"{step}CratesAll", {"Next": f"{step}Failed"}),
        f"{step}Failed": {"Type": "Fail", "Error": f"{step}Failed", "Cause": f"$.{step}.details of the run says why"},
        f"{step}CratesList": {
            "Type": "ExpressionEval",
            "Parameters": {"items.=": f"[{item} for item in `$.{step}.details.results`]"},
            "ResultPath": f"$.{step}CratesList",
            "Next": f"{step}CratesHome",
        },
        f"{step}CratesHome": _transfer(
            {**ends, "DATA.$": f"$.{step}CratesList.items"},
            f"{step}CratesHome",
            onwards,
        ),
    }


def _transfer(body: Mapping[str, Any], result: str, onwards: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "Type": "Action",
        "ActionUrl": _TRANSFER,
        "Parameters": dict(body),
        "ResultPath": f"$.{result}",
        "WaitTime": _WAIT_S,
        "ExceptionOnActionFailure": True,
        **onwards,
    }
