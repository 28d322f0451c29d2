"""What all benchmarks share: fresh processes, scratch directories, the agent beside them, and numbers."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.rows import Row, Target
from benchmarks.trees import BASELINE, ROOT, THIS, Tree, baseline

CACHE = ROOT / ".cache" / "benchmarks"
_LIMIT_S = 900.0


class BenchmarkError(Exception):
    """A benchmark that could not be run; the message says why."""


@dataclass(slots=True)
class Bench:
    """One run of the benchmarks.

    Attributes:
        quick: few repetitions: shows that everything works, not how fast.
        peers: also measure other systems.
        disk, memory: scratch directories on a disk and in memory, removed at the end.
        say: shows what is going on.
        earlier: the earlier commit that figures are compared with; None if it is not to be had.
    """

    quick: bool
    peers: bool
    disk: Path
    memory: Path
    say: Callable[[str], None]
    earlier: Tree | None = None

    @property
    def trees(self) -> list[Tree]:
        """This tree, and the earlier one if there is one."""
        return [THIS] if self.earlier is None else [THIS, self.earlier]

    def turns(self, count: int) -> Iterator[Tree]:
        """The trees by turns, each so many times, in an order that changes, so that a drift meets both."""
        for number in range(count):
            yield from reversed(self.trees) if number % 2 else self.trees

    def against(self, row: Row, earlier: float | None, target: Target | None = None) -> Row:
        """Return the row of a figure beside that of the earlier commit in the same run.

        Args:
            row: of this tree.
            earlier: the figure of the earlier commit; not used if there is none.
            target: of the ratio.
        """
        name = f"{row.name}, against {BASELINE}"
        if self.earlier is None or earlier is None:
            return Row(name, None, row.unit, note=f"not measured: the history has no {BASELINE}")
        return Row(name, row.value, row.unit, earlier, target, row.n, note=f"stock is {BASELINE}, measured by turns")

    def pick(self, full: int, quick: int) -> int:
        """A number of repetitions."""
        return quick if self.quick else full

    def crate_dir(self, memory: bool = False) -> str:
        """A new, empty directory for crates."""
        return tempfile.mkdtemp(prefix="crates-", dir=self.memory if memory else self.disk)


@contextlib.contextmanager
def scratch(
    quick: bool, peers: bool, say: Callable[[str], None], warn: Callable[[str], None] = print
) -> Iterator[Bench]:
    """A run with scratch directories; ``warn`` says what cannot be measured."""
    CACHE.mkdir(parents=True, exist_ok=True)
    shm = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with (
        tempfile.TemporaryDirectory(prefix="scratch-", dir=CACHE, ignore_cleanup_errors=True) as disk,
        tempfile.TemporaryDirectory(prefix="prov-bench-", dir=shm, ignore_cleanup_errors=True) as memory,
    ):
        earlier = baseline(Path(disk) / BASELINE)
        if isinstance(earlier, str):
            warn(f"WARNING: {earlier}")
        yield Bench(quick, peers, Path(disk), Path(memory), say, None if isinstance(earlier, str) else earlier)


# -- fresh processes -------------------------------------------------------------------------------------------------


def environment(tree: Tree = THIS) -> dict[str, str]:
    """Environment of child processes: they find a tree's package, and nothing switches recording on for them."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PROV_WORKER")}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package has its byte code
    entries = [part for part in kept.get("PYTHONPATH", "").split(os.pathsep) if part]
    kept["PYTHONPATH"] = os.pathsep.join(dict.fromkeys([str(ROOT), str(tree.source), *entries]))
    return kept


def fresh(
    target: str, *, python: str = sys.executable, limit_s: float = _LIMIT_S, tree: Tree = THIS, **arguments: Any
) -> Any:
    """Call a function of this package in a new interpreter.

    Args:
        target: ``module:function``.
        python: the interpreter.
        limit_s: patience.
        tree: whose package the process imports.
        arguments: keyword arguments, JSON data.

    Returns:
        What the function returned, JSON data.

    Raises:
        BenchmarkError: the process failed.
    """
    with tempfile.TemporaryDirectory(prefix="prov-bench-call-") as directory:
        answer = Path(directory) / "answer.json"
        command = [python, "-m", "benchmarks.fresh", target, json.dumps(arguments), str(answer)]
        with open(Path(directory) / "output", "w+b") as output:
            process = subprocess.Popen(
                command,
                cwd=directory,
                env=environment(tree),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                status = process.wait(limit_s)
            except BaseException as error:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                if isinstance(error, subprocess.TimeoutExpired):
                    raise BenchmarkError(f"{target} did not end within {limit_s:g} s") from None
                raise
            if status != 0 or not answer.exists():
                output.seek(0)
                last = output.read().decode(errors="replace").strip()[-2000:]
                raise BenchmarkError(f"{target} failed with status {status}:\n{last}")
        return json.loads(answer.read_text())


@contextlib.contextmanager
def beside(target: str, **arguments: Any) -> Iterator[Future[Any]]:
    """As :func:`fresh`, while the body runs; then waits for the end.

    Raises:
        BenchmarkError: the process failed.
    """
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(fresh, target, **arguments)
        yield future
        future.result()


# -- the agent -------------------------------------------------------------------------------------------------------


def provenance(crate_dir: str, **settings: Any) -> dict[str, Any]:
    """What an engine sends along with a task."""
    from prov_worker.settings import Settings

    try:
        from prov_worker.recorder.provenance import provenance_mapping
    except ImportError:  # the earlier tree has it elsewhere, and the directory among the settings
        earlier: Any = importlib.import_module("prov_worker.globus.environ")
        mapping = earlier.provenance_mapping(Settings.from_mapping({"crate_dir": crate_dir, **settings}), None)
    else:
        mapping = provenance_mapping(Settings.from_mapping(settings), crate_dir)
    return {**mapping, "attempt": 1, "function_id": "5ca1ab1e-0000-4000-8000-000000000000"}


@dataclass(frozen=True, slots=True)
class Agent:
    """A running agent: ids of its processes, that of the sampler first, and its runtime directory."""

    pids: tuple[int, ...]
    runtime: str

    @property
    def sampler(self) -> int:
        """The process that samples, and starts and ends the others."""
        return self.pids[0]


def agent_of(crate_dir: str, timeout_s: float = 20.0) -> Agent:
    """The agent that serves a crate directory, once it is there.

    Raises:
        BenchmarkError: there is none.
    """
    from prov_worker.spool.paths import runtime_dir

    runtime = runtime_dir(crate_dir)
    until = time.monotonic() + timeout_s
    while time.monotonic() < until:
        with contextlib.suppress(OSError, ValueError, KeyError):
            with open(os.path.join(runtime, "agent.json")) as file:
                about = json.load(file)
            return Agent((about["pid"], *_descendants(about["pid"])), runtime)
        time.sleep(0.01)
    raise BenchmarkError(f"no agent serves {crate_dir} after {timeout_s:g} s")


def _descendants(pid: int) -> list[int]:
    """Processes that a process has started, and those that they have."""
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        children = [int(child) for child in file.read().split()]
    return [*children, *(pid for child in children for pid in _descendants(child))]


@contextlib.contextmanager
def live_agent(crate_dir: str, tree: Tree = THIS) -> Iterator[Agent]:
    """Start a tree's agent for a crate directory as a worker would; end it afterwards."""
    from prov_worker.spool.paths import runtime_dir

    fresh("prov_worker.spool.launch:ensure_agent", tree=tree, runtime=runtime_dir(crate_dir), crate_dir=crate_dir)
    try:
        yield agent_of(crate_dir)
    finally:
        end_agent(crate_dir)


def end_agent(crate_dir: str, timeout_s: float = 60.0) -> None:
    """Ask the agent of a crate directory to finish, wait for that, and remove its runtime directory."""
    from prov_worker.spool.launch import agent_lives
    from prov_worker.spool.paths import runtime_dir

    runtime = runtime_dir(crate_dir)
    until = time.monotonic() + timeout_s
    while agent_lives(runtime) and time.monotonic() < until:
        with contextlib.suppress(BenchmarkError, ProcessLookupError):
            os.kill(agent_of(crate_dir, 1.0).sampler, signal.SIGTERM)
        time.sleep(0.1)
    shutil.rmtree(runtime, ignore_errors=True)


@contextlib.contextmanager
def no_agent(crate_dir: str) -> Iterator[str]:
    """Hold the agent's place, so that none starts: records stay in the journals. Gives the runtime directory."""
    import fcntl

    from prov_worker.spool.launch import LOCK
    from prov_worker.spool.paths import runtime_dir

    runtime = runtime_dir(crate_dir)
    fd = os.open(os.path.join(runtime, LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield runtime
    finally:
        os.close(fd)


def crates_in(crate_dir: str) -> int:
    """Number of crates in a directory."""
    with os.scandir(crate_dir) as entries:
        return sum(entry.name.endswith(".crate") for entry in entries)


def await_crates(crate_dir: str, count: int, timeout_s: float = 120.0) -> int:
    """Wait until there are so many crates, or for a time; gives their number."""
    until = time.monotonic() + timeout_s
    while (present := crates_in(crate_dir)) < count and time.monotonic() < until:
        time.sleep(0.05)
    return present


# -- processes from outside ------------------------------------------------------------------------------------------


def cpu_ns(pid: int) -> int:
    """CPU time of another process (clock_getcpuclockid(3))."""
    return time.clock_gettime_ns((~pid << 3) | 2)


def memory_bytes(pid: int) -> dict[str, int]:
    """``rss``, ``pss`` and ``private`` bytes of a process (proc(5), smaps_rollup); the last ones 0 if not there."""
    sizes = {"rss": 0, "pss": 0, "private": 0}
    names = {"Rss:": "rss", "Pss:": "pss", "Private_Clean:": "private", "Private_Dirty:": "private"}
    with open(f"/proc/{pid}/smaps_rollup") as file:
        for line in file:
            fields = line.split()
            if fields[0] in names:
                sizes[names[fields[0]]] += int(fields[1]) * 1024
    return sizes


def status_kb(field: str) -> int:
    """A field of ``/proc/self/status``, such as ``VmHWM``, kB."""
    with open("/proc/self/status") as file:
        for line in file:
            if line.startswith(field + ":"):
                return int(line.split()[1])
    raise BenchmarkError(f"/proc/self/status has no {field}")


# -- numbers ---------------------------------------------------------------------------------------------------------


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which a share of all lie, interpolated (Hyndman and Fan's type 7).

    Raises:
        BenchmarkError: there are none.
    """
    if not values:
        raise BenchmarkError("nothing was measured in the time that there was")
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def quartiles(values: Sequence[float]) -> dict[str, float]:
    """``low`` and ``high`` of a :class:`~benchmarks.rows.Row`."""
    return {"low": quantile(values, 0.25), "high": quantile(values, 0.75)}


def median(values: Sequence[float]) -> float:
    """The median."""
    return statistics.median(values)


def alternate(call: Callable[[], float], other: Callable[[], float], pairs: int) -> tuple[list[float], list[float]]:
    """Results of two measurements, taken in pairs whose order changes each time, so that a drift meets both."""
    first: list[float] = []
    second: list[float] = []
    for number in range(pairs):
        if number % 2:
            second.append(other())
            first.append(call())
        else:
            first.append(call())
            second.append(other())
    return first, second
