"""What a function's figures suggest to change, in words, with the figures that say so.

Each rule is one function with its thresholds in the open. A rule speaks only if a change would matter: it stays
silent about functions of few or cheap attempts.
"""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from prov_worker.humanize import duration, number, plural, size
from prov_worker.run.report.figures import FunctionFigures, gaps
from prov_worker.run.report.model import Gathered, NodeFacts, Row

#: A node's share that must lie idle before advice is given about it.
IDLE_SHARE = 0.5
#: Functions that took less than this in all are left alone, in seconds, unless they fail.
WORTH_S = 10.0
#: Tasks shorter than this are compared with the pauses between them, in seconds.
SHORT_S = 1.0
#: Median CPUs busy below which a function mostly waits.
WAITING_CPUS = 0.25
#: Share of a node's CPUs that are busy from which a task that keeps none busy may have waited for one.
CONTENDED_LOAD = 0.9
#: Share of context switches that took the CPU away from which a task waited for it, and the switches that it takes.
LOST_SHARE, LEAST_SWITCHES = 0.5, 100
#: Share of the node's memory that a task's peak must reach to be called close.
CLOSE_SHARE = 0.9
#: A straggler takes this many times the median, and at least this many seconds more.
STRAGGLER_TIMES, STRAGGLER_S = 4.0, 2.0
#: Share of failed attempts from which failing is advice and not chance.
FAILING_SHARE = 0.05
#: Those that the page explains below its advice, by name.
LIMITS = {
    "worth_s": WORTH_S,
    "idle": IDLE_SHARE,
    "short_s": SHORT_S,
    "waiting": WAITING_CPUS,
    "load": CONTENDED_LOAD,
    "lost": LOST_SHARE,
    "switches": LEAST_SWITCHES,
    "close": CLOSE_SHARE,
    "times": STRAGGLER_TIMES,
    "longer_s": STRAGGLER_S,
    "failing": FAILING_SHARE,
}


@dataclass(frozen=True, slots=True)
class Advice:
    """One thing to change.

    Attributes:
        function: position of the function.
        kind: name of the rule.
        finding: what was seen, with figures.
        action: what to do about it.
        weight: how much it matters, to sort by; hours of a CPU, roughly.
    """

    function: int
    kind: str
    finding: str
    action: str
    weight: float


def advise(data: Gathered, functions: list[FunctionFigures]) -> list[Advice]:
    """Return all advice about a run, what matters most first."""
    advice_list: list[Advice] = []
    pause = statistics.median(between) if len(between := gaps(data.rows)) >= 5 else None
    for function in functions:
        advice_list += _failing(function)
        if function.wall_sum_s < WORTH_S:
            continue
        for rule in _RULES:
            advice_list += rule(function, data)
        if pause is not None:
            advice_list += _short(function, pause)
    advice_list.sort(key=lambda advice: -advice.weight)
    return advice_list


def _failing(function: FunctionFigures) -> Iterator[Advice]:
    if (
        function.attempts < 2
        or not function.failed
        or (function.failed < FAILING_SHARE * function.attempts and not any(row.signal for row in function.rows))
    ):
        return
    killed = [row for row in function.rows if row.signal == "SIGKILL"]
    weight = sum(row.wall_s for row in function.rows if row.failed) / 3600 + function.failed
    if killed:
        need = _memory_need(function, killed)
        hint = (
            f"Peak memory was {size(need.peak)} a task with up to {need.together} at once on {size(need.memory)}: run "
            "fewer at once (max_workers_per_node), or ask for more memory."
            if need is not None and need.share >= CLOSE_SHARE
            else "SIGKILL comes from the kernel when memory runs out, from a scheduler at a limit, or from an "
            "operator: look at the node's log for that moment."
        )
        yield Advice(
            function.index,
            "killed",
            f"{plural(len(killed), 'attempt')} of {number(function.attempts)} {_were(len(killed))} killed by SIGKILL.",
            hint,
            weight,
        )
    others = function.failed - len(killed)
    if others and others >= FAILING_SHARE * function.attempts:
        errors = Counter(row.error for row in function.rows if row.failed and row.signal != "SIGKILL")
        _, most = errors.most_common(1)[0]
        kinds = (
            f"{plural(len(errors), 'error')}, the most frequent {plural(most, 'time')}"
            if most < others
            else "the same error"
        )
        yield Advice(
            function.index,
            "failing",
            f"{number(others)} of {plural(function.attempts, 'attempt')} ended with {kinds}.",
            "Repeating does not repair an error of the code: see the failures above, the most frequent first.",
            weight,
        )


def _nodes(function: FunctionFigures, data: Gathered) -> list[NodeFacts]:
    """Return nodes on which a function ran."""
    return [data.nodes[index] for index in {row.node for row in function.rows}]


class _MemoryNeed(NamedTuple):
    """What attempts of a function may need at once in one batch job on one node, in bytes, and what there is."""

    peak: int
    together: int
    memory: int

    @property
    def needed(self) -> int:
        return self.peak * self.together

    @property
    def share(self) -> float:
        return self.needed / self.memory


def _memory_need(function: FunctionFigures, rows: Iterable[Row]) -> _MemoryNeed | None:
    """Return the need that is closest to its limit, of all nodes and jobs; None if sizes are not known.

    Peak, number at once and limit are of one place: another node's or another job's memory is not theirs.
    """
    places: dict[tuple[int, str | None], list[Row]] = defaultdict(list)
    for row in rows:
        if row.rss_bytes and row.memory_bytes:
            places[row.node, row.job].append(row)
    needs = (
        _MemoryNeed(
            max(row.rss_bytes or 0 for row in group),
            function.in_job.get(place, 1),
            min(row.memory_bytes or 0 for row in group),
        )
        for place, group in places.items()
    )
    return max(needs, key=lambda need: need.share, default=None)


def _were(count: int) -> str:
    return "was" if count == 1 else "were"


def _cpus(function: FunctionFigures, data: Gathered) -> Iterator[Advice]:
    """Advise on functions that may use many CPUs and used few, while the rest of the node did nothing either."""
    nodes = _nodes(function, data)
    cpus = min((node.cpus for node in nodes if node.cpus), default=None)
    if function.cpus_used is None or function.cpus_allowed is None or cpus is None or function.cpus_used < WAITING_CPUS:
        return
    occupied = function.cpus_used * function.together
    if (
        function.cpus_allowed < 2
        or function.cpus_allowed < 2 * function.cpus_used
        or occupied > (1 - IDLE_SHARE) * cpus
    ):
        return
    fit = int(cpus // max(function.cpus_used, 1.0))
    busy = [node.cpu.mean / node.cpus for node in nodes if node.cpus and node.cpu.mean is not None]
    if fit <= function.together or (busy and min(busy) > 1 - IDLE_SHARE):
        return  # no space: what the tasks left, others used
    yield Advice(
        function.index,
        "cpus",
        f"Allowed {number(function.cpus_allowed)} CPUs, used {function.cpus_used:.1f}; "
        f"at most {function.together} at once on a node of {plural(cpus, 'CPU')}.",
        f"Up to {fit} would fit on a node: raise max_workers_per_node, or let each task use more threads.",
        function.wall_sum_s / 3600 * (cpus / function.together - function.cpus_used),
    )


def _waiting(function: FunctionFigures, data: Gathered) -> Iterator[Advice]:
    """Advise on functions that keep no CPU busy: they wait for something."""
    if function.cpus_used is None or function.cpus_used >= WAITING_CPUS or function.wall_median_s < SHORT_S:
        return
    if function.gpus_held and (function.gpu_busy is None or function.gpu_busy > 0.1):
        return
    starved = _starved(function.rows, data)
    if starved is not None:
        yield Advice(
            function.index,
            "contended",
            f"Kept {function.cpus_used:.2f} of a CPU busy over a median of "
            f"{duration(function.wall_median_s)}; {starved}",
            "Run fewer tasks at once (max_workers_per_node), or give each more CPUs; a container's limit counts too.",
            function.wall_sum_s / 3600 * (1 - function.cpus_used),
        )
        return
    yield Advice(
        function.index,
        "waiting",
        f"Kept {function.cpus_used:.2f} of a CPU busy over a median of {duration(function.wall_median_s)}: "
        "it mostly waits.",
        "If it waits for a network or a file system, more workers than CPUs cost nothing; if it sleeps, let it end.",
        function.wall_sum_s / 3600 * (1 - function.cpus_used),
    )


def _load(rows: Iterable[Row], data: Gathered) -> float | None:
    """Return the share of their nodes' CPUs that was busy while attempts ran, weighted by time; None if not sampled."""
    busy_s = total_s = 0.0
    for row in rows:
        node = data.nodes[row.node]
        mean = node.cpu.mean_between(row.start_ns, row.end_ns) if node.cpus else None
        if mean is not None and node.cpus:
            busy_s += row.wall_s * mean / node.cpus
            total_s += row.wall_s
    return busy_s / total_s if total_s else None


def _starved(rows: list[Row], data: Gathered) -> str | None:
    """Return what says that attempts waited for a CPU, and not for anything else; None if nothing does."""
    counted = [row for row in rows if row.involuntary is not None and row.voluntary is not None]
    lost = sum(row.involuntary or 0 for row in counted)
    switches = lost + sum(row.voluntary or 0 for row in counted)
    if switches >= LEAST_SWITCHES and lost > LOST_SHARE * switches:
        return f"{100 * lost / switches:.0f} % of its context switches took the CPU away from it: it waited for a CPU."
    if counted and switches < LEAST_SWITCHES:
        return None  # who sleeps loses nothing to others
    load = _load(rows, data)
    if load is None or load < CONTENDED_LOAD:
        return None
    return f"{100 * load:.0f} % of the CPUs of its nodes were busy: it may have waited for a CPU."


def _gpus(function: FunctionFigures, data: Gathered) -> Iterator[Advice]:
    """Advise on functions that hold GPUs and do not use them."""
    if not function.gpus_held or function.gpus_used is None or function.gpu_busy is None:
        return
    if function.gpus_used >= function.gpus_held and function.gpu_busy >= IDLE_SHARE / 2 * function.gpus_held:
        return
    # a GPU's hour is worth many of a CPU's
    weight = 20 * function.wall_sum_s / 3600 * (function.gpus_held - function.gpu_busy)
    if function.gpus_used < function.gpus_held:
        idle_hours = function.gpu_hours - function.gpu_hours * function.gpus_used / function.gpus_held
        rest = (
            "run it on a block or endpoint without GPUs"
            if function.gpus_used == 0
            else f"give each worker {number(function.gpus_used)} by available_accelerators"
        )
        yield Advice(
            function.index,
            "gpus",
            f"{_gpu_count(function.gpus_held)} visible, used {number(function.gpus_used)}.",
            f"The others stood idle for {number(idle_hours)} GPU hours: {rest}.",
            weight,
        )
    else:
        yield Advice(
            function.index,
            "gpus",
            f"Its {_gpu_count(function.gpus_held)} {'was' if function.gpus_held == 1 else 'were'} busy "
            f"{100 * function.gpu_busy / function.gpus_held:.0f} % of the time.",
            "Larger batches, or several workers a GPU (an accelerator listed twice, CUDA MPS or MIG), would use more.",
            weight,
        )


def _gpu_count(count: float) -> str:
    return "1 GPU" if count == 1 else f"{number(count)} GPUs"


def _memory(function: FunctionFigures, data: Gathered) -> Iterator[Advice]:
    """Advise on memory: close to the node's, or so far below that it could be another node."""
    need = _memory_need(function, function.rows)
    if need is None:
        return
    if need.share >= CLOSE_SHARE:
        yield Advice(
            function.index,
            "memory",
            f"Peak {size(need.peak)} a task, up to {need.together} at once: {size(need.needed)} of "
            f"{size(need.memory)} that tasks may use.",
            "Run fewer at once, or expect the kernel to kill one.",
            function.wall_sum_s / 3600 + 10,
        )
    elif need.share <= 0.1:
        yield Advice(
            function.index,
            "memory",
            f"Peak {size(need.peak)} a task, {size(need.needed)} with {need.together} at once: "
            f"{100 * need.share:.0f} % of {size(need.memory)} that tasks may use.",
            f"Memory does not limit this: it has space for {number(int(0.9 * need.memory // need.peak))} at once.",
            function.wall_sum_s / 36000,
        )


def _stragglers(function: FunctionFigures, data: Gathered) -> Iterator[Advice]:
    """Yield a few attempts that take far longer than the rest."""
    limit = max(STRAGGLER_TIMES * function.wall_median_s, function.wall_median_s + STRAGGLER_S)
    slow = [row for row in function.rows if row.wall_s > limit]
    if function.attempts < 10 or not slow or len(slow) > 0.1 * function.attempts:
        return
    where = {row.node for row in slow}
    place = (
        "all on one node: look at that node"
        if len(where) == 1 and len(slow) > 2 and len(_nodes(function, data)) > 1
        else ("sort the tasks by duration and compare their arguments")
    )
    yield Advice(
        function.index,
        "stragglers",
        f"{plural(len(slow), 'attempt')} took more than {duration(limit)}, the longest "
        f"{duration(function.wall_max_s)}; the median is {duration(function.wall_median_s)}.",
        f"Start long ones first, or split them; {place}.",
        sum(row.wall_s - function.wall_median_s for row in slow) / 3600,
    )


def _short(function: FunctionFigures, pause: float) -> Iterator[Advice]:
    """Advise on many tasks that are shorter than the pause between two of them."""
    short = [row for row in function.rows if row.wall_s < min(pause, SHORT_S)]
    if len(short) < max(20, 0.5 * function.attempts):
        return
    yield Advice(
        function.index,
        "short",
        f"{number(len(short))} of {plural(function.attempts, 'attempt')} took less than the {duration(pause)} that lie "
        "between two tasks of a worker (median).",
        "More time goes to handing tasks over than to running them: let one task work on a list of inputs.",
        len(short) * pause / 3600,
    )


_RULES: tuple[Callable[[FunctionFigures, Gathered], Iterator[Advice]], ...] = (
    _cpus,
    _waiting,
    _gpus,
    _memory,
    _stragglers,
)
