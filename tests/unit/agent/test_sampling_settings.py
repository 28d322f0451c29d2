"""What settings ask of the sampler, and what is taken out of series for a task that asked for less."""

from __future__ import annotations

import os
import time
import uuid
from pathlib import Path

import pytest

from prov_worker.agent.node_meter import NodeMeter
from prov_worker.agent.sampler import Sampler
from prov_worker.agent.sampling_settings import Plan, restrict
from prov_worker.model import Column, Energy, Series, TaskSeries
from prov_worker.probes import ProbeContext
from prov_worker.probes.energy import ENERGY_SOURCES, EnergyCounter
from prov_worker.probes.energy.base import EnergySource
from prov_worker.processes import process_start
from prov_worker.spool.slot import OFF, Slot
from prov_worker.telemetry_settings import Telemetry
from prov_worker.worker_settings import TELEMETRY, WorkerSettings

MS = 1_000_000
BEGIN = 10**15


def series_of(**columns: Column) -> Series:
    offsets = [round(0.05 * n, 4) for n in range(1, 21)]
    return Series(0.05, offsets, columns, expected=20, taken=20, longest_gap_s=0.05)


def column(subject: str = "task") -> Column:
    return Column("percent", list(range(20)), subject=subject)


def test_what_is_off_is_taken_out_and_nothing_else() -> None:
    series = TaskSeries(
        task=series_of(cpu_percent=column(), rss_bytes=column()),
        node=series_of(cpu_percent=column("node"), cpu0_percent=column("cpu:0")),
        gpu=series_of(gpu0_power_watts=column("gpu:0")),
    )
    restrict(series, Telemetry(cpu=False, per_cpu=False, gpu=False), 1.0)
    assert series.task is not None
    assert series.node is not None
    assert list(series.task.columns) == ["rss_bytes"]
    assert list(series.node.columns) == ["cpu_percent"]
    assert series.gpu is None
    assert (series.task.expected, series.task.taken, series.task.interval_s) == (20, 20, 0.05)


def test_a_slower_column_has_none_between() -> None:
    series = TaskSeries(task=series_of(cpu_percent=column(), rss_bytes=column()))
    restrict(series, Telemetry(memory=0.25), 1.0)
    assert series.task is not None
    slow = series.task.columns["rss_bytes"]
    assert [n for n, value in enumerate(slow.mean) if value is not None] == [0, 5, 10, 15]
    assert slow.interval_s == 0.25
    assert series.task.columns["cpu_percent"] == column()


def test_readings_that_others_asked_for_are_left_out() -> None:
    series = TaskSeries(node=series_of(cpu_percent=column("node"), cpu0_percent=column("cpu:0")))
    restrict(series, Telemetry(node=0.5, per_cpu=False), 1.0)
    assert series.node is not None
    assert series.node.offset_s == [0.05, 0.55]
    assert (series.node.interval_s, series.node.expected, series.node.taken) == (0.5, 2, 2)
    assert series.node.longest_gap_s == 0.5
    assert series.node.columns["cpu_percent"].mean == [0, 10]


def test_cpus_are_read_as_often_as_asked_beside_the_node() -> None:
    meter = NodeMeter(0.05)
    meter.ask(0.05, 0.2)
    for number in range(40):
        meter.tick(BEGIN + number * 50 * MS)
        time.sleep(0.002)
    history = meter.history.series(BEGIN, BEGIN + 2000 * MS)
    assert history is not None
    assert len(history) == 40
    meter.ask(0.5, None)
    for number in range(40, 80):
        meter.tick(BEGIN + number * 50 * MS)
    later = meter.history.series(BEGIN + 2100 * MS, BEGIN + 4000 * MS)
    assert later is not None
    assert later.offset_s == [0.4, 0.9, 1.4]
    assert [name for name, column in later.columns.items() if column.subject.startswith("cpu:")] == []


def run_task(tmp_path: Path, telemetry: dict[str, bool | float], looks: int = 25) -> tuple[Sampler, TaskSeries | None]:
    """So many looks at this process as a worker's task, at 50 Hz."""
    runtime, spool = tmp_path / "runtime", tmp_path / "spool"
    runtime.mkdir()
    spool.mkdir()
    pid = os.getpid()
    start = process_start(pid)
    journal = spool / f"host-{pid}-{start}.jsonl"
    journal.touch()
    intervals = WorkerSettings({"telemetry": telemetry, "poll_interval": 0.02}).intervals(OFF)
    slot = Slot(str(runtime / f"slot.{pid}"), pid, 0, start, 0.02, str(journal), intervals)
    sampler = Sampler(str(runtime))
    cpu_ns = time.process_time_ns()
    slot.begin(time.time_ns(), time.monotonic_ns(), cpu_ns, uuid.uuid4().bytes, 1)
    latest = None
    for number in range(looks + 15):
        if number == looks:
            slot.end()
        for _, series in sampler.tick(time.monotonic_ns()).series:
            latest = series
        time.sleep(0.02)
    return sampler, latest


def test_the_sampler_follows_what_a_slot_says(tmp_path: Path) -> None:
    off: dict[str, bool | float] = dict.fromkeys(("cpu", "io", "node", "per_cpu", "gpu"), False)
    sampler, series = run_task(tmp_path, {**off, "threads": 0.2})
    sampler.close()
    assert series is not None
    assert series.task is not None
    columns = series.task.columns
    taken = {name: sum(value is not None for value in column.mean) for name, column in columns.items()}
    assert set(taken) == {"rss_bytes", "threads", "children", "children_rss_bytes"}
    assert taken["rss_bytes"] > 2 * taken["threads"] > 0
    assert sampler._gpus is None
    assert sampler._node is None


def test_where_all_is_off_nothing_is_sampled(tmp_path: Path) -> None:
    everything = dict.fromkeys(TELEMETRY, False)
    sampler, series = run_task(tmp_path, {**everything})
    sampler.close()
    assert series is None or list(series.all()) == []


def test_a_plan_names_what_is_on() -> None:
    assert Plan.of(WorkerSettings({}).intervals(OFF), 0.05) is None
    telemetry = {"cpu": 1.0, "io": False, "gpu": 2.0, "node": False}
    plan = Plan.of(WorkerSettings({"telemetry": telemetry}).intervals(OFF), 0.05)
    assert plan is not None
    assert plan.task == {"cpu": 1.0, "memory": 0.05, "threads": 0.05, "children": 0.05}
    assert (plan.row_s, plan.node, plan.per_cpu, plan.gpu) == (0.05, None, 0.05, 2.0)


class Growing(EnergySource, EnergyCounter):
    """A described node that draws a joule per reading of its counter."""

    joules = 0.0

    def __init__(self) -> None:
        super().__init__("node", "a meter")

    def open(self, context: ProbeContext) -> list[EnergyCounter]:
        return [self]

    def read(self) -> float:
        self.joules += 1.0
        return self.joules

    def close(self) -> None:
        """Nothing is open."""


@pytest.mark.parametrize("node", [True, False])
def test_energy_is_counted_with_the_node(tmp_path: Path, node: bool) -> None:
    counter = Growing()
    with ENERGY_SOURCES.temporary("described", counter, rank=-1):
        sampler, series = run_task(tmp_path, {"gpu": False, "node": node, "per_cpu": False}, looks=75)
        sampler.close()
    assert series is not None
    if not node:
        assert series.energy is None
        return
    assert series.energy is not None
    assert series.energy.node_joules is not None
    assert 0 < series.energy.node_joules < counter.joules
    assert series.energy.span_s >= 1.0


def test_energy_that_was_not_asked_for_is_taken_out() -> None:
    """Workers of a node share its readings, also of what one of them has switched off."""
    series = TaskSeries(energy=Energy(2.0, 100.0, 50.0, 0.5, {0: 7.0}))
    restrict(series, Telemetry(node=False), 2.0)
    assert series.energy == Energy(2.0, gpu_joules={0: 7.0})
    restrict(series, Telemetry(gpu=False), 2.0)
    assert series.energy == Energy(2.0)
