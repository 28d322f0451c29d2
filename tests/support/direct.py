"""Workers without an engine: subprocesses that call the recording helper, which is all that an engine would do."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prov_worker.recorder.provenance import provenance_mapping
from prov_worker.settings import Settings

TESTS = Path(__file__).parents[1]
ENDPOINT = "11111111-2222-4333-8444-555555555555"


@dataclass
class Call:
    """One task: a function of :mod:`support.calls` or :mod:`support.annotating_calls` by name."""

    function: str
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    task: str = field(default_factory=lambda: str(uuid.uuid4()))
    attempt: int = 1
    text_id: bool = False
    strategy: str | None = None
    body: bytes | None = None


def provenance(crates: Path, **settings: Any) -> dict[str, Any]:
    """What an engine sends with a task; hardware is not probed and nothing is plotted unless a test asks for it."""
    chosen = {"probes": ["cpu"], "plots": "none", **settings}
    return provenance_mapping(Settings.from_mapping(chosen), str(crates), ENDPOINT, "faulty")


class DirectWorker:
    """A worker process and the results that it left.

    Args:
        tmp_path: where plan, working directory, log and results go.
        calls: what it runs, one after the other.
        crates: the crate directory.
        settings: of :class:`~prov_worker.settings.Settings`.
        environment: variables for the process, over those of the test.
        threads: so many threads share the calls; 0 runs them in the main thread.
        catch: go on after an exception that left the helper.
        linger: live on, idle, until this file exists.
        await_agent: wait for an agent after the first call: a busy machine takes seconds to start one, and what runs
            meanwhile has no samples.
        results_at_end: keep results until all calls are done.
        options: more keyword arguments for the helper.
        prefix: program and arguments to start the interpreter by.
        python: the interpreter; that of a container has another path.
    """

    def __init__(
        self,
        tmp_path: Path,
        calls: Sequence[Call],
        crates: Path,
        *,
        settings: Mapping[str, Any] | None = None,
        environment: Mapping[str, str] | None = None,
        threads: int = 0,
        catch: bool = True,
        linger: Path | None = None,
        await_agent: bool = False,
        results_at_end: bool = False,
        options: Mapping[str, Any] | None = None,
        prefix: Sequence[str] = (),
        python: str = sys.executable,
        **popen: Any,
    ) -> None:
        self.calls = list(calls)
        self.crates = crates
        self.folder = tmp_path / f"worker-{uuid.uuid4().hex[:8]}"
        self.results = self.folder / "results"
        self.results.mkdir(parents=True)
        self.folder.chmod(0o777)
        self.results.chmod(0o777)
        work = self.folder / "work"
        work.mkdir()
        work.chmod(0o777)
        plan = {
            "calls": [vars(call) for call in self.calls],
            "results": str(self.results),
            "run_dir": str(work),
            "endpoint": ENDPOINT,
            "provenance": provenance(crates, **(settings or {})),
            "threads": threads,
            "catch": catch,
            "at_end": results_at_end,
            "linger": None if linger is None else str(linger),
            "await_agent": str(crates) if await_agent else None,
            "options": dict(options or {}),
        }
        self.work = work
        (self.folder / "plan").write_bytes(pickle.dumps(plan))
        inherited = os.environ.get("PYTHONPATH", "")
        path = os.pathsep.join(filter(None, [str(TESTS.parent / "src"), str(TESTS), inherited]))
        self.log = self.folder / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*prefix, python, "-m", "support.worker", str(self.folder / "plan")],
                env={**os.environ, "PYTHONPATH": path, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                **popen,
            )
        self.pid = self.process.pid

    def wait(self, limit_s: float = 180.0) -> int:
        """Wait status of the process as :meth:`subprocess.Popen.wait` gives it."""
        return self.process.wait(limit_s)

    def text(self) -> str:
        """What the process wrote to its standard streams."""
        return self.log.read_text(errors="replace")

    def raw(self, number: int) -> bytes | None:
        """Packed result of a call; None where there is none."""
        path = self.results / str(number)
        return path.read_bytes() if path.exists() else None

    def escaped(self, number: int) -> str | None:
        """Traceback of what left the helper instead of a result; None where nothing did."""
        path = self.results / f"{number}.escaped"
        return path.read_text() if path.exists() else None

    def message(self, number: int) -> Any:
        """The unpacked ``Result``."""
        from globus_compute_common import messagepack

        data = self.raw(number)
        assert data is not None, f"call {number} has no result:\n{self.text()}\n{self.escaped(number)}"
        return messagepack.unpack(data)

    def value(self, number: int) -> Any:
        """What the function returned."""
        from globus_compute_sdk.serialize import ComputeSerializer

        message = self.message(number)
        assert not message.is_error, message.data
        return ComputeSerializer().deserialize(message.data)

    def stop(self) -> None:
        """End the process if it still runs."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


#: What the fixture ``start`` gives: begins a worker with these calls and options.
Start = Callable[..., DirectWorker]
