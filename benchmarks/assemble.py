"""A run crate and an index from many step crates: time, memory, and how both grow."""

from __future__ import annotations

import hashlib
import pickle
import resource
import shutil
import time
import uuid
from pathlib import Path
from typing import Any

from benchmarks.harness import Bench, BenchmarkError, fresh, median, quartiles
from benchmarks.rows import Row, Target

STAGES = ("fetch", "transform", "fit", "merge")
NODES = 8
#: One task in so many failed at first.
FAILS = 50
_START_NS = 1_790_000_000_000_000_000
_SECOND = 1_000_000_000
_MB = 1_000_000


def run(bench: Bench) -> list[Row]:
    """Assemble, verify, index and ask 1,000 to 100,000 step crates; the targets hold for 10,000."""
    rows: list[Row] = []
    for count in (100, 200) if bench.quick else (1000, 3000, 10_000, 30_000, 100_000):
        rows += _of(bench, count)
    return rows


def _of(bench: Bench, count: int) -> list[Row]:
    directory = Path(bench.crate_dir())
    crates, run_crate, index = (str(directory / name) for name in ("crates", "RUN.crate", "crates.index"))
    bench.say(f"making {count:,} step crates")
    made = fresh("benchmarks.assemble:make", crate_dir=crates, count=count)
    rounds = 3 if count <= 10_000 else 1
    values: dict[str, list[float]] = {}
    for number in range(rounds):
        bench.say(f"assembling, verifying and indexing {count:,} step crates, round {number + 1} of {rounds}")
        for path in (run_crate, index):
            shutil.rmtree(path, ignore_errors=True)
        for name, answer in (
            ("assemble", fresh("benchmarks.assemble:assembled", crate_dir=crates, output=run_crate)),
            ("verify", fresh("benchmarks.assemble:verified", output=run_crate)),
            ("index", fresh("benchmarks.assemble:indexed", crate_dir=crates, output=index)),
            ("index again", fresh("benchmarks.assemble:indexed", crate_dir=crates, output=index)),
            ("ask", fresh("benchmarks.assemble:asked", output=index)),
        ):
            if answer["found"] != made:
                raise BenchmarkError(f"{name}: {answer['found']} of {made} attempts")
            values.setdefault(name, []).append(answer["wall_s"])
            values.setdefault(f"{name}, memory", []).append(answer["peak_bytes"] / _MB)
    shutil.rmtree(directory)
    goal = count == 10_000
    return [
        _row(f"assemble {count:,} step crates", values["assemble"], "s", Target(20) if goal else None),
        _row(
            f"memory to assemble {count:,} step crates", values["assemble, memory"], "MB", Target(500) if goal else None
        ),
        _row(f"verify a run of {count:,} step crates", values["verify"], "s"),
        _row(f"index {count:,} step crates", values["index"], "s", note="one process"),
        _row(f"memory to index {count:,} step crates", values["index, memory"], "MB"),
        _row(f"index {count:,} step crates again, nothing new", values["index again"], "s"),
        _row(f"ask an index of {count:,} step crates", values["ask"], "s", note="failed tasks by function, in SQL"),
    ]


def _row(name: str, values: list[float], unit: str, target: Target | None = None, note: str = "") -> Row:
    return Row(name, median(values), unit, None, target, len(values), **quartiles(values), note=note)


# -- in fresh processes ----------------------------------------------------------------------------------------------


def make(crate_dir: str, count: int) -> int:
    """Publish the crates of a workflow of four stages with the real writer; gives the number of attempts."""
    from prov_worker.crate.writer import CrateWriter
    from prov_worker.model import HardwareSnapshot, ProbeReport
    from prov_worker.settings import Settings

    probes = {
        "cpu": ProbeReport("cpu", True, 0.01, {"model": "EPYC 7543P", "logical": 64}),
        "memory": ProbeReport("memory", True, 0.01, {"total_bytes": 512 << 30}),
    }
    hosts = [f"node{number:02d}" for number in range(NODES)]
    writers = [CrateWriter(HardwareSnapshot(host, _START_NS, probes), Settings(), "bench") for host in hosts]
    made = 0
    for number in range(count):
        for record in _records(number, count, hosts[number % NODES]):
            writers[number % NODES].publish(record, _series(), None, Path(crate_dir))
            made += 1
    return made


def _records(number: int, count: int, host: str) -> list[Any]:
    """The attempts at one task: each takes what the task of the stage before returned."""
    from prov_worker.model import COMPLETED, FAILED, Failure, Function, OutputFile, TaskRecord, Usage, Value, Worker

    width = max(1, count // len(STAGES))
    stage = min(number // width, len(STAGES) - 1)
    arguments = [Value("index", "int", 8, value=number, sha256=_digest(number))]
    if stage:
        arguments.append(_text("table", f"what task {number - width} returned"))
    records = []
    attempts = 2 if number % FAILS == 0 else 1
    for attempt in range(1, attempts + 1):
        failed = attempt < attempts
        start = _START_NS + stage * 1000 * _SECOND + (number % width) * 50_000_000 + attempt * _SECOND
        records.append(
            TaskRecord(
                str(uuid.UUID(int=number, version=4)),
                attempt,
                FAILED if failed else COMPLETED,
                start,
                start + _SECOND * 9 // 10,
                Function(STAGES[stage], "workflow", sha256=hashlib.sha256(STAGES[stage].encode()).hexdigest()),
                Worker(host, 4000 + number % 32, rank=str(number % 32), cpu_affinity=[0, 1]),
                endpoint_id="e8c8b86f-a6fb-4c5b-9bc0-45423336f0c5",
                arguments=arguments,
                result=None if failed else _text("return", f"what task {number} returned"),
                failure=Failure("exception", "not yet", "OSError", "Traceback\nOSError: not yet\n") if failed else None,
                usage=Usage(cpu_user_s=0.8, cpu_system_s=0.01, peak_rss_bytes=100 << 20, peak_rss_exact=True),
                outputs=[] if failed else [OutputFile(f"part-{number}.csv", 1000 + number, _digest(f"part {number}"))],
            )
        )
    return records


def _digest(value: Any) -> str:
    return hashlib.sha256(pickle.dumps(value, 4)).hexdigest()


def _text(name: str, content: str) -> Any:
    from prov_worker.model import Value

    return Value(name, "str", len(content), sha256=hashlib.sha256(content.encode()).hexdigest())


def _series() -> Any:
    from prov_worker.model import Column, Series, TaskSeries

    columns = {"cpu_percent": Column("percent", [90.0] * 18), "rss_bytes": Column("byte", [100 << 20] * 18)}
    return TaskSeries(Series(0.05, [0.05 * (at + 1) for at in range(18)], columns, 18, 18, 0.05))


def answer(count: int, began: float) -> dict[str, float]:
    """Return what a process found, in which time, with how much CPU time since its start, and with how much memory."""
    wall_s = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    used = [resource.getrusage(whose) for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cpu_s = sum(usage.ru_utime + usage.ru_stime for usage in used)
    return {"found": count, "wall_s": wall_s, "cpu_s": cpu_s, "peak_bytes": peak}


def assembled(crate_dir: str, output: str) -> dict[str, float]:
    """Assemble."""
    from prov_worker.run.assembly.assemble import assemble

    began = time.perf_counter()
    return answer(assemble([Path(crate_dir)], Path(output)).steps, began)


def verified(output: str) -> dict[str, float]:
    """Verify; the number of steps in a sound run."""
    from prov_worker.run.assembly.verify import verify

    began = time.perf_counter()
    changes = verify(Path(output)).changes
    steps = sum(1 for _ in (Path(output) / "steps").iterdir())
    return answer(0 if changes else steps, began)


def indexed(crate_dir: str, output: str) -> dict[str, float]:
    """Index."""
    from prov_worker.run.index.build import index

    began = time.perf_counter()
    return answer(index([Path(crate_dir)], Path(output)).total, began)


def asked(output: str) -> dict[str, float]:
    """Open an index and ask it."""
    from prov_worker.run.index.query import Index

    began = time.perf_counter()
    with Index(Path(output)) as opened:
        query = "SELECT function, count(*), sum(CAST(status = 'failed' AS INTEGER)), sum(cpu_s) FROM tasks GROUP BY 1"
        count = sum(row[1] for row in opened.sql(query).rows)
    return answer(count, began)
