"""How steps are recorded that a library runs elsewhere for a task: as the task is, or as the variables say."""

from __future__ import annotations

import os
from typing import Any

from prov_worker.errors import ProvWorkerError
from prov_worker.recorder.context import context
from prov_worker.recorder.errors import log
from prov_worker.recorder.provenance import provenance_of_environment


def part_provenance(library: str) -> tuple[dict[str, Any] | None, str | None]:
    """Return how the steps of a library are recorded, and the endpoint.

    As the task that uses the library says, else as ``PROV_WORKER_*`` does. None if they are not.

    Args:
        library: as the setting ``capture`` calls it.
    """
    published = context()
    if published:
        provenance: dict[str, Any] | None = published["provenance"]
        endpoint_id = published.get("endpoint")
    else:
        try:
            provenance = provenance_of_environment(os.path.abspath("provenance"))
        except ProvWorkerError as error:
            log.warning("recording is off: %s", error)
            provenance = None
        endpoint_id = None
    if provenance is None or (provenance["settings"].get("capture") or {}).get(library) is False:
        return None, None
    # a step of a library waits for nothing: the result that waits for its crate is that of the task
    settings = {name: value for name, value in provenance["settings"].items() if name != "write"}
    return {**provenance, "settings": settings, "key": f"{provenance['key']}-{library}"}, endpoint_id
