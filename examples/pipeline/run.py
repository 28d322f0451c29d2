"""A whole run, from an archive to a page about it: 226 tasks in four stages, with failures and retries.

    python examples/pipeline/run.py OUT                     on workers of this machine; needs no account
    python examples/pipeline/run.py OUT --endpoint ID --crates DIR
                                                            on an endpoint that sees OUT; DIR is where its crates appear

What goes wrong on purpose: one member of the archive was damaged on its way, its task fails, and it is fetched again
from another copy; two workers are lost in the middle of a fit, and the engine tries again; a decade with one value is
too short for a fit, and those tasks fail.
"""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import sys
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import stages

from prov_worker.cli import main as command_line
from prov_worker.cli.common.terminal import progress

HERE = Path(__file__).resolve().parent
ARCHIVE = HERE / "archive.zip"
DAMAGED = "elnino/1990.csv"
LOST = {("co2/1980.csv", "cycle"), ("sunspots/1850.csv", "trend")}
MODELS = ("trend", "cycle")
CRATES_TIMEOUT_S = 60.0
Submit = Callable[..., "Future[Any]"]


class Pipeline:
    """Sends the tasks of one run, each as soon as what it needs is there.

    Attributes:
        futures: of all tasks, in the order in which they were sent, with the stage of each.
    """

    def __init__(self, submit: Submit, work: Path, draws: int, workers_may_be_lost: bool) -> None:
        self._submit = submit
        self._work = work
        self._draws = draws
        self._lossy = workers_may_be_lost
        self._then: dict[Future[Any], Callable[[Future[Any]], None]] = {}
        self._fits: dict[str, list[str]] = {}
        self.futures: list[tuple[str, Future[Any]]] = []

    def run(self, advance: Callable[[int, int], None]) -> None:
        """Run all four stages; ``advance`` is called for tasks that ended, and for those sent."""
        archive = self._work / "archive.zip"
        damaged_copy(ARCHIVE, archive, DAMAGED)
        with zipfile.ZipFile(ARCHIVE) as opened:
            members = opened.namelist()
        for member in members:
            self._fetch(archive, member)
        self._drain(advance)
        tables = []
        for series, fits in sorted(self._fits.items()):
            tables.append(str(self._work / "tables" / f"{series}.csv"))
            self._send("merge", lambda _: None, sorted(fits), tables[-1])
        self._drain(advance)
        self._send(
            "merge", lambda _: None, tables, str(self._work / "tables/all.csv"), str(self._work / "tables/trends.svg")
        )
        self._drain(advance)

    def _send(self, stage: str, then: Callable[[Future[Any]], None], *args: Any) -> None:
        future = self._submit(getattr(stages, stage), *args)
        self.futures.append((stage, future))
        self._then[future] = then

    def _drain(self, advance: Callable[[int, int], None]) -> None:
        while self._then:
            done, _ = wait(self._then, return_when=FIRST_COMPLETED)
            for future in done:
                self._then.pop(future)(future)
            advance(len(done), len(self.futures))

    def _fetch(self, archive: Path, member: str) -> None:
        target = self._work / "raw" / member

        def fetched(future: Future[Any]) -> None:
            if future.exception() is None:
                self._transform(member, target)
            elif archive != ARCHIVE:
                self._fetch(ARCHIVE, member)

        self._send("fetch", fetched, str(archive), member, str(target))

    def _transform(self, member: str, source: Path) -> None:
        target = self._work / "clean" / member

        def transformed(future: Future[Any]) -> None:
            if future.exception() is None:
                for model in MODELS:
                    self._fit(member, model, target)

        self._send("transform", transformed, str(source), str(target))

    def _fit(self, member: str, model: str, source: Path) -> None:
        target = str(self._work / "fits" / Path(member).with_suffix(f".{model}.json"))
        lost = self._lossy and (member, model) in LOST
        marker = str(self._work / f"lost-{model}") if lost else None

        def fitted(future: Future[Any]) -> None:
            if future.exception() is None:
                self._fits.setdefault(member.split("/")[0], []).append(target)

        seed = sum(member.encode())
        self._send("fit", fitted, str(source), model, target, seed, self._draws, marker)


def damaged_copy(source: Path, target: Path, member: str) -> None:
    """Copy an archive, with one byte of one member changed, as a bad disk or a bad line does."""
    data = bytearray(source.read_bytes())
    with zipfile.ZipFile(source) as opened:
        at = opened.getinfo(member).header_offset
    name, extra = (int.from_bytes(data[at + offset : at + offset + 2], "little") for offset in (26, 28))
    data[at + 30 + name + extra + 40] ^= 0xFF
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)


def by_source() -> Any:
    """Send functions as their source: workers cannot import ``stages``."""
    from globus_compute_sdk.serialize import CombinedCode, ComputeSerializer

    return ComputeSerializer(strategy_code=CombinedCode())


@contextmanager
def on_this_machine(crates: Path, workers: int) -> Iterator[Submit]:
    """An endpoint inside this process: real engine, real workers, no account."""
    from prov_worker.globus.embedded import EmbeddedEndpoint

    settings = {"crate_dir": str(crates), "capture_arguments": "values"}
    with EmbeddedEndpoint(workers=workers, provenance=settings, max_retries=1, serializer=by_source()) as endpoint:
        yield endpoint.submit


@contextmanager
def on_an_endpoint(endpoint_id: str) -> Iterator[Submit]:
    """Any endpoint whose template says ``ProvenanceEngine``."""
    from globus_compute_sdk import Executor

    with Executor(endpoint_id=endpoint_id, serializer=by_source()) as executor:
        yield executor.submit


def await_crates(crates: Path, task_ids: list[str]) -> list[str]:
    """Wait until every task has its crate. Returns the tasks that have none."""
    deadline = time.monotonic() + CRATES_TIMEOUT_S
    missing = task_ids
    while missing and time.monotonic() < deadline:
        missing = [task_id for task_id in missing if not (crates / f"{task_id}.crate").is_dir()]
        time.sleep(0.1 if missing else 0)
    return missing


def verb(*arguments: object) -> int:
    """Run a command of prov-worker here, and show how it would be typed; what it says goes to stderr."""
    command = [str(argument) for argument in arguments]
    print(f"$ prov-worker {shlex.join(command)}", file=sys.stderr, flush=True)
    with redirect_stdout(sys.stderr):
        return command_line.run(command)


def main() -> int:
    """Run the pipeline, and make a run crate, an index and a page of its crates."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, metavar="OUT", help="directory for data, crates and results; must be new")
    parser.add_argument("--workers", type=int, default=4, help="workers on this machine (default: 4)")
    parser.add_argument("--draws", type=int, default=3000, help="bootstrap samples of each fit (default: 3000)")
    parser.add_argument("--endpoint", metavar="ID", help="run on this endpoint instead, which sees OUT")
    parser.add_argument("--crates", type=Path, metavar="DIR", help="with --endpoint: where its crates appear")
    parser.add_argument("--no-profile", action="store_true", help="check the crates without roc-validator")
    parser.add_argument("--json", action="store_true", help="the summary, as JSON")
    options = parser.parse_args()
    if options.endpoint and not options.crates:
        parser.error("--endpoint needs --crates: where the endpoint's crates appear")
    if options.workers < 1 or options.draws < 40:
        parser.error("at least one worker, and 40 draws")
    out = options.out.absolute()
    if out.exists() and any(out.iterdir()):
        parser.error(f"{out} is not empty")
    out.mkdir(parents=True, exist_ok=True)
    crates = options.crates.absolute() if options.crates else out / "crates"

    begin = time.monotonic()
    where = on_an_endpoint(options.endpoint) if options.endpoint else on_this_machine(crates, options.workers)
    with where as submit, progress("tasks", None) as bar:
        pipeline = Pipeline(submit, out / "data", options.draws, workers_may_be_lost=not options.endpoint)
        pipeline.run(lambda done, total: bar(done, total=total))
        ids = [str(getattr(future, "task_id", "")) for _, future in pipeline.futures]
        missing = await_crates(crates, ids)
    took = time.monotonic() - begin

    run = out / "run.crate"
    mine = out / "crates"
    if crates != mine:  # an endpoint's directory may hold other runs' crates
        mine.mkdir()
        for task_id in ids:
            for crate in crates.glob(f"{task_id}*.crate"):
                shutil.copytree(crate, mine / crate.name)
    named = ("--name", "Trends and cycles in four long series")
    codes = [
        verb("run", "assemble", mine, "-o", run, *named, "--workflow", HERE / "flow.json"),
        verb("run", "verify", run),
        verb("check", run, *(["--no-profile"] if options.no_profile else [])),
        verb("run", "index", mine, "-o", out / "index"),
        verb("run", "report", run, "-o", out / "report.html"),
    ]
    failed = [(stage, future) for stage, future in pipeline.futures if future.exception() is not None]
    summary = {
        "tasks": dict(Counter(stage for stage, _ in pipeline.futures)),
        "failed": dict(Counter(stage for stage, _ in failed)),
        "attempts_repeated": sum(1 for _ in mine.glob("*.attempt-*.crate")),
        "without_crate": missing,
        "seconds": round(took, 1),
        "run": str(run),
        "report": str(out / "report.html"),
        "figure": str(out / "data/tables/trends.svg"),
    }
    if options.json:
        print(json.dumps(summary, indent=1))
    else:
        show(summary)
    return 1 if missing or any(codes) else 0


def show(summary: dict[str, Any]) -> None:
    """The summary, for people."""
    print(f"\n{'stage':<12}{'tasks':>7}{'failed':>8}")
    for stage, count in summary["tasks"].items():
        print(f"{stage:<12}{count:>7}{summary['failed'].get(stage, 0):>8}")
    total, failed = sum(summary["tasks"].values()), sum(summary["failed"].values())
    print(f"{'all':<12}{total:>7}{failed:>8}   in {summary['seconds']} s")
    print(f"{summary['attempts_repeated']} attempts were lost with their workers, and repeated by the engine")
    for key in ("run", "report", "figure"):
        print(f"{key:<8}{summary[key]}")


if __name__ == "__main__":
    sys.exit(main())
