"""Joules of a task: over any span, and its share of them."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from prov_worker.accelerators import NodeGpus
from prov_worker.agent.buffers import History, Quantity
from prov_worker.agent.energy_meter import EnergyMeter
from prov_worker.agent.energy_share import apportion
from prov_worker.agent.node_meter import GpuMeters
from prov_worker.counters import Usage
from prov_worker.model import Energy
from prov_worker.probes.energy import EnergyCounter
from prov_worker.probes.gpus import GpuMeter, GpuSample
from support.crate_dir import wait_until

S = 1_000_000_000


class Counter(EnergyCounter):
    """A described counter."""

    value: float | None = 0.0

    def read(self) -> float | None:
        return self.value

    def close(self) -> None:
        self.value = None


def test_what_a_node_drew_over_a_span(tmp_path: Path) -> None:
    node, cpu = Counter("node", "a meter"), Counter("cpu", "another")
    stat = tmp_path / "stat"
    meter = EnergyMeter([node, cpu], str(stat)) if stat.write_text("cpu 0 0 0 0 0 0 0 0\n") else None
    assert meter is not None
    for second in range(5):
        node.value, cpu.value = 1000 + 200.0 * second, 50.0 * second
        stat.write_text(f"cpu  {100 * second} 0 0 {250 * second} {50 * second} 0 0 0 0 0\n")
        meter.tick(second * S, busy=True)
    energy = meter.between(S // 2, 4 * S)
    assert energy == Energy(3.5, pytest.approx(700.0), pytest.approx(175.0), pytest.approx(0.75))
    assert meter.between(-S, 3 * S) is None, "too much of it was before the first reading"
    late = meter.between(-S // 5, 4 * S)
    assert late == Energy(4.0, pytest.approx(800.0), pytest.approx(200.0), pytest.approx(0.75))
    cpu.value = None
    broken = meter.between(2 * S, 5 * S)
    assert broken is not None
    assert broken.cpu_joules is None
    assert broken.node_joules is not None
    meter.close()


def test_a_node_without_counters_has_nothing_to_read() -> None:
    meter = EnergyMeter([], "/nonexistent")
    meter.tick(S, busy=True)
    assert meter.between(0, 10 * S) is None
    meter.close()


def test_growth_over_a_history_whose_beginning_was_thinned() -> None:
    history = History([Quantity("node", "joule", counter=True)], 1.0, recent_s=32, limit=64)
    for second in range(1000):
        history.add(second * S, [3.0 * second])
    assert history.grown(500 * S, 600 * S) == [pytest.approx(300.0, abs=3.0)]
    assert history.grown(10 * S + S // 2, 999 * S) == [pytest.approx(3 * 988.5, abs=3.0)]
    assert history.grown(998 * S + S // 2, 998 * S + S // 2) == [0.0]
    assert history.grown(0, 2000 * S) is None


def test_shares_of_tasks_side_by_side_are_no_more_than_what_was_counted() -> None:
    """Four logical CPUs: two tasks that use two and one of them, over ten seconds."""
    energy = Energy(10.0, node_joules=4000.0, cpu_joules=1000.0, idle_share=0.25)
    usages = [Usage(cpu_user_s=20.0), Usage(cpu_user_s=10.0)]
    for usage in usages:
        apportion(usage, energy, 10.0, 4, {})
    assert [usage.cpu_energy_joules for usage in usages] == [500.0, 250.0]
    assert [usage.node_energy_joules for usage in usages] == [4000.0, 4000.0]
    assert usages[0].node_idle_percent == 25.0
    assert usages[0].gpu_energy_joules is None


def test_a_look_after_the_end_is_not_the_tasks() -> None:
    usage = Usage(cpu_user_s=2.0)
    apportion(usage, Energy(2.5, 250.0, 50.0, 0.0), 2.0, 1, {})
    assert (usage.node_energy_joules, usage.cpu_energy_joules) == (200.0, 40.0)


@pytest.mark.parametrize(
    ("variables", "joules"),
    [
        ({"CUDA_VISIBLE_DEVICES": "1"}, 30.0),
        ({"CUDA_VISIBLE_DEVICES": "0,1"}, 50.0),
        ({"CUDA_VISIBLE_DEVICES": ""}, None),
        ({"CUDA_VISIBLE_DEVICES": "1,3"}, None),
        ({"CUDA_VISIBLE_DEVICES": "GPU-5e3c"}, None),
        ({}, None),
    ],
    ids=["one", "two", "none", "one-does-not-count", "by-uuid", "not-restricted"],
)
def test_gpus_that_the_worker_was_given(variables: dict[str, str], joules: float | None) -> None:
    usage = Usage(cpu_user_s=1.0)
    apportion(usage, Energy(10.0, gpu_joules={0: 20.0, 1: 30.0}), 10.0, 8, variables)
    assert usage.gpu_energy_joules == joules


def test_energy_of_gpus_that_cuda_may_count_otherwise() -> None:
    usage = Usage(cpu_user_s=1.0)
    energy = Energy(10.0, gpu_joules={0: 20.0, 1: 30.0}, gpus=NodeGpus("nvidia", mixed=True))
    apportion(usage, energy, 10.0, 8, {"CUDA_VISIBLE_DEVICES": "1"})
    assert usage.gpu_energy_joules is None


class Gpu(GpuMeter):
    """A described device that draws a joule per reading."""

    def __init__(self, index: int, *, counts: bool) -> None:
        super().__init__(index, "amd", None)
        self.joules: float | None = 100.0 if counts else None

    def read(self) -> GpuSample:
        if self.joules is not None:
            self.joules += 1.0
        return GpuSample(utilization_percent=1.0, energy_joules=self.joules)

    def close(self) -> None:
        """Nothing is open."""


def test_gpus_are_read_while_they_are_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    counting = Gpu(0, counts=True)
    gpus = GpuMeters(0.5, lambda: [counting, Gpu(1, counts=False)])
    try:
        wait_until(lambda: gpus.history is not None and gpus.history.last_ns > 0, "the first reading")
        assert gpus.history is not None
        start, before = gpus.history.last_ns, counting.joules or 0.0
        wait_until(lambda: (counting.joules or 0.0) >= before + 3, "three more")
        joules = gpus.joules(start, gpus.history.last_ns)
        assert joules.keys() == {0}
        # A reading may come between two looks of this test.
        assert joules[0] == pytest.approx((counting.joules or 0.0) - before, abs=1.01)
        assert gpus.joules(gpus.history.last_ns + S, gpus.history.last_ns + 2 * S) == {}
        assert gpus.latest()[0][0] == 1.0
        gpus.ask(None)
        monotonic_ns = time.monotonic_ns
        monkeypatch.setattr(time, "monotonic_ns", lambda: monotonic_ns() + 60 * S)
        assert gpus.latest() == {}  # old: nobody wants them any more
    finally:
        gpus.close()
