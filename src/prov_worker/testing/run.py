"""A run that never ran, in crates as the real writer makes them: four stages on nodes with workers and GPUs.

Scheduling is simulated (a task takes the worker that is free first), so that times, workers and nodes fit together;
series, failures, retries, files and the data flow between the stages are there too. Everything follows from the seed.
"""

from __future__ import annotations

import hashlib
import heapq
import math
import random
import uuid
from dataclasses import dataclass
from pathlib import Path

from prov_worker import model
from prov_worker.crate.writer import CrateWriter
from prov_worker.settings import Settings

START_NS = 1_795_217_215_565_123_456
GIB = 1 << 30
ENDPOINT = "e8c8b86f-a6fb-4c5b-9bc0-45423336f0c5"
HOSTILE = "</script><script>alert(1)</script> \"'`&amp;<b>\u2028 \u202eevil 🚀 {{7*7}} ${x}"
#: stage: mean seconds, threads it keeps busy, peak memory in GiB, share of a GPU it keeps busy
STAGES = {
    "fetch_archive": (1.2, 0.15, 0.12, 0.0),
    "transform_records": (4.0, 0.98, 0.7, 0.0),
    "fit_model": (9.0, 1.9, 2.4, 0.7),
    "merge_results": (2.5, 0.9, 1.1, 0.0),
}


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _snapshot(host: str, cpus: int, gpus: int) -> model.HardwareSnapshot:
    devices = [
        {"index": n, "vendor": "nvidia", "model": "NVIDIA A100-SXM4-40GB", "memory_bytes": 40 * GIB}
        for n in range(gpus)
    ]
    cpu = {"source": "lscpu -J", "model": "AMD EPYC 7543P 32-Core Processor", "logical": cpus, "physical_cores": cpus}
    reports = [
        model.ProbeReport("cpu", True, 0.01, cpu),
        model.ProbeReport("memory", True, 0.01, {"total_bytes": 512 * GIB, "available_bytes": 500 * GIB}),
        model.ProbeReport("gpu", True, 0.01, {"devices": devices} if devices else {}, None if devices else "no GPU"),
    ]
    return model.HardwareSnapshot(host, START_NS - 10**9, {report.name: report for report in reports})


@dataclass
class _Planned:
    stage: str
    inputs: list[str]
    output: str
    number: int


def _plan(tasks: int) -> list[_Planned]:
    """Return tasks in an order in which their inputs come first."""
    groups = max(1, tasks // 26)
    counts = {"fetch_archive": tasks // 3, "transform_records": tasks // 3, "merge_results": groups}
    counts["fit_model"] = max(1, tasks - sum(counts.values()))
    planned: list[_Planned] = []
    made: dict[str, list[str]] = {stage: [] for stage in STAGES}
    sources = {"transform_records": "fetch_archive", "fit_model": "transform_records", "merge_results": "fit_model"}
    for stage in STAGES:
        for number in range(counts[stage]):
            inputs = []
            if stage in sources:
                before = made[sources[stage]]
                wide = max(1, len(before) // counts[stage])
                inputs = [before[(number * wide + offset) % len(before)] for offset in range(wide)]
            output = f"{stage}/{number:05d}.parquet"
            made[stage].append(output)
            planned.append(_Planned(stage, inputs, output, number))
    return planned


def _wave(count: int, level: float, spread: float, phase: float) -> list[float | int | None]:
    return [round(max(0.0, level * (1 + spread * math.sin(phase + i / 3.7))), 1) for i in range(count)]


def _series(wall_s: float, stage: str, cpus: int, gpu: int | None, gpus: int, dice: random.Random) -> model.TaskSeries:
    _, threads, memory, gpu_share = STAGES[stage]
    interval = max(0.05, wall_s / 200)
    count = int(wall_s / interval)
    if count == 0:
        return model.TaskSeries()
    offsets = [round(interval * (i + 1), 4) for i in range(count)]
    phase = dice.random() * 6
    rss: list[float | int | None] = [int(memory * GIB * min(1.0, 0.3 + 0.9 * i / count)) for i in range(count)]
    columns = {
        "cpu_percent": model.Column("percent", _wave(count, 100 * threads, 0.08, phase)),
        "rss_bytes": model.Column("byte", rss),
        "threads": model.Column("count", [4] * count),
        "read_chars": model.Column("byte", [int(3e6 * i) for i in range(count)]),
        "written_chars": model.Column("byte", [int(1e6 * i) for i in range(count)]),
    }
    series = model.TaskSeries(task=model.Series(interval, offsets, columns, count, count, interval * 1.02))
    slow = offsets[:: max(1, int(0.5 / interval))]
    node = {
        "cpu_percent": model.Column("percent", _wave(len(slow), 100 * cpus * 0.4, 0.3, phase), subject="node"),
        "memory_used_bytes": model.Column(
            "byte", [int(GIB * (20 + 3 * math.sin(i))) for i in range(len(slow))], subject="node"
        ),
    }
    series.node = model.Series(0.5, slow, node, len(slow), len(slow), 0.51)
    if gpus:
        busy = {n: 100 * gpu_share if n == gpu else 0.0 for n in range(gpus)}
        series.gpu = model.Series(
            0.5,
            slow,
            {
                **{
                    f"gpu{n}_utilization_percent": model.Column(
                        "percent", _wave(len(slow), level, 0.1, phase), subject=f"gpu:{n}"
                    )
                    for n, level in busy.items()
                },
                **{
                    f"gpu{n}_memory_used_bytes": model.Column(
                        "byte", [int(level / 100 * 20 * GIB)] * len(slow), subject=f"gpu:{n}"
                    )
                    for n, level in busy.items()
                },
            },
            len(slow),
            len(slow),
            0.5,
        )
    return series


def make_run(
    directory: Path,
    tasks: int = 240,
    *,
    nodes: int = 3,
    workers: int = 8,
    cpus: int = 64,
    gpus: int = 4,
    seed: int = 7,
    hostile: bool = False,
    scale: float = 1.0,
) -> Path:
    """Write the crates of one run: one task in 40 fails at first and is tried again, one in 90 fails for good.

    Args:
        directory: where the crates come; made if it is not there.
        tasks: number of tasks.
        nodes: number of nodes.
        workers: of each node.
        cpus: of each node.
        gpus: of each node.
        seed: everything follows from it.
        hostile: whether names and values hold marks of HTML, Unicode and templates.
        scale: factor to the length of tasks.

    Returns:
        The directory.
    """
    dice = random.Random(seed)
    directory.mkdir(parents=True, exist_ok=True)
    writers = {
        f"node-{n + 1:03d}": CrateWriter(_snapshot(f"node-{n + 1:03d}", cpus, gpus), Settings()) for n in range(nodes)
    }
    free = [(0.0, n, w) for n in range(nodes) for w in range(workers)]
    heapq.heapify(free)
    ready = {"": 0.0}
    waiting = [(job, 1) for job in _plan(tasks)]
    waiting.reverse()
    fates = {id(job): dice.random() for job, _ in waiting}
    while waiting:
        job, attempt = waiting.pop()
        at, n, w = heapq.heappop(free)
        begin = (
            max(at, *(ready.get(path, 0.0) for path in (*job.inputs, f"{job.output} failed")))
            + 0.004
            + dice.random() * 0.02
        )
        mean_s, threads, memory, _ = STAGES[job.stage]
        wall = mean_s * scale * dice.lognormvariate(0, 0.25) * (6 if dice.random() < 0.004 else 1)
        fate = fates[id(job)]
        fails = fate < 1 / 90 or (fate < 1 / 90 + 1 / 40 and attempt == 1)
        if fails:
            wall *= 0.4
        host = f"node-{n + 1:03d}"
        task_id = str(uuid.UUID(int=random.Random(f"{seed}{job.output}").getrandbits(128), version=4))
        start_ns = START_NS + int(begin * 1e9)
        failure = None
        if fails and job.number % 3 == 0:
            failure = model.Failure("signal", "the worker was killed by SIGKILL (out of memory?)", signal="SIGKILL")
        elif fails:
            text = HOSTILE if hostile else f"no column 'flux' in {job.inputs[0] if job.inputs else 'archive'}"
            failure = model.Failure(
                "exception", text, "KeyError", f'Traceback (most recent call last):\n  File "x.py"\nKeyError: {text}'
            )
        gpu = w % gpus if gpus else None
        name = job.stage + (HOSTILE if hostile and job.stage == "fit_model" else "")
        record = model.TaskRecord(
            task_id=task_id,
            attempt=attempt,
            status=model.FAILED if fails else model.COMPLETED,
            start_ns=start_ns,
            end_ns=start_ns + int(wall * 1e9),
            function=model.Function(
                name,
                "pipeline",
                doc=f"{job.stage.replace('_', ' ')} of one part",
                sha256=_sha256(job.stage),
                sha256_of="source",
                source=f"def {job.stage}(path):\n    ...\n",
            ),
            worker=model.Worker(
                host,
                4000 + 100 * n + w,
                rank=str(w),
                pool_id="c0ffee",
                block_id=str(n),
                cpu_affinity=list(range(cpus)),
                accelerators={"CUDA_VISIBLE_DEVICES": str(gpu)} if gpus else {},
                scheduler={"SLURM_JOB_ID": "812345"},
                versions={"python": "3.11.7", "prov-worker": "0.1.0", "globus-compute-endpoint": "4.19.0"},
            ),
            endpoint_id=ENDPOINT,
            endpoint_name="polaris",
            arguments=[model.Value("path", "str", size_bytes=40, sha256=_sha256(p), value=p) for p in job.inputs[:1]]
            + [
                model.Value("number", "int", value=job.number),
                model.Value("note", "str", value=HOSTILE if hostile else "part"),
            ],
            result=None
            if fails
            else model.Value("return", "str", size_bytes=len(job.output), sha256=_sha256(job.output), value=job.output),
            failure=failure,
            usage=model.Usage(
                cpu_user_s=round(wall * threads * 0.95, 6),
                cpu_system_s=round(wall * threads * 0.05, 6),
                peak_rss_bytes=int(memory * GIB),
                peak_rss_exact=True,
                read_bytes=int(wall * 1e7),
                written_bytes=int(wall * 1e6),
            ),
            outputs=[] if fails else [model.OutputFile(job.output, 1 << 20, _sha256("file" + job.output))],
        )
        writers[host].publish(record, _series(wall, job.stage, cpus, gpu, gpus, dice), None, directory)
        heapq.heappush(free, (begin + wall, n, w))
        if fails and attempt < 2:
            waiting.append((job, attempt + 1))
            ready[f"{job.output} failed"] = begin + wall
        elif not fails:
            ready[job.output] = begin + wall
    return directory
