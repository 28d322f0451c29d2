"""Checks of flow definitions, and looks at a directory of many folders: CPU time."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.harness import Bench, BenchmarkError, fresh, median, quartiles
from benchmarks.rows import Row, Target


def run(bench: Bench) -> list[Row]:
    """Check a definition with a compute step per ten states; look at folders of ten files, all of them done."""
    return [*_checks(bench), *_looks(bench)]


def _checks(bench: Bench) -> list[Row]:
    bench.say("checking flow definitions")
    times = fresh("benchmarks.flows:checked", rounds=bench.pick(50, 3))
    published = fresh("benchmarks.flows:checked_examples", rounds=bench.pick(50, 3))
    rows = [_row(f"check {name}, as Globus publishes it", values, "ms", Target(50)) for name, values in published]
    return [*rows, *(_row(f"check a flow of {count} states", values, "ms", Target(50)) for count, values in times)]


def _looks(bench: Bench) -> list[Row]:
    count = bench.pick(10_000, 100)
    bench.say(f"looking at {count:,} folders of ten files")
    answer = fresh(
        "benchmarks.flows:looked", directory=str(bench.memory / "folders"), count=count, rounds=bench.pick(20, 3)
    )
    if answer["settled"] != count:
        raise BenchmarkError(f"{answer['settled']} of {count} folders had settled")
    name = f"look at {count:,} folders of 10 files"
    return [
        _row(f"{name}, the first time", [answer["first_s"]], "s"),
        _row(f"{name}, all done", answer["looks_s"], "s", Target(1)),
    ]


def _row(name: str, values: list[float], unit: str, target: Target | None = None) -> Row:
    return Row(name, median(values), unit, None, target, len(values), **quartiles(values), note="CPU time")


# -- in fresh processes ----------------------------------------------------------------------------------------------


def checked_examples(rounds: int) -> list[tuple[str, list[float]]]:
    """CPU milliseconds of checks of the seven flows of tests that have the shapes of published ones."""
    from prov_worker.flow import check, load

    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "unit" / "flow"))
    from unit_flow import EXAMPLES

    times = []
    for name, example in EXAMPLES.items():
        values = []
        for _ in range(rounds):
            started = time.process_time()
            check(load(example.definition, example.schema, example.input or None))
            values.append((time.process_time() - started) * 1e3)
        times.append((name, values))
    return times


def checked(rounds: int) -> list[tuple[int, list[float]]]:
    """CPU milliseconds of checks of flows of several sizes, made by ``flow make``."""
    from prov_worker.flow import check, load, make

    times = []
    for steps in (1, 5, 20):
        spec: dict[str, Any] = {
            "inputs": {
                "data": "collection",
                "crates": "collection",
                "home": "collection",
                "endpoint": "uuid",
                "f": "uuid",
            },
            "crates": {"from": "crates", "to": "home"},
            "steps": [
                {
                    "name": f"step{number}",
                    "compute": {
                        "endpoint": "$.input.endpoint",
                        "function": "$.input.f",
                        "kwargs": {"path": "$.input.data.path"},
                    },
                }
                for number in range(steps)
            ],
        }
        made = make(spec)
        values = []
        for _ in range(rounds):
            started = time.process_time()
            findings = check(load(made.definition, made.schema))
            values.append((time.process_time() - started) * 1e3)
            assert not [finding for finding in findings if finding.level == "error"]
        times.append((len(made.definition["States"]), values))
    return times


def looked(directory: str, count: int, rounds: int) -> dict[str, Any]:
    """CPU seconds of the first look at folders, and of looks once all of them are done."""
    from prov_worker.trigger import Watcher

    place = Path(directory)
    for number in range(count):
        folder = place / f"run{number}"
        folder.mkdir(parents=True)
        for file in range(10):
            (folder / f"part{file}").write_bytes(b"x")
    with Watcher(place, settle_s=0.002, every_s=0.001, state=f"{directory}.state") as watcher:
        started = time.process_time()
        watcher.look()
        first_s = time.process_time() - started
        time.sleep(0.01)
        settled = watcher.look()
        watcher.state.write(
            *({"event": "fired", "name": folder.name, "content": folder.content, "run": {}} for folder in settled)
        )
        looks = []
        for _ in range(rounds):
            started = time.process_time()
            watcher.look()
            looks.append(time.process_time() - started)
    return {"settled": len(settled), "first_s": first_s, "looks_s": looks}
