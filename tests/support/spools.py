"""Crate directories whose journals and slots are written by a test, and the lines of such journals."""

from __future__ import annotations

import json
import os
import time
import uuid
from pathlib import Path
from typing import Any

from prov_worker.agent.finaliser import Finaliser
from prov_worker.agent.publisher import Publisher
from prov_worker.crate.reader import StepCrate
from prov_worker.crate.sources import find_crates
from prov_worker.model import host_name
from prov_worker.spool.paths import JournalName, place_of, runtime_dir, spool_dir
from prov_worker.spool.slot import Slot

ELSEWHERE = "0123456789ab"
NOW = 1_795_000_000_000_000_000


class Spool:
    """A crate directory whose journals and slots are written by the test."""

    def __init__(self, crates: Path) -> None:
        crates.mkdir()
        self.crates = crates
        self.runtime = runtime_dir(str(crates))
        self.settings = {"crate_dir": str(crates), "probes": [], "plots": "none"}

    def journal(
        self,
        *lines: dict[str, Any],
        pid: int = 2**22,
        start: int = 7,
        host: str | None = None,
        thread: int | None = None,
        place: str | None = None,
    ) -> str:
        place = place_of(self.runtime) if place is None else place
        name = JournalName(host or host_name(), pid, start, thread, place)
        path = Path(spool_dir(str(self.crates)), str(name))
        path.parent.mkdir(exist_ok=True)
        worker = {"t": "worker", "v": 1, "host": name.host, "place": place, "pid": pid, "settings": self.settings}
        function = {"t": "function", "k": 1, "name": "f", "module": "m"}
        path.write_bytes(
            b"".join(json.dumps(line, separators=(",", ":")).encode() + b"\n" for line in (worker, function, *lines))
        )
        return str(path)

    def engine(self, *lines: dict[str, Any]) -> str:
        """A journal of an engine's process."""
        return self.journal(*lines, pid=2**22 - 1, start=3, thread=0)

    def slot(self, journal: str, pid: int = 2**22, start: int = 7) -> Slot:
        return Slot(os.path.join(self.runtime, f"slot.{pid}"), pid, 0, start, 0.05, journal)

    def finaliser(self) -> Finaliser:
        return Finaliser(self.runtime, Publisher(str(self.crates)), finaliser="test")

    def names(self) -> list[str]:
        return [path.name for path in find_crates(self.crates)]

    def crate(self, task: str) -> StepCrate:
        return StepCrate.open(self.crates / f"{task}.crate")


def new_task() -> str:
    return str(uuid.uuid4())


def start(task: str, attempt: int = 1, ns: int = NOW, **more: Any) -> dict[str, Any]:
    return {"t": "start", "task": task, "n": attempt, "ns": ns, "k": 1, **more}


def end(task: str, attempt: int = 1, ns: int = NOW, **more: Any) -> dict[str, Any]:
    return {"t": "end", "task": task, "n": attempt, "ns": ns, "m": 1000, "dur": 10**9, "ok": 1, **more}


def lost(task: str, attempt: int = 1) -> dict[str, Any]:
    error = {"kind": "lost", "message": "WorkerLost: gone", "type": "parsl.WorkerLost", "traceback": None}
    return {"t": "lost", "task": task, "n": attempt, "ns": NOW, "end": NOW + 10**9, "fid": None, "err": error}


def finish(finaliser: Finaliser) -> None:
    finaliser.finish()
    for _ in range(50):
        if not finaliser.work(time.monotonic() + 1) and not finaliser.outstanding:
            break
    finaliser.close()
