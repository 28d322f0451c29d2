"""The page's figures against figures that plain code here computes from the crates' JSON, and the rules of advice."""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from prov_worker.counters import Usage
from prov_worker.crate.gpu_use import GpuUse
from prov_worker.humanize import duration, number, percent
from prov_worker.run.api import open_run
from prov_worker.run.report.advice import advise
from prov_worker.run.report.downsample import buckets, points_for
from prov_worker.run.report.figures import (
    busy,
    failures,
    functions,
    gaps,
    most_together,
    percentile,
    summarise,
)
from prov_worker.run.report.model import FunctionFacts, Gathered, NodeFacts, Profile, Row
from prov_worker.run.report.model_builder import gather
from prov_worker.run.report.page import render
from prov_worker.testing import CrateFactory

GIB = 1 << 30


def steps_of(crates: Path) -> list[dict[str, Any]]:
    """What the crates say, read without any code of the product."""
    steps = []
    for path in sorted(crates.glob("*.crate/ro-crate-metadata.json")):
        graph = {entity["@id"]: entity for entity in json.loads(path.read_text(encoding="utf-8"))["@graph"]}
        value = {key: entity["value"] for key, entity in graph.items() if "value" in entity}
        action = graph["#distributed_step"]
        visible = value.get("#env-CUDA_VISIBLE_DEVICES", "").split(",")
        mean = [value[key] for number in visible if (key := f"#usage-gpu-{number}-mean") in value]
        most = [value[key] for number in visible if (key := f"#usage-gpu-{number}-max") in value]
        steps.append(
            {
                "task": value["#task-id"].removeprefix("urn:uuid:"),
                "attempt": value["#attempt"],
                "failed": action["actionStatus"].endswith("FailedActionStatus"),
                "function": graph["#step"]["name"],
                "host": value["#worker-host"],
                "pid": value["#worker-pid"],
                "start": int(value["#start-ns"]),
                "end": int(value["#end-ns"]),
                "cpu_s": value["#usage-cpu"],
                "rss": value["#usage-peak-rss"],
                "cpus": value["#hardware-cpu-logical"],
                "gpus": len([device for device in visible if device]),
                "gpu_busy": sum(mean) / 100 if mean else None,
                "gpus_used": sum(percent >= 5 for percent in most) if most else None,
            }
        )
    return steps


def core_of(page: Path) -> dict[str, Any]:
    """The data that the page's script starts from."""
    packed = re.search(r'id="core">([^<]*)</script>', page.read_text(encoding="utf-8"))
    assert packed is not None
    return json.loads(zlib.decompress(base64.b64decode(packed[1]), -15))


def shown(page: Path) -> dict[str, str]:
    """The cards of the summary as a reader sees them: figure and line below, by title."""
    html = page.read_text(encoding="utf-8")
    cards = re.findall(r"<dt>([^<]+)</dt>\s*<dd>([^<]*)</dd>\s*<dd class=\"sub\">([^<]*)", html)
    return {title: f"{figure} | {below.strip()}" for title, figure, below in cards}


def test_the_summary_on_the_page_equals_what_the_crates_say(crates: Path, page: Path) -> None:
    steps = steps_of(crates)
    latest: dict[str, dict[str, Any]] = {}
    for step in steps:
        if step["task"] not in latest or step["attempt"] > latest[step["task"]]["attempt"]:
            latest[step["task"]] = step
    lost = sum(step["failed"] for step in latest.values())
    failed = [step for step in steps if step["failed"]]
    assert len(latest) == 160
    assert lost
    assert len(failed) > lost, "the run must hold both lasting failures and repaired ones"
    first, last = min(step["start"] for step in steps), max(step["end"] for step in steps)
    wall = sum(step["end"] - step["start"] for step in steps) / 1e9
    cpu_h = sum(step["cpu_s"] for step in steps) / 3600
    core_h = 0.0
    for host in {step["host"] for step in steps}:
        mine = [step for step in steps if step["host"] == host]
        span = (max(s["end"] for s in mine) - min(s["start"] for s in mine)) / 1e9
        core_h += mine[0]["cpus"] * span / 3600
    workers = defaultdict(list)
    for step in steps:
        workers[step["host"], step["pid"]].append(step)
    worker_s = sum(max(s["end"] for s in mine) - min(s["start"] for s in mine) for mine in workers.values()) / 1e9
    gpu_h = sum((s["end"] - s["start"]) / 1e9 * s["gpus"] for s in steps) / 3600
    seen = [s for s in steps if s["gpu_busy"] is not None]
    gpu_seen_h = sum((s["end"] - s["start"]) / 1e9 * s["gpus"] for s in seen) / 3600
    gpu_busy_h = sum((s["end"] - s["start"]) / 1e9 * s["gpu_busy"] for s in seen) / 3600
    failed_s = sum(s["end"] - s["start"] for s in failed) / 1e9

    cards = shown(page)
    repaired = len({s["task"] for s in failed}) - lost
    assert cards["Tasks"] == f"160 | {len(steps)} attempts, {repaired} completed after a failure"
    assert cards["Failed tasks"] == f"{lost} | {len(failed)} failed attempts, {duration(failed_s)} of worker time"
    makespan = (last - first) / 1e9
    assert cards["Makespan"] == (
        f"{duration(makespan)} | {duration(wall)} of tasks, {number(wall / makespan)} side by side"
    )
    assert cards["Core hours"] == (f"{number(core_h)} | {number(cpu_h)} used, {percent(cpu_h / core_h)} CPU efficiency")
    assert cards["GPU hours"] == (
        f"{number(gpu_h)} | {number(gpu_busy_h)} busy, {percent(gpu_busy_h / gpu_seen_h)} GPU efficiency"
    )
    assert cards["Workers"] == f"{len(workers)} | on 2 nodes, occupied {percent(wall / worker_s)}"


def test_every_row_of_the_page_equals_its_crate(crates: Path, page: Path) -> None:
    core = core_of(page)
    rows = core["rows"]
    first = min(step["start"] for step in steps_of(crates))
    start, starts = 0, []
    for step in rows["start"]:
        start += step
        starts.append(start)
    page_rows = {
        (rows["id"][i], rows["attempt"][i]): {
            "failed": bool(rows["failed"][i]),
            "function": core["functions"][rows["fn"][i]]["name"],
            "host": core["nodes"][core["workers"][rows["worker"][i]][0]]["name"],
            "start": starts[i],
            "wall": rows["wall"][i],
            "cpu": rows["cpu"][i],
            "rss": rows["rss"][i],
            "gpus": rows["gpus"][i],
            "gpu": rows["gpu"][i],
        }
        for i in range(len(starts))
    }
    expected = {
        (step["task"], step["attempt"]): {
            "failed": step["failed"],
            "function": step["function"],
            "host": step["host"],
            "start": (step["start"] - first) // 1000,
            "wall": (step["end"] - step["start"]) // 1000,
            "cpu": round(step["cpu_s"] * 1000),
            "rss": step["rss"] // 1024,
            "gpus": step["gpus"],
            "gpu": None if step["gpu_busy"] is None else round(100 * step["gpu_busy"]),
        }
        for step in steps_of(crates)
    }
    assert page_rows == expected


def test_functions_equal_what_the_crates_say(crates: Path) -> None:
    steps = steps_of(crates)
    for function in functions(gather(open_run(crates))):
        mine = [step for step in steps if step["function"] == function.facts.name]
        walls = [(step["end"] - step["start"]) / 1e9 for step in mine]
        assert function.attempts == len(mine)
        assert function.failed == sum(step["failed"] for step in mine)
        assert function.wall_sum_s == pytest.approx(sum(walls))
        assert function.wall_median_s == pytest.approx(median(walls))
        assert function.wall_max_s == pytest.approx(max(walls))
        assert function.rss_max == max(step["rss"] for step in mine)
        used = median(step["cpu_s"] / wall for step, wall in zip(mine, walls, strict=True))
        assert function.cpus_used == pytest.approx(used)
        gpus_used = [step["gpus_used"] for step in mine if step["gpus_used"] is not None]
        assert function.gpus_used == (median(gpus_used) if gpus_used else None)


def test_energy_is_added_up_per_function_and_per_run(tmp_path: Path) -> None:
    factory = CrateFactory(tmp_path / "crates")
    spent = {"fit": [(10.5, 200.0), (4.5, None)], "load": [(None, None)]}
    attempts = [(name, *joules) for name, pairs in spent.items() for joules in pairs]
    for place, (name, cpu, gpu) in enumerate(attempts):
        usage = Usage(cpu_user_s=1.0, cpu_energy_joules=cpu, gpu_energy_joules=gpu, node_energy_joules=900.0)
        factory.add(place, name, usage=usage)
    data = gather(open_run(factory.directory))
    figures = {function.facts.name: (function.cpu_joules, function.gpu_joules) for function in functions(data)}
    assert figures == {"fit": (15.0, 200.0), "load": (None, None)}
    assert (data.totals["cpu_energy_joules"], data.totals["gpu_energy_joules"]) == (15.0, 200.0)
    assert "node_energy_joules" not in data.totals, "those of tasks side by side overlap"
    html = render(data, summarise(data))
    assert '<td class="num" data-v="15.0">15 J</td><td class="num" data-v="200.0">200 J</td>' in html
    assert "apportioned" in html
    without = data_of([row()])
    assert "GPU energy" not in render(without, summarise(without))


def test_links_count_the_inputs_that_another_task_returned(crates: Path) -> None:
    """Every argument ``path`` whose hash is that of another's result is a link; the page has them all."""
    made: dict[str, str] = {}
    used: list[str] = []
    for path in sorted(crates.glob("*.crate/ro-crate-metadata.json")):
        for entity in json.loads(path.read_text(encoding="utf-8"))["@graph"]:
            if entity["@id"] == "#output-return":
                made[entity["sha256"]] = path.parent.name
            elif entity["@id"] == "#input-path":
                used.append(entity["sha256"])
    data = gather(open_run(crates))
    links = sum(digest in made for digest in used)
    assert links > 50
    assert sum(data.flows.values()) == len(data.edges) == links
    names = [function.name for function in data.functions]
    assert {(names[source], names[target]) for source, target, _ in data.flows} == {
        ("fetch_archive", "transform_records"),
        ("transform_records", "fit_model"),
        ("fit_model", "merge_results"),
    }


def row(**changes: Any) -> Row:
    values: dict[str, Any] = {
        "key": "k",
        "task_id": "t",
        "attempt": 1,
        "latest": True,
        "failed": False,
        "function": 0,
        "node": 0,
        "worker": 0,
        "start_ns": 0,
        "end_ns": 10**9,
        "began": True,
        "wall_s": 1.0,
        "cpu_s": 1.0,
        "rss_bytes": GIB,
        "cpus_allowed": 1,
        "gpus": GpuUse(0, used=0, busy=0.0),
        "error": -1,
        "signal": None,
        "block": 0,
        "place": 0,
        "memory_bytes": 512 * GIB,
    }
    values.update(changes)
    if "end_ns" not in changes and "wall_s" in changes:
        values["end_ns"] = values["start_ns"] + int(values["wall_s"] * 1e9)
    return Row(**values)


def data_of(rows: list[Row], **node: Any) -> Gathered:
    data = Gathered("run", "run", rows=rows, shown=rows, functions=[FunctionFacts("work", "#f", None, None, None)])
    data.nodes = [NodeFacts("node01", **{"cpus": 64, "memory_bytes": 512 * GIB, **node})]
    data.errors = ["ValueError: no", "KeyError: 3"]
    data.workers = [(0, "worker 0")]
    return data


def kinds(data: Gathered) -> dict[str, str]:
    return {advice.kind: f"{advice.finding} {advice.action}" for advice in advise(data, functions(data))}


def test_nothing_stands_out_in_a_run_that_uses_what_it_has() -> None:
    rows = [row(task_id=str(n), worker=n, wall_s=60.0, cpu_s=59.0, rss_bytes=4 * GIB) for n in range(64)]
    assert kinds(data_of(rows)) == {}


def test_advice_on_cpus_that_nobody_uses() -> None:
    rows = [row(task_id=str(n), worker=n, wall_s=60.0, cpu_s=60.0, cpus_allowed=64) for n in range(4)]
    advice = kinds(data_of(rows))["cpus"]
    assert "Allowed 64 CPUs, used 1.0; at most 4 at once on a node of 64 CPUs" in advice
    assert "Up to 64 would fit" in advice


def test_no_advice_on_cpus_where_neighbours_use_them() -> None:
    rows = [row(task_id=str(n), worker=n, wall_s=60.0, cpu_s=60.0, cpus_allowed=64) for n in range(60)]
    assert "cpus" not in kinds(data_of(rows))
    few = data_of(rows[:4])
    assert "cpus" in kinds(few)
    few.nodes[0].cpu.add(0, 60.0)
    assert "cpus" not in kinds(few), "others keep the node busy"
    rows = [row(task_id=str(n), worker=n, wall_s=60.0, cpu_s=18.0, cpus_allowed=4) for n in range(4)]
    assert "cpus" not in kinds(data_of(rows, cpus=4)), "there are as many as the node has CPUs"


def test_advice_on_gpus() -> None:
    rows = [row(task_id=str(n), wall_s=600.0, cpu_s=600.0, gpus=GpuUse(12, 1, 0.9)) for n in range(3)]
    advice = kinds(data_of(rows, gpus=12))["gpus"]
    assert advice.startswith("12 GPUs visible, used 1.")
    assert "5.50 GPU hours" in advice, "three times ten minutes of eleven GPUs"
    idle = [row(wall_s=600.0, gpus=GpuUse(1, 1, 0.1))]
    assert kinds(data_of(idle))["gpus"].startswith("Its 1 GPU was busy 10 % of the time.")


def test_no_advice_on_gpus_whose_use_is_not_known() -> None:
    rows = [row(task_id=str(n), wall_s=600.0, cpu_s=1.0, gpus=GpuUse(4)) for n in range(3)]
    data = data_of(rows, gpus=4)
    assert not {"gpus", "waiting"} & set(kinds(data))
    summary = summarise(data)
    assert (summary.gpu_hours, summary.gpu_busy_hours, summary.gpu_efficiency) == (2.0, 0.0, None)
    page = render(data, summary)
    assert "their use is not known" in page
    assert "– / 4" in page


@pytest.mark.parametrize("peak, expected", [(500, "Run fewer at once"), (1, "space for 460 at once"), (100, None)])
def test_advice_on_memory(peak: int, expected: str | None) -> None:
    advice = kinds(data_of([row(wall_s=60.0, cpu_s=60.0, rss_bytes=peak * GIB)])).get("memory")
    assert advice is None if expected is None else advice is not None and expected in advice


def test_advice_on_tasks_shorter_than_the_pause_between_them() -> None:
    rows = [row(task_id=str(n), start_ns=n * 10**8, wall_s=0.01, cpu_s=0.01) for n in range(2000)]
    assert "2,000 of 2,000 attempts took less than the 90.0 ms" in kinds(data_of(rows))["short"]


def test_advice_on_waiting_and_stragglers() -> None:
    rows = [row(task_id=str(n), worker=n, wall_s=60.0 if n == 0 else 2.0, cpu_s=0.05) for n in range(40)]
    advice = kinds(data_of(rows))
    assert "it mostly waits" in advice["waiting"]
    assert "1 attempt took more than 8.00 s, the longest 1 min 00 s; the median is 2.00 s." in advice["stragglers"]


@pytest.mark.parametrize(
    ("switches", "load", "kind"),
    [
        ({"voluntary": 0, "involuntary": 9397}, None, "contended"),
        ({"voluntary": 0, "involuntary": 9397}, 0.1, "contended"),
        ({"voluntary": 5000, "involuntary": 20}, 0.2, "waiting"),
        ({"voluntary": 5000, "involuntary": 20}, 0.95, "contended"),
        ({"voluntary": 12, "involuntary": 3}, 0.95, "waiting"),
        ({}, 0.95, "contended"),
        ({}, 0.5, "waiting"),
        ({}, None, "waiting"),
    ],
)
def test_who_has_no_cpu_does_not_wait_for_anything_else(
    switches: dict[str, int], load: float | None, kind: str
) -> None:
    """A busy loop on a full node is told from a sleeper: 18 s of CPU in 90 s, and no switch of its own."""
    data = data_of([row(wall_s=90.0, cpu_s=18.0, **switches)], cpus=2)
    if load is not None:
        for second in range(90):
            data.nodes[0].cpu.add(second * 10**9, 2 * load)
        data.nodes[0].cpu.add(500 * 10**9, 0.0)  # after it
    advice = kinds(data)
    assert {"contended", "waiting"} & set(advice) == {kind}
    if kind == "contended":
        assert "waited for a CPU" in advice[kind]
        assert "more workers than CPUs" not in advice[kind]


def test_memory_is_that_of_one_job_on_one_node() -> None:
    """Four attempts at once in each of two jobs of a node, and eight on a node of twice the memory."""
    attempt: dict[str, Any] = {
        "wall_s": 60.0,
        "cpu_s": 60.0,
        "rss_bytes": 10 * GIB,
        "start_ns": 0,
        "end_ns": 60 * 10**9,
    }
    jobs = [row(**attempt, job=job, memory_bytes=64 * GIB) for job in ("1.pbs", "2.pbs") for _ in range(4)]
    large = [row(**attempt, job="3.pbs", node=1, memory_bytes=128 * GIB) for _ in range(8)]
    data = data_of(jobs + large)
    data.nodes.append(data.nodes[0])
    assert "memory" not in kinds(data), "40 of 64 GiB, and 80 of 128"
    crowded = data_of(jobs + [row(**attempt, job="1.pbs", memory_bytes=64 * GIB) for _ in range(2)])
    assert "up to 6 at once: 60.0 GiB of 64.0 GiB" in kinds(crowded)["memory"]


def test_memory_is_compared_with_that_of_the_same_control_group() -> None:
    """A node of 512 GiB, and a job that might use 4 of them."""
    data = data_of([row(wall_s=60.0, cpu_s=60.0, rss_bytes=3900 << 20, memory_bytes=4 * GIB)])
    assert "3.8 GiB of 4.0 GiB that tasks may use" in kinds(data)["memory"]
    other = data_of([row(wall_s=60.0, cpu_s=60.0, rss_bytes=3900 << 20, memory_bytes=512 * GIB)], memory_bytes=4 * GIB)
    assert "Memory does not limit this" in kinds(other)["memory"]


def test_one_of_one_is_no_advice() -> None:
    assert kinds(data_of([row(failed=True, error=0)])) == {}
    two = [row(task_id=str(n), failed=True, error=0) for n in range(2)]
    assert kinds(data_of(two))["failing"].startswith("2 of 2 attempts ended with the same error.")


def test_a_profile_tells_its_mean_in_a_span() -> None:
    profile = Profile()
    for second in range(10):
        profile.add(second * 10**9, float(second))
    assert profile.mean_between(2 * 10**9, 4 * 10**9) == 3.0
    assert profile.mean_between(20 * 10**9, 30 * 10**9) is None
    assert profile.mean_between(0, 10**15) == profile.mean


def test_advice_on_failures_tells_a_kill_near_the_memory_limit() -> None:
    killed = row(failed=True, error=0, signal="SIGKILL", rss_bytes=500 * GIB)
    sound = row(task_id="u", worker=1, start_ns=10**12)
    assert "run fewer at once" in kinds(data_of([killed, sound]))["killed"]
    killed.rss_bytes = GIB
    assert "look at the node's log" in kinds(data_of([killed, sound]))["killed"]
    raised = [row(task_id=str(n), failed=n < 3, error=0 if n < 3 else -1) for n in range(10)]
    assert kinds(data_of(raised))["failing"].startswith("3 of 10 attempts ended with the same error.")
    crashed = [row(task_id=str(n), failed=n < 3, error=n, signal="SIGSEGV") for n in range(10)]
    assert kinds(data_of(crashed))["failing"].startswith("3 of 10 attempts ended with 3 errors, the most frequent 1")


def test_failures_that_differ_in_numbers_alone_are_one() -> None:
    data = data_of([row(task_id=str(n), failed=True, error=n) for n in range(3)])
    data.errors = ["no part 17 at 0x7f3a", "no part 4 at 0x8b", "no parts"]
    groups = failures(data)
    assert [(len(group.rows), group.kinds, group.lasting) for group in groups] == [(2, 2, 2), (1, 1, 1)]


def test_a_run_without_cpus_or_time_divides_by_nothing() -> None:
    data = data_of([row(end_ns=0, wall_s=0.0, cpu_s=None, began=False)], cpus=None)
    summary = summarise(data)
    assert summary.cpu_efficiency is None
    assert summary.concurrency is None
    assert summary.occupancy is None
    assert functions(data)[0].cpus_used is None
    assert busy(data.rows, 0, 1.0, 4, lambda row: 1.0) == [0, 0, 0, 0]


def test_busy_spreads_an_attempt_over_its_bins() -> None:
    rows = [row(start_ns=500, end_ns=2000), row(start_ns=0, end_ns=4000)]
    assert busy(rows, 0, 1000.0, 4, lambda row: 1.0) == [1.5, 2.0, 1.0, 1.0]


def _node(attempt: Row) -> int:
    return attempt.node


def test_most_together_counts_a_follower_once() -> None:
    assert most_together([row(start_ns=0, end_ns=10), row(start_ns=10, end_ns=20)], _node) == {0: 1}
    assert most_together([row(start_ns=0, end_ns=11), row(start_ns=10, end_ns=20)], _node) == {0: 2}


def test_gaps_are_of_one_worker() -> None:
    rows = [
        row(worker=0, start_ns=0, end_ns=10**9),
        row(worker=1, start_ns=10**9, end_ns=2 * 10**9),
        row(worker=0, start_ns=3 * 10**9, end_ns=4 * 10**9),
    ]
    assert gaps(rows) == [2.0]


def test_percentile_is_the_nearest_rank() -> None:
    assert percentile(list(range(1, 101)), 0.95) == 95
    assert percentile([7.0], 0.95) == 7.0


def test_a_profile_is_bounded_and_keeps_its_mean() -> None:
    profile = Profile(limit=64)
    for second in range(10_000):
        profile.add(second * 10**9, float(second % 2))
    assert len(profile._bins) <= 64
    values = profile.resampled(0, 10_000 * 1e9 / 10, 10)
    assert all(value == pytest.approx(0.5, abs=0.02) for value in values)


def test_a_profile_bridges_a_gap_between_samples_but_not_a_pause() -> None:
    profile = Profile()
    for second in (0, 2, 9):
        profile.add(second * 10**9, 1.0)
    assert profile.resampled(0, 1e9, 10) == [1.0, 1.0, 1.0, None, None, None, None, None, None, 1.0]


@pytest.mark.parametrize("count, points", [(10, 24), (24, 24), (25, 24), (4096, 60)])
def test_buckets_cover_every_sample_once(count: int, points: int) -> None:
    runs = buckets(count, points)
    assert len(runs) == min(count, points)
    assert [at for begin, end in runs for at in range(begin, end)] == list(range(count))


def test_points_shrink_with_the_run() -> None:
    assert [points_for(steps) for steps in (1, 2500, 10_000, 10**6)] == [240, 240, 60, 24]
