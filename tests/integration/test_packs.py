"""A real engine whose agent writes packs: every attempt is there, also those of a worker that is killed."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import pytest

from prov_worker.crate.check import check_crate
from prov_worker.crate.reader import StepCrate
from prov_worker.crate.sources import find_sources
from prov_worker.globus.embedded import EmbeddedEndpoint
from support import calls
from support.marks import PARSL_SOCKET

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300), PARSL_SOCKET]


def test_tasks_of_an_engine_leave_one_pack(tmp_path: Path) -> None:
    settings = {"crate_dir": str(tmp_path / "crates"), "crates": "packs", "plots": "none"}
    with EmbeddedEndpoint(workers=2, max_retries=1, provenance=settings) as endpoint:
        futures = [endpoint.submit(calls.add, number, 1) for number in range(20)]
        assert [future.result(timeout=120) for future in futures] == list(range(1, 21))
        lost = endpoint.submit(calls.kill_self, 9)
        with contextlib.suppress(Exception):
            lost.result(timeout=120)
    until = time.monotonic() + 60
    while not list((tmp_path / "crates").glob("*.crates.zip")) and time.monotonic() < until:
        time.sleep(0.2)  # the agent closes its pack when the last worker is gone
    crates = [StepCrate.open(source) for source in find_sources(tmp_path / "crates", pytest.fail)]
    assert all(check_crate(crate.source) == [] for crate in crates)
    expected = [(str(future.task_id), 1) for future in futures] + [(str(lost.task_id), number) for number in (1, 2)]
    assert sorted((crate.task_id, crate.attempt) for crate in crates) == sorted(expected)
    assert not list((tmp_path / "crates").glob("*.crate"))
