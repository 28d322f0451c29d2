"""Packs against directories: space and inodes per no-op, crates per second, a zip of a run and an index of them."""

from __future__ import annotations

import importlib
import os
import shutil
import time
from pathlib import Path
from typing import Any

from benchmarks.crates import drained
from benchmarks.harness import Bench, crates_in, fresh, median, no_agent, quartiles
from benchmarks.rows import Row, Target
from benchmarks.trees import BASELINE, THIS, Tree

FORMS = ("directories", "packs")


def run(bench: Bench) -> list[Row]:
    """Each figure of packs and of directories beside the earlier tree's, measured by turns."""
    return [*_no_ops(bench), *_readers(bench)]


def _no_ops(bench: Bench) -> list[Row]:
    count, rounds = bench.pick(4000, 200), bench.pick(5, 1)
    values: dict[str, list[float]] = {}
    for number in range(rounds):
        for name, (form, tree) in _variants(bench).items():
            bench.say(f"finalising {count} records, {name}, round {number + 1} of {rounds}")
            crate_dir = bench.crate_dir()
            with no_agent(crate_dir) as runtime:
                settings = {} if tree is bench.earlier else {"crates": form}
                fresh("benchmarks.crates:record", tree=tree, crate_dir=crate_dir, count=count, **settings)
                answer = fresh("benchmarks.packs:finalise", tree=tree, crate_dir=crate_dir, runtime=runtime, form=form)
            assert answer["crates"] == count, f"{answer['crates']} of {count} crates"
            for figure in ("rate", "bytes", "inodes"):
                values.setdefault(f"{figure} {name}", []).append(answer[figure])
            shutil.rmtree(crate_dir)
            shutil.rmtree(runtime, ignore_errors=True)

    def row(title: str, key: str, unit: str, target: Target | None, note: str, stock: str) -> Row:
        measured, others = values[key], values.get(f"{key.split()[0]} {stock}")
        if others is None:
            return Row(title, None, unit, note=f"not measured: the history has no {BASELINE}")
        note = f"stock: {stock}. {note}"
        return Row(title, median(measured), unit, median(others), target, rounds, **quartiles(measured), note=note)

    blocks, cpu = "blocks of all files and directories", "per second of processor time"
    return [
        row("bytes on disk per no-op, packs", "bytes packs", "B", Target(6000), blocks, BASELINE),
        row("bytes on disk per no-op, directories", "bytes directories", "B",
            Target(0.6, of_ratio=True), blocks, BASELINE),
        row("inodes per no-op, packs", "inodes packs", "", Target(0.01), "of several names once", BASELINE),
        row("crates finished per second and core, packs", "rate packs", "/s",
            Target(3, at_most=False, of_ratio=True), cpu, BASELINE),
        row("crates finished per second and core, directories", "rate directories", "/s",
            Target(1.2, at_most=False, of_ratio=True), cpu, BASELINE),
    ]  # fmt: skip


def _variants(bench: Bench) -> dict[str, tuple[str, Tree]]:
    """By name, form of the crates and tree."""
    own = {form: (form, THIS) for form in FORMS}
    return own if bench.earlier is None else {**own, BASELINE: ("directories", bench.earlier)}


def _readers(bench: Bench) -> list[Row]:
    count, rounds = bench.pick(10_000, 200), bench.pick(3, 1)
    top = Path(bench.crate_dir())
    variants = _variants(bench)
    places = {name: str(top / name) for name in variants}
    bench.say(f"making {count:,} step crates, and packs of them")
    fresh("benchmarks.assemble:make", crate_dir=places["directories"], count=count)
    fresh("benchmarks.packs:packed", crate_dir=places["directories"], output=places["packs"])
    if BASELINE in places:
        fresh("benchmarks.assemble:make", tree=bench.earlier, crate_dir=places[BASELINE], count=count)
    values: dict[str, list[float]] = {}
    for number in range(rounds):
        for name, place in places.items():
            bench.say(f"assembling and indexing {count:,} step crates, {name}, round {number + 1} of {rounds}")
            for task, function in (("assemble --zip", "zipped"), ("index", "indexed")):
                output = str(top / f"{task}-{number}-{name}")
                answer = fresh(f"benchmarks.packs:{function}", tree=variants[name][1], crate_dir=place, output=output)
                if task == "assemble --zip":
                    os.unlink(output)
                values.setdefault(f"{task} {name}", []).append(answer["wall_s"])
                values.setdefault(f"{task} {name}, memory", []).append(answer["peak_bytes"] / 1e6)
    shutil.rmtree(top)
    rows = []
    stock_name = BASELINE if BASELINE in places else "directories"
    for task, bound in (("assemble --zip", 0.4), ("index", 0.5)):
        for form in FORMS:
            for unit, more in (("s", ""), ("MB", ", memory")):
                measured, stock = values[f"{task} {form}{more}"], values[f"{task} {stock_name}{more}"]
                is_aim = unit == "s" and (form == "packs" or task == "index")
                target = Target(bound, of_ratio=True) if is_aim and stock_name == BASELINE else None
                if unit == "MB" and (task, form) == ("assemble --zip", "packs"):
                    target = Target(100)
                jobs = "; two processes, the earlier tree's too" if task == "index" else ""
                if (task, form) == ("assemble --zip", "packs"):
                    jobs = "; two processes read the packs, and the memory is that of the one that writes"
                title = f"{task} of {count:,} step crates in {form}{more}"
                note = f"stock: {stock_name}, from directories{jobs}"
                rows.append(
                    Row(title, median(measured), unit, median(stock), target, rounds, **quartiles(measured), note=note)
                )
    return rows


# -- in fresh processes ----------------------------------------------------------------------------------------------


def finalise(crate_dir: str, runtime: str, form: str) -> dict[str, float]:
    """Write the crates of a dead worker's journal with the agent's own finaliser, and measure what they take."""
    from prov_worker.agent.finaliser import Finaliser
    from prov_worker.agent.publisher import Publisher

    publisher = Publisher(crate_dir)
    finaliser = Finaliser(runtime, publisher)
    journal, follower, unknown = _opened(crate_dir, runtime)
    first = next(iter(follower(journal, None, "benchmark").read_all()))
    publisher.complete(first, None)  # the node's hardware report, which an agent takes once in its life
    publisher.publish(first, None, None)
    used = time.process_time()
    finaliser.adopt(journal, unknown)
    finaliser.finish()
    while finaliser.outstanding:
        finaliser.work(time.monotonic() + 1.0)
    finaliser.close()
    cpu_s = time.process_time() - used
    count = crates_in(crate_dir) if form == "directories" else _packed_in(crate_dir)
    inodes: dict[int, int] = {}
    for parent, directories, names in os.walk(crate_dir):
        directories[:] = [name for name in directories if not name.startswith(".")]
        for name in (*directories, *names):
            status = os.lstat(os.path.join(parent, name))
            inodes[status.st_ino] = status.st_blocks * 512
    sizes = {"bytes": sum(inodes.values()) / count, "inodes": len(inodes) / count}
    return {"rate": count / cpu_s, "crates": float(count), **sizes}


def _opened(crate_dir: str, runtime: str) -> tuple[str, Any, Any]:
    """Journal of the only worker, with what reads it and what its end is called, in either tree."""
    try:
        from prov_worker.agent.journal_follower import Follower
        from prov_worker.agent.orphaned_journals import UNKNOWN
    except ImportError:
        follower = importlib.import_module("prov_worker.agent.follower").Follower
        orphans = importlib.import_module("prov_worker.agent.orphans")
        ((journal, *_),) = orphans.journals(crate_dir, runtime)
        return journal, follower, orphans.UNKNOWN
    return drained(crate_dir, runtime), Follower, UNKNOWN


def _packed_in(crate_dir: str) -> int:
    from prov_worker.crate.sources import find_sources

    problems: list[str] = []
    return sum(1 for _ in find_sources(Path(crate_dir), lambda where, error: problems.append(where))) - len(problems)


def packed(crate_dir: str, output: str) -> int:
    """Put crates into packs."""
    from prov_worker.crate.packs.conversion import pack

    return pack(Path(crate_dir), Path(output), keep=True, progress=lambda done, total: None).crates


def zipped(crate_dir: str, output: str) -> dict[str, float]:
    """Assemble a zip; with two processes, if it reads packs."""
    from benchmarks.assemble import answer

    module = _module("prov_worker.run.assembly.assemble", "prov_worker.run.assemble")
    try:
        from prov_worker.run.index.mapping import map_processes
    except ImportError:  # the earlier tree, which has one process
        spread = {}
    else:
        spread = {"mapper": map_processes(2)}
    began = time.perf_counter()
    return answer(module.assemble([Path(crate_dir)], Path(output), module.Options(zip=True), **spread).steps, began)


def indexed(crate_dir: str, output: str) -> dict[str, float]:
    """Index, with two processes."""
    from benchmarks.assemble import answer

    module = _module("prov_worker.run.index.build", "prov_worker.run.index")
    mappers = _module("prov_worker.run.index.mapping", "prov_worker.run.reading")
    processes = getattr(mappers, "map_processes", None) or mappers.in_processes  # as the earlier tree has it
    began = time.perf_counter()
    return answer(module.index([Path(crate_dir)], Path(output), mapper=processes(2)).total, began)


def _module(name: str, earlier: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        return importlib.import_module(earlier)
