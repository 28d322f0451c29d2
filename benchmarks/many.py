"""Very many no-ops, written into packs by the writer: how append, index, query and report grow with their number.

``python -m benchmarks --only many`` goes to 100,000. By hand, with 10 GB free and half an hour:
``python -m benchmarks.many --upto 1000000``, which also draws ``benchmarks/results/many.png``.
"""

from __future__ import annotations

import json
import shutil
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import click

from benchmarks.assemble import NODES, answer
from benchmarks.harness import Bench, BenchmarkError, fresh, scratch
from benchmarks.rows import Row, Target, significant

COUNTS = (1_000, 3_000, 10_000, 30_000, 60_000, 100_000, 300_000, 1_000_000)
_START_NS = 1_790_000_000_000_000_000
_MILLISECOND = 1_000_000
_FAILS = 500
_HERE = Path(__file__).resolve().parent


def run(bench: Bench) -> list[Row]:
    """Packs that grow from step to step, and what reads them."""
    return grow(bench, 400 if bench.quick else 100_000)


def grow(bench: Bench, upto: int) -> list[Row]:
    """Append no-ops up to some number, and measure at each number on the way.

    Raises:
        BenchmarkError: a reader sees another number of attempts.
    """
    directory = Path(bench.crate_dir())
    crates, index, page = (str(directory / name) for name in ("crates", "crates.index", "page.html"))
    rows: list[Row] = []
    done, appended_s, appended_cpu_s = 0, 0.0, 0.0
    for count in [number for number in (200, *COUNTS) if number < upto and (number > 200 or upto <= 1000)] + [upto]:
        bench.say(f"appending no-ops up to {count:,}")
        result = fresh("benchmarks.many:appended", limit_s=7200, crate_dir=crates, first=done, end=count)
        appended_s, appended_cpu_s = appended_s + result["wall_s"], appended_cpu_s + result["cpu_s"]
        done = count
        size = sum(path.stat().st_size for path in Path(crates).iterdir() if path.is_file())
        rows.append(Row(f"append {count:,} no-ops to packs", appended_s, "s", note=f"{size / count:.0f} B each"))
        rows.append(Row(f"CPU time to append {count:,} no-ops to packs", appended_cpu_s, "s"))
        shutil.rmtree(index, ignore_errors=True)
        for name, function, output, target in (
            ("index", "benchmarks.packs:indexed", index, None),
            ("query", "benchmarks.many:queried", index, Target(1)),
            ("report", "benchmarks.many:reported", page, None),
        ):
            bench.say(f"{name} of {count:,} no-ops")
            result = fresh(function, limit_s=7200, crate_dir=crates, output=output)
            if result["found"] != count:
                raise BenchmarkError(f"{name}: {result['found']} of {count} attempts")
            rows.append(Row(f"{name} of {count:,} no-ops", result["wall_s"], "s", target=target))
            note = "of all processes, with their starts"
            rows.append(Row(f"CPU time for the {name} of {count:,} no-ops", result["cpu_s"], "s", note=note))
            rows.append(Row(f"memory for the {name} of {count:,} no-ops", result["peak_bytes"] / 1e6, "MB"))
        size_mb = Path(page).stat().st_size / 1e6
        rows.append(Row(f"page about {count:,} no-ops", size_mb, "MB", target=Target(10) if count >= 50_000 else None))
    shutil.rmtree(directory)
    return rows


def draw(rows: list[Row], path: Path) -> None:
    """Draw CPU time against number, beside a line that grows in proportion; a query's is time as it passes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.0), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for name in ("append", "index", "report", "query"):
        start = (
            "query of" if name == "query" else "CPU time to append" if name == "append" else f"CPU time for the {name}"
        )
        points = [
            (int(next(word for word in row.name.split() if word[0].isdigit()).replace(",", "")), row.value)
            for row in rows
            if row.name.startswith(start) and row.value is not None
        ]
        axes.plot(
            [x for x, _ in points], [y for _, y in points], "o-", label=f"{name}, time" if name == "query" else name
        )
        if name == "append":
            (x, y), (end, _) = points[0], points[-1]
            axes.plot([x, end], [y, y * end / x], "--", color="0.5", label="in proportion")
    axes.set(xscale="log", yscale="log", xlabel="no-ops in packs", ylabel="CPU time (s)")
    axes.grid(visible=True, which="major", alpha=0.3)
    axes.legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


# -- in fresh processes ----------------------------------------------------------------------------------------------


def appended(crate_dir: str, first: int, end: int) -> dict[str, float]:
    """Append the crates of no-ops with the real writer."""
    from prov_worker.crate.packs.packs import Packs
    from prov_worker.crate.writer import CrateWriter
    from prov_worker.model import (
        COMPLETED,
        FAILED,
        Failure,
        Function,
        HardwareSnapshot,
        ProbeReport,
        TaskRecord,
        Usage,
        Value,
        Worker,
    )
    from prov_worker.settings import Settings

    probes = {
        "cpu": ProbeReport("cpu", True, 0.01, {"model": "EPYC 7543P", "logical": 64}),
        "memory": ProbeReport("memory", True, 0.01, {"total_bytes": 512 << 30}),
    }
    hosts = [f"node{number:02d}" for number in range(NODES)]
    writers = [CrateWriter(HardwareSnapshot(host, _START_NS, probes), Settings(), "bench") for host in hosts]
    Path(crate_dir).mkdir(exist_ok=True)
    packs = Packs(Path(crate_dir))
    function = Function("noop", "workflow", sha256="0" * 64)
    endpoint_id, none = "e8c8b86f-a6fb-4c5b-9bc0-45423336f0c5", Value("return", "NoneType")
    began = time.perf_counter()
    for number in range(first, end):
        start_ns = _START_NS + number * _MILLISECOND
        failed = number % _FAILS == 0
        record = TaskRecord(
            str(uuid.UUID(int=number, version=4)),
            1,
            FAILED if failed else COMPLETED,
            start_ns,
            start_ns + _MILLISECOND // 2 + number % 977 * 1000,
            function,
            Worker(hosts[number % NODES], 4000 + number % 32, rank=str(number % 32), cpu_affinity=[0, 1]),
            endpoint_id=endpoint_id,
            result=None if failed else none,
            failure=Failure("exception", "not yet", "OSError", "Traceback\nOSError: not yet\n") if failed else None,
            usage=Usage(cpu_user_s=0.0002, peak_rss_bytes=(100 << 20) + number % 1009 * 4096),
        )
        writers[number % NODES].append(record, None, None, packs)
    packs.close()
    return answer(end - first, began)


def queried(crate_dir: str, output: str) -> dict[str, float]:
    """Open an index and ask it for failed tasks, the slowest first; the number of all attempts."""
    from prov_worker.run.index.query import Index
    from prov_worker.run.selection import Filters

    began = time.perf_counter()
    with Index(Path(output)) as opened:
        failed = list(opened.ask(Filters(status="failed"), ["task_id", "wall_s", "error"], ["-wall_s"], 20).rows)
        took = answer(len(failed), began)
        ((count,),) = opened.sql("SELECT count(*) FROM tasks").rows
    return {**took, "found": count}


def reported(crate_dir: str, output: str) -> dict[str, float]:
    """Write the page."""
    from prov_worker.run.api import open_run
    from prov_worker.run.report.page import write_report

    began = time.perf_counter()
    _, summary = write_report(open_run(crate_dir), Path(output))
    return answer(summary.attempts, began)


@click.command()
@click.option("--upto", type=click.IntRange(min=1), default=1_000_000, show_default=True, help="Number of no-ops.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=_HERE / "results")
def main(upto: int, out: Path) -> None:
    """Measure at growing numbers of no-ops; write the rows and the plot."""
    from benchmarks.machine import describe, load

    say: Callable[[str], None] = lambda text: click.echo(text, err=True)  # noqa: E731
    machine = describe(quick=False)
    with scratch(quick=False, peers=False, say=say) as bench:
        rows = grow(bench, upto)
    machine["load_after"] = load()
    out.mkdir(parents=True, exist_ok=True)
    for name, data in (("many.json", [row.to_dict() for row in rows]), ("many.machine.json", machine)):
        (out / name).write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n")
    draw(rows, out / "many.png")
    for row in rows:
        click.echo(f"{row.name}: {'' if row.value is None else significant(row.value)} {row.unit}  {row.note}")


if __name__ == "__main__":
    main()
