"""A flow of Gladier's, run: what ``test_gladier.py`` gives to an interpreter that has Gladier.

    python gladier_client.py INPUT.json PROVIDER

Prints the run as JSON. The tool raises if its input says so; PROVIDER is the address of Compute's action provider.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, ClassVar

from gladier import GladierBaseClient, GladierBaseTool, generate_flow_definition

from prov_worker.flow.gladier import crates_of


def double(number: int, fails: bool = False, **_others: Any) -> int:
    """Double a number."""
    if fails:
        raise ValueError("not today")
    return 2 * number


@generate_flow_definition
class Double(GladierBaseTool):
    """Doubles a number on the endpoint."""

    required_input: ClassVar[list[str]] = ["number", "compute_endpoint"]
    compute_functions: ClassVar[list[Any]] = [double]
    action_url = sys.argv[2]


@generate_flow_definition
class Client(GladierBaseClient):
    """Doubles, and brings the crate back."""

    gladier_tools: ClassVar[list[Any]] = [Double, crates_of(Double)]


client = Client()
run = client.run_flow(flow_input=json.loads(Path(sys.argv[1]).read_text()), label="gladier")
client.progress(run["run_id"], callback=lambda status: None, delay=1)
print(json.dumps({"definition": client.get_flow_definition(), "run": client.get_status(run["run_id"])}, default=str))
