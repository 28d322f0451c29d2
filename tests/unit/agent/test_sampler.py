"""The sampler: tasks as their slots say, and workers that die."""

from __future__ import annotations

import os
import signal
import time
import uuid

from prov_worker.agent.sampler import Sampler
from prov_worker.processes import process_start
from support.spools import Spool


def test_the_sampler_follows_a_task_and_sees_its_worker_die(spool: Spool) -> None:
    task = uuid.uuid4()
    pid = os.fork()
    if pid == 0:
        while True:
            time.sleep(0.01)
    try:
        slot = spool.slot(spool.journal(), pid=pid, start=process_start(pid))
        sampler = Sampler(spool.runtime)
        first = sampler.tick(time.monotonic_ns())
        assert (first.slots, first.alive) == ([slot.path], 1)
        assert not sampler.is_new(slot.path)
        slot.begin(time.time_ns(), time.monotonic_ns(), 0, task.bytes, 1)
        for _ in range(4):
            time.sleep(0.06)
            sampler.tick(time.monotonic_ns())
        os.kill(pid, signal.SIGKILL)
        until = time.monotonic() + 10
        last = sampler.tick(time.monotonic_ns())
        while not last.deaths and time.monotonic() < until:
            sampler.wait(time.monotonic_ns() + 20_000_000)
            last = sampler.tick(time.monotonic_ns())
        (death,) = last.deaths
        assert death.death.status == signal.SIGKILL
        assert death.task is not None
        assert death.task.running
        ((key, series),) = last.series
        assert key[0] == str(task)
        assert series.task is not None
        assert len(series.task) >= 2
        assert last.alive == 0 or sampler.tick(time.monotonic_ns()).alive == 0
        assert not sampler.is_new(slot.path)
        sampler.close()
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
