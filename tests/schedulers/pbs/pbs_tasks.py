"""Functions that these tests send to workers; each imports what it needs."""

from __future__ import annotations


def meet(directory: str, name: int, count: int) -> str | None:
    """Wait until as many tasks are here, so that each has a worker of its own; its rank."""
    import os
    import time
    from pathlib import Path

    place = Path(directory)
    place.mkdir(parents=True, exist_ok=True)
    (place / str(name)).touch()
    until = time.monotonic() + 180
    while len(list(place.iterdir())) < count:
        if time.monotonic() > until:
            raise TimeoutError(f"alone with {sorted(path.name for path in place.iterdir())}")
        time.sleep(0.05)
    return os.environ.get("PARSL_WORKER_RANK")


def stay(marker: str) -> None:
    """Say that it runs, and go on."""
    import time
    from pathlib import Path

    Path(marker).touch()
    time.sleep(600)
