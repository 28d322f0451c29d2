"""Packs against directories: space and inodes per no-op, crates per second, a zip of a run and an index of them."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

from benchmarks.crates import drained
from benchmarks.harness import Bench, fresh, median, no_agent, quartiles
from benchmarks.rows import Row, Target

FORMS = ("directories", "packs")


def run(bench: Bench) -> list[Row]:
    """Each figure of packs beside that of directories, measured alternately."""
    return [*_no_ops(bench), *_readers(bench)]


def _no_ops(bench: Bench) -> list[Row]:
    count, rounds = bench.pick(4000, 200), bench.pick(5, 1)
    values: dict[str, list[float]] = {}
    for number in range(rounds):
        for form in FORMS:
            bench.say(f"finalising {count} records into {form}, round {number + 1} of {rounds}")
            crate_dir = bench.crate_dir()
            with no_agent(crate_dir) as runtime:
                fresh("benchmarks.packs:record", crate_dir=crate_dir, count=count, form=form)
                answer = fresh("benchmarks.packs:finalise", crate_dir=crate_dir, runtime=runtime)
            assert answer["crates"] == count, f"{answer['crates']} of {count} crates"
            for name in ("rate", "bytes", "inodes"):
                values.setdefault(f"{name} {form}", []).append(answer[name])
            shutil.rmtree(crate_dir)
            shutil.rmtree(runtime, ignore_errors=True)

    def row(name: str, key: str, unit: str, target: Target | None, note: str = "") -> Row:
        packs, directories = values[f"{key} packs"], values[f"{key} directories"]
        note = f"stock: as directories. {note}"
        return Row(name, median(packs), unit, median(directories), target, rounds, **quartiles(packs), note=note)

    return [
        row("bytes on disk per no-op, packs", "bytes", "B", Target(6000), "blocks of all files and directories"),
        row("inodes per no-op, packs", "inodes", "", Target(0.01), "a file with several names counts once"),
        row("crates finalised per second and core, packs", "rate", "/s", None, "per second of processor time"),
    ]


def _readers(bench: Bench) -> list[Row]:
    count, rounds = bench.pick(10_000, 200), bench.pick(3, 1)
    top = Path(bench.crate_dir())
    places = {form: str(top / form) for form in FORMS}
    bench.say(f"making {count:,} step crates, and packs of them")
    fresh("benchmarks.assemble:make", crate_dir=places["directories"], count=count)
    fresh("benchmarks.packs:packed", crate_dir=places["directories"], output=places["packs"])
    values: dict[str, list[float]] = {}
    for number in range(rounds):
        for form, place in places.items():
            bench.say(f"assembling and indexing {count:,} step crates of {form}, round {number + 1} of {rounds}")
            for name, function in (("assemble --zip", "zipped"), ("index", "indexed")):
                output = str(top / f"{name}-{number}-{form}")
                answer = fresh(f"benchmarks.packs:{function}", crate_dir=place, output=output)
                values.setdefault(f"{name} {form}", []).append(answer["wall_s"])
                values.setdefault(f"{name} {form}, memory", []).append(answer["peak_bytes"] / 1e6)
    shutil.rmtree(top)
    rows = []
    for name, bound in (("assemble --zip", 0.4), ("index", 0.5)):
        for unit, more in (("s", ""), ("MB", ", memory")):
            packs, directories = values[f"{name} packs{more}"], values[f"{name} directories{more}"]
            target = Target(bound, of_ratio=True) if unit == "s" else None
            title = f"{name} of {count:,} step crates in packs{more}"
            stock = median(directories)
            rows.append(
                Row(title, median(packs), unit, stock, target, rounds, **quartiles(packs), note="stock: of directories")
            )
    return rows


# -- in fresh processes ----------------------------------------------------------------------------------------------


def record(crate_dir: str, count: int, form: str) -> None:
    """Run no-ops through the real helper; their records stay in the journal."""
    from benchmarks import crates

    crates.record(crate_dir, count, crates=form)


def finalise(crate_dir: str, runtime: str) -> dict[str, float]:
    """Write the crates of a dead worker's journal with the agent's own finaliser, and measure what they take."""
    from prov_worker.agent.finaliser import Finaliser
    from prov_worker.agent.journal_follower import Follower
    from prov_worker.agent.orphaned_journals import UNKNOWN
    from prov_worker.agent.publisher import Publisher
    from prov_worker.crate.sources import find_sources

    publisher = Publisher(crate_dir)
    finaliser = Finaliser(runtime, publisher)
    journal = drained(crate_dir, runtime)
    first = next(iter(Follower(journal, None, "benchmark").read_all()))
    publisher.complete(first, None)  # the node's hardware report, which an agent takes once in its life
    publisher.publish(first, None, None)
    used = time.process_time()
    finaliser.adopt(journal, UNKNOWN)
    finaliser.finish()
    while finaliser.outstanding:
        finaliser.work(time.monotonic() + 1.0)
    finaliser.close()
    cpu_s = time.process_time() - used
    problems: list[str] = []
    count = sum(1 for _ in find_sources(Path(crate_dir), lambda where, error: problems.append(where)))
    inodes: dict[int, int] = {}
    for parent, directories, names in os.walk(crate_dir):
        directories[:] = [name for name in directories if not name.startswith(".")]
        for name in (*directories, *names):
            status = os.lstat(os.path.join(parent, name))
            inodes[status.st_ino] = status.st_blocks * 512
    sizes = {"bytes": sum(inodes.values()) / count, "inodes": len(inodes) / count}
    return {"rate": count / cpu_s, "crates": float(count - len(problems)), **sizes}


def packed(crate_dir: str, output: str) -> int:
    """Put crates into packs."""
    from prov_worker.crate.packs.conversion import pack

    return pack(Path(crate_dir), Path(output), keep=True, progress=lambda done, total: None).crates


def zipped(crate_dir: str, output: str) -> dict[str, float]:
    """Assemble a zip."""
    from benchmarks.assemble import answer
    from prov_worker.run.assembly.assemble import assemble
    from prov_worker.run.assembly.model import Options

    began = time.perf_counter()
    return answer(assemble([Path(crate_dir)], Path(output), Options(zip=True)).steps, began)


def indexed(crate_dir: str, output: str) -> dict[str, float]:
    """Index."""
    from benchmarks.assemble import answer
    from prov_worker.run.index.build import index

    began = time.perf_counter()
    return answer(index([Path(crate_dir)], Path(output)).total, began)
