#!/usr/bin/env bash
# openlineage-python 1.54.0: a list in a facet loses its null items and its empty objects when it is written.
#
# A facet that holds a series with a gap, [1.0, null, 3.0], is written as [1.0, 3.0]: every later value moves one place
# forward, and the list no longer fits a list of times beside it; the same holds for a tuple. JSON and the specification
# of OpenLineage allow null items.
#
# Seen:
#   list: [1.0, 3.0]
#   tuple: [1.0, 3.0]
#   list of objects: [{"at": 1}]
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check openlineage-python==1.54.0 attrs==26.1.0
cat >"$work/run.py" <<'PY'
import json
import uuid

import attr
from openlineage.client.event_v2 import Job, Run, RunEvent, RunState
from openlineage.client.generated.base import RunFacet
from openlineage.client.transport.file import FileConfig, FileTransport


@attr.define
class SeriesRunFacet(RunFacet):
    values: object = None

    @staticmethod
    def _get_schema() -> str:
        return "https://example.org/SeriesRunFacet.json"


def written(values: object) -> str:
    """Return the facet's values as FileTransport writes them."""
    path = f"{uuid.uuid4()}.jsonl"
    run = Run(str(uuid.uuid4()), facets={"example_series": SeriesRunFacet(values=values)})
    event = RunEvent(
        eventType=RunState.START, eventTime="2026-01-01T00:00:00Z", run=run, job=Job("example", "job"), producer="urn:example"
    )
    FileTransport(FileConfig(log_file_path=path, append=True)).emit(event)
    with open(path) as file:
        return json.dumps(json.loads(file.read())["run"]["facets"]["example_series"]["values"])


print("list:", written([1.0, None, 3.0]))
print("tuple:", written((1.0, None, 3.0)))
print("list of objects:", written([{}, {"at": 1}]))
PY
cd "$work"
venv/bin/python run.py | tee output
diff output - <<'SEEN'
list: [1.0, 3.0]
tuple: [1.0, 3.0]
list of objects: [{"at": 1}]
SEEN
