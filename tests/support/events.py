"""Event logs that tests make themselves, and what came of them in a sink."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

from prov_worker.spool.event_log import EventLog, event_dir
from prov_worker.spool.paths import spool_dir

PLACE = "0123456789ab"
START = "2026-11-29T10:00:00.000000001Z"


class Story:
    """Events of made-up tasks in the spool of a crate directory.

    Args:
        crates: the directory; made if it is missing.
        place: that tells them.
    """

    def __init__(self, crates: Path, place: str = PLACE) -> None:
        crates.mkdir(exist_ok=True)
        self.crates = crates
        self.directory = Path(event_dir(spool_dir(str(crates))))
        self.log = EventLog(str(self.directory), place)
        self.tasks: list[str] = []

    def tell(self, count: int, **data: Any) -> list[str]:
        """Tell of tasks that began, ended and have crates: three events each; return their ids."""
        tasks = [str(uuid.uuid4()) for _ in range(count)]
        for task in tasks:
            fields = {"task_id": task, "attempt": 1, "start": START, "function": "f", "host": "h", **data}
            self.log.add("task.started", task, {**fields, "status": "running"})
            self.log.add("task.ended", task, {**fields, "status": "completed", "wall_s": 0.5})
            self.log.add("crate.published", task, {**fields, "status": "completed", "crate": f"{task}.crate"})
            self.log.flush()
        self.tasks += tasks
        return tasks

    def close(self) -> None:
        """End the log, as an agent that leaves does."""
        self.log.close()
