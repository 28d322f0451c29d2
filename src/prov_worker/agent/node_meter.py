"""What the whole node does: CPU in total and per logical CPU, memory in use, and the GPUs.

CPU figures are differences of ``/proc/stat``: busy is everything but idle, iowait and steal, which other virtual
machines had; guest time is part of user time and is not counted twice. A first reading gives no figure, because there
is nothing to take it from. Of iowait proc(5) says that it may decrease, and idle and steal do on some kernels: a field
that falls counts as no progress, as in psutil.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from itertools import accumulate

from prov_worker.accelerators import UNKNOWN_GPUS, node_gpus
from prov_worker.agent.buffers import History, Quantity

_NAN = float("nan")
#: Nodes with more logical CPUs than this are read less often: the kernel takes long to write /proc/stat for them.
_MANY_CPUS = 64
_SLOW_INTERVAL_S = 0.25
_GPU_INTERVAL_S = 0.5
#: Readings that are so many intervals old are no longer shown as those of now.
_STALE_TIMES = 10
#: Places of the fields of a line of /proc/stat that are no work.
_IDLE, _IOWAIT, _STEAL = 3, 4, 7
#: How much earlier than due a tick may come.
_SLACK_NS = 20_000_000
#: Samples of the agent's whole life: hundreds of columns must fit beside the workers.
_LONG_LIMIT = 1024


class NodeMeter:
    """Readings of this node, kept as a :class:`~prov_worker.agent.buffers.History`.

    Args:
        poll_interval_s: what the workers ask for; large nodes are read no faster than each 0.25 s.
    """

    def __init__(self, poll_interval_s: float) -> None:
        self._stat = os.open("/proc/stat", os.O_RDONLY | os.O_CLOEXEC)
        self._meminfo = os.open("/proc/meminfo", os.O_RDONLY | os.O_CLOEXEC)
        self._before = self._times(True)
        cpus = [name for name in self._before if name != "cpu"]
        self._shortest_s = _SLOW_INTERVAL_S if len(cpus) > _MANY_CPUS else 0.0
        self.interval_s = max(poll_interval_s, self._shortest_s)
        self._cpus_s: float | None = self.interval_s
        quantities = [
            Quantity("cpu_percent", "percent", "node"),
            Quantity("memory_used_bytes", "byte", "node"),
            *(Quantity(f"{name}_percent", "percent", f"cpu:{name[3:]}") for name in cpus),
        ]
        self._cpus = cpus
        self.history = History(quantities, self.interval_s, limit=_LONG_LIMIT)
        self._next_ns = 0
        self._cpus_next_ns = 0

    def ask(self, node_s: float | None, cpus_s: float | None) -> None:
        """Read at other intervals from now on: seconds, of the node and of each CPU; None is not at all."""
        self._cpus_s = cpus_s
        self.interval_s = max(min(s for s in (node_s, cpus_s, 3600.0) if s is not None), self._shortest_s)
        self.history.interval_s = self.interval_s

    def tick(self, mono_ns: int) -> None:
        """Take a reading if one is due."""
        interval_ns = int(self.interval_s * 1e9)
        if mono_ns + min(2 * interval_ns // 5, _SLACK_NS) < self._next_ns:
            return
        # from the time that was due, and not from now: a tick that comes a little early must not skip a reading
        self._next_ns = max((self._next_ns or mono_ns) + interval_ns, mono_ns + interval_ns // 2)
        cpus = self._cpus_s is not None and mono_ns + 2 * interval_ns // 5 >= self._cpus_next_ns
        if cpus and self._cpus_s is not None:
            cpus_ns = int(self._cpus_s * 1e9)
            self._cpus_next_ns = max((self._cpus_next_ns or mono_ns) + cpus_ns, mono_ns + cpus_ns // 2)
        before, now = self._before, self._times(cpus)
        row = [_percent(before.get("cpu"), now.get("cpu"), len(self._cpus)), self._memory_used()]
        if cpus:
            row.extend(_percent(before.get(name), now.get(name), 1) for name in self._cpus)
            self._before = now
        else:
            row.extend([_NAN] * len(self._cpus))
            before.update(now)
        self.history.add(mono_ns, row)

    def _times(self, cpus: bool) -> dict[str, list[int]]:
        """Return ticks of ``cpu`` and, with ``cpus``, of each ``cpuN``: user, nice, system, idle, iowait, ..."""
        times: dict[str, list[int]] = {}
        for line in os.pread(self._stat, 1 << 16, 0).split(b"\n"):
            if not line.startswith(b"cpu") or (times and not cpus):
                break
            fields = line.split(None, 9)
            times[fields[0].decode()] = [int(word) for word in fields[1:9]]
        return times

    def _memory_used(self) -> float:
        try:
            text = os.pread(self._meminfo, 256, 0)
            total = int(text.split(b"MemTotal:", 1)[1].split(None, 1)[0])
            available = int(text.split(b"MemAvailable:", 1)[1].split(None, 1)[0])
        except (OSError, IndexError, ValueError):
            return _NAN
        return float((total - available) * 1024)


def _percent(before: list[int] | None, now: list[int] | None, scale: int) -> float:
    """Return busy share between two readings, at most ``scale`` times 100; 100 is one logical CPU."""
    if before is None or now is None:
        return _NAN
    grown = [max(0, later - earlier) for earlier, later in zip(before, now, strict=True)]
    total = sum(grown)
    return 100.0 * scale * (total - grown[_IDLE] - grown[_IOWAIT] - grown[_STEAL]) / total if total else _NAN


class GpuMeters:
    """Readings of the node's GPUs, in a thread of their own: a driver that hangs must not stop the clock.

    Args:
        poll_interval_s: what the workers ask for; GPUs are read no faster than each 0.5 s, because their own
            utilisation counters average over a good part of that.
    """

    def __init__(self, poll_interval_s: float, opener: Callable[[], list] | None = None) -> None:  # type: ignore[type-arg]
        # Not in the thread: two threads that import modules of one package at the same moment can both fail.
        from prov_worker.probes.gpus import open_gpus

        self._interval_s = max(poll_interval_s, _GPU_INTERVAL_S)
        self._wanted = True
        self._opener = opener or open_gpus
        self.history: History | None = None
        #: Joules of each GPU, in the order of ``_numbers``.
        self._energy: History | None = None
        self._numbers: list[int] = []
        self._places: list[int] = []
        #: How they are counted.
        self.gpus = UNKNOWN_GPUS
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="gpus", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        meters = self._opener()
        if not meters:
            return
        quantities = []
        for meter in meters:
            subject = f"gpu:{meter.index}"
            prefix = f"gpu{meter.index}"
            quantities += [
                Quantity(f"{prefix}_utilization_percent", "percent", subject),
                Quantity(f"{prefix}_memory_used_bytes", "byte", subject),
                Quantity(f"{prefix}_power_watts", "watt", subject),
                Quantity(f"{prefix}_temperature_celsius", "celsius", subject),
                *(Quantity(f"{prefix}_{name}", unit, subject) for name, unit in meter.more),
            ]
        history = History(quantities, self._interval_s)
        energy = History([Quantity(f"gpu{m.index}", "joule", counter=True) for m in meters], self._interval_s)
        self._numbers = [meter.index for meter in meters]
        self._places = list(accumulate((4 + len(meter.more) for meter in meters), initial=0))
        self.gpus = node_gpus((meter.vendor, meter.model, meter.partition) for meter in meters)
        self.history, self._energy = history, energy
        while not self._stop.is_set():
            if not self._wanted:
                self._stop.wait(_GPU_INTERVAL_S)
                continue
            row: list[float] = []
            joules: list[float] = []
            for meter in meters:
                sample = meter.read()
                joules.append(_NAN if sample.energy_joules is None else sample.energy_joules)
                row += [
                    _NAN if value is None else float(value)
                    for value in (
                        sample.utilization_percent,
                        sample.memory_used_bytes,
                        sample.power_watts,
                        sample.temperature_celsius,
                        # a driver that is gone gives an empty sample
                        *(sample.more or (None,) * len(meter.more)),
                    )
                ]
            now = time.monotonic_ns()
            history.add(now, row)
            energy.add(now, joules)
            self._stop.wait(self._interval_s)
        for meter in meters:
            meter.close()

    def joules(self, start_ns: int, end_ns: int) -> dict[int, float]:
        """Return what each GPU drew within a span, by its number; those that count, and were read all the time.

        The last reading may be a moment before the end: what came after it is taken to be as before.
        """
        energy = self._energy
        last_ns = 0 if energy is None else energy.last_ns
        if energy is None or last_ns <= start_ns:
            return {}
        until_ns = min(end_ns, last_ns)
        grown = energy.grown(start_ns, until_ns) or []
        longer = (end_ns - start_ns) / (until_ns - start_ns)
        return {number: value * longer for number, value in zip(self._numbers, grown, strict=False) if value >= 0}

    def latest(self) -> dict[int, list[float]]:
        """Return the last readings of each GPU, by its number: utilisation, memory, power, temperature."""
        history = self.history
        if history is None or time.monotonic_ns() - history.last_ns > _STALE_TIMES * self._interval_s * 1e9:
            return {}  # nobody wants them at present, or a driver hangs
        row = history.latest()
        return {
            number: row[place : place + 4] for place, number in zip(self._places, self._numbers, strict=False) if row
        }

    def ask(self, interval_s: float | None) -> None:
        """Read at another interval from now on; None is not at all."""
        self._wanted = interval_s is not None
        if interval_s is not None:
            self._interval_s = max(interval_s, _GPU_INTERVAL_S)
            if self.history is not None:
                self.history.interval_s = self._interval_s

    def close(self) -> None:
        """Stop reading; does not wait for a driver that hangs."""
        self._stop.set()
