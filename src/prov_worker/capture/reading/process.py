"""The process that reads foreign stores for the agent: one request, one answer, each a file in a private directory.

The request is ``{"<library>": <what its reader takes>, …}``, the answer a :class:`~prov_worker.training.Training`.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from prov_worker.capture import CAPTURES
from prov_worker.spool.own_files import open_own, read_own
from prov_worker.training import Training

#: Most memory that the process may take: a store of any size must not starve the tasks.
_MEMORY_BYTES = 2 << 30


def serve(request: str, answer: str) -> None:
    """Read what a request names and write the answer, whole or not at all.

    Args:
        request: path of the request.
        answer: path of the answer.
    """
    training = Training()
    for library, wanted in json.loads(read_own(request)).items():
        try:
            training.add(CAPTURES[library].read(wanted))
        except Exception as error:  # a store may hold anything: what one library stored must not hide the others'
            training.absent.append(f"{library}: not read: {type(error).__name__}: {error}")
    descriptor = open_own(f"{answer}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    with open(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
        json.dump(training.to_dict(), file)
    Path(f"{answer}.new").rename(answer)


def main() -> None:
    """Answer the request that the command line names, with little priority and bounded memory."""
    import resource

    os.nice(5)
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = _MEMORY_BYTES if hard == resource.RLIM_INFINITY else min(hard, _MEMORY_BYTES)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    serve(*sys.argv[1:3])


if __name__ == "__main__":
    main()
