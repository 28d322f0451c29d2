"""What workers run in, against what the client runs in: versions, programs, proxies, space, clocks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from prov_worker.diagnose.checks import CHECKS, Check
from prov_worker.diagnose.evidence import Evidence
from prov_worker.finding import Finding, failed, passed, warned
from prov_worker.humanize import duration, size

_LEAST_BYTES = 100 << 20
_LEAST_INODES = 1000
#: Clocks of a cluster agree to milliseconds; what is more than this is no noise of measuring.
_CLOCK_S = 1.0


def _judge(evidence: Evidence) -> Iterator[Finding]:
    for task, answer in evidence.answers("environment"):
        python = f"{task.value['worker']['executable']} on {task.host}"
        yield from _versions(answer["versions"], evidence.here, python)
        if answer["endpoint_program"] is None:
            yield warned(
                "PATH",
                f"globus-compute-endpoint is not on the PATH of workers ({_short(answer['path'])})",
                "later blocks may not start: let worker_init put its directory there",
            )
        else:
            missing = answer["missing_path"]
            note = f"; {len(missing)} of its directories are not there" if missing else ""
            yield passed("PATH", f"{answer['endpoint_program']}{note}")
        yield from _proxies(answer)
        yield from _disks(answer["disks"])
        yield passed("umask", str(answer["umask"]))
    yield from _clock(evidence)


def _versions(there: dict[str, str | None], here: dict[str, str | None], python: str) -> Iterator[Finding]:
    # What one minor release of Python pickles is not always read by another; dill writes code for its own release.
    for name, parts, remedy in (
        ("python", 2, "run the client and the workers on one minor release of Python, or send functions as source"),
        ("dill", 3, "install the same dill on both sides; globus-compute-sdk pins one"),
        ("globus-compute-sdk", 2, "install the same minor release on both sides"),
        ("parsl", 3, "install the same parsl for endpoint and workers; globus-compute-endpoint pins one"),
        ("prov-worker", 3, "install the same release on both sides"),
    ):
        title = "Python" if name == "python" else name
        mine, theirs = here.get(name), there.get(name)
        if theirs is None:
            if name != "prov-worker":  # said by the check of crates
                yield warned(
                    title, f"is not installed for {python}", "let worker_init reach the endpoint's environment"
                )
        elif mine is None:
            yield passed(title, f"{theirs} at the workers; not installed here")
        elif mine.split(".")[:parts] != theirs.split(".")[:parts]:
            yield warned(title, f"{theirs} at the workers, {mine} here ({python})", remedy)
        else:
            yield passed(title, theirs if mine == theirs else f"{theirs} at the workers, {mine} here")


def _proxies(answer: dict[str, Any]) -> Iterator[Finding]:
    proxies = answer["proxies"]
    for proxy in proxies:
        if proxy["error"] is not None:
            yield failed(
                "proxy",
                f"{proxy['variable']}={proxy['url']} takes no connection from the worker: {proxy['error']}",
                "correct it in worker_init or in the endpoint's user_environment.yaml, or unset it",
            )
    by_name: dict[str, set[str]] = {}
    for proxy in proxies:
        by_name.setdefault(proxy["variable"].lower(), set()).add(proxy["url"])
    for name, urls in by_name.items():
        if len(urls) > 1:
            yield warned("proxy", f"{name} and {name.upper()} differ: programs take either", "set both alike")
    if all(proxy["error"] is None for proxy in proxies):
        variables = ", ".join(f"{proxy['variable']}={proxy['url']}" for proxy in proxies)
        yield passed("proxy", variables or "none is set")


def _disks(disks: list[dict[str, Any]]) -> Iterator[Finding]:
    for disk in disks:
        place = f"{disk['name']} {disk['path']}"
        if disk["error"] is not None:
            yield failed(
                "disk", f"{place}: a trial file cannot be written: {disk['error']}", "make space or rights there"
            )
        elif disk["free_bytes"] < _LEAST_BYTES or (disk["free_inodes"] or _LEAST_INODES) < _LEAST_INODES:
            inodes = "" if disk["free_inodes"] is None else f", {disk['free_inodes']:,} inodes"
            yield warned("disk", f"{place}: {size(disk['free_bytes'])}{inodes} free", "make space there")
        else:
            yield passed("disk", f"{place}: {size(disk['free_bytes'])} free")


def _clock(evidence: Evidence) -> Iterator[Finding]:
    for host in dict.fromkeys(task.host for task in evidence.tasks if task.value):
        bounds = evidence.clock_offset_s(host)
        if bounds is None:
            continue
        least, most = bounds
        if least <= _CLOCK_S and most >= -_CLOCK_S:
            yield passed("clock", f"{host}: within {duration(max(abs(least), abs(most)))} of this machine's")
            continue
        middle = (least + most) / 2
        mine = None if evidence.report is None else evidence.report.ahead_s
        whose = ""
        if mine is not None:
            wrong = "this machine's is wrong" if abs(mine) > abs(middle + mine) else "the worker's is wrong"
            whose = f"; by the web service's clock, {wrong}"
        yield failed(
            "clock",
            f"{host}: {duration(abs(middle))} {'ahead of' if middle > 0 else 'behind'} this machine's{whose}",
            "have it synchronised (chronyc tracking, timedatectl): endpoints drop commands 3 minutes off, and "
            "times in crates are wrong",
        )


def _short(path: list[str]) -> str:
    return ":".join(path[:3]) + (f":… ({len(path)} directories)" if len(path) > 3 else "")


CHECKS.add("environment", Check(("environment",), _judge), rank=10)
