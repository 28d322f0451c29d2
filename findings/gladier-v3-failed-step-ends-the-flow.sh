#!/usr/bin/env bash
# gladier 0.11.0: whether a step that fails ends the flow depends on the address of Compute's action provider.
#
# The state that is made of a tool goes on after a failure (ExceptionOnActionFailure is false) by default; of the same tool
# with action_url = "https://compute.actions.globus.org/v3" it ends the flow, so that no later state sees the failure. Who
# changes the address to have the newer provider changes what a failure does, and nothing says so.
#
# Seen:
#   default: ExceptionOnActionFailure False, parameters tasks
#   v3: ExceptionOnActionFailure True, parameters endpoint_id.$ tasks
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check gladier==0.11.0
cat >"$work/run.py" <<'PY'
from gladier import GladierBaseTool, generate_flow_definition


def double(number: int) -> int:
    """Double a number."""
    return 2 * number


def state(url: str | None) -> str:
    """Return what is in the state that is made of a tool."""
    members = {"compute_functions": [double], "required_input": ["number"]}
    if url:
        members["action_url"] = url
    tool = generate_flow_definition(type("Double", (GladierBaseTool,), members))()
    (made,) = tool.flow_definition["States"].values()
    return f"ExceptionOnActionFailure {made['ExceptionOnActionFailure']}, parameters {' '.join(sorted(made['Parameters']))}"


print("default:", state(None))
print("v3:", state("https://compute.actions.globus.org/v3"))
PY
cd "$work"
HOME=$work venv/bin/python run.py | tee output
diff output - <<'SEEN'
default: ExceptionOnActionFailure False, parameters tasks
v3: ExceptionOnActionFailure True, parameters endpoint_id.$ tasks
SEEN
