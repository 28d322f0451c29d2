#!/usr/bin/env bash
# provenance-context 0.2.0: the input or output of an action that has one is not found, only those of actions that have more.
#
# RO-Crate's metadata is compacted JSON-LD, in which a property with one value holds this value and a list holds several;
# ro-crate-py writes it so. provenance-context goes through both alike, takes the keys of the one reference for
# references, and answers that no action has made the file. Ancestors and descendants end there as well.
#
# Seen (made by an action; inputs that are found):
#   one output, one input: no action, 0 inputs
#   one output in a list, one input: an action, 0 inputs
#   two outputs, two inputs: an action, 2 inputs
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check provenance-context==0.2.0 rocrate==0.16.0
cat >"$work/run.py" <<'PY'
from pathlib import Path

from provenance_context import ProvenanceCrate
from rocrate.model import ContextEntity
from rocrate.rocrate import ROCrate


def found(name: str, inputs: int, outputs: int, listed: bool = False) -> str:
    """Return what is found of the first output of an action in a crate that ro-crate-py has written."""
    Path("in").write_text("in")
    crate = ROCrate()
    action = crate.add(ContextEntity(crate, "#action", {"@type": "CreateAction"}))
    for key, count in (("object", inputs), ("result", outputs)):
        files = [crate.add_file("in", f"{key}{number}.txt") for number in range(count)]
        action[key] = files if count > 1 or (listed and key == "result") else files[0]
    crate.write(name)
    lineage = ProvenanceCrate.from_dir(name).get_file_lineage("result0.txt")[0]["produced_by"]
    return f"{'no' if lineage is None else 'an'} action, {len(lineage['inputs']['files']) if lineage else 0} inputs"


print("one output, one input:", found("one", 1, 1))
print("one output in a list, one input:", found("list", 1, 1, listed=True))
print("two outputs, two inputs:", found("two", 2, 2))
PY
cd "$work"
venv/bin/python run.py | tee output
diff output - <<'SEEN'
one output, one input: no action, 0 inputs
one output in a list, one input: an action, 0 inputs
two outputs, two inputs: an action, 2 inputs
SEEN
