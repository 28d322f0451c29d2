"""How often a worker looks whether an agent serves it, and whether its files are still there."""

from __future__ import annotations

import itertools
import uuid
from collections import Counter
from pathlib import Path

import pytest

from prov_worker.recorder.outlet import Outlet
from prov_worker.recorder.provenance import provenance_mapping
from prov_worker.recorder.recorder import Recorder
from prov_worker.settings import Settings


@pytest.mark.parametrize("pause_s", [0.0, 0.4, 2.0])
@pytest.mark.parametrize("length_s", [0.001, 0.3, 1.0, 7.0])
def test_an_agent_that_is_gone_is_seen_whatever_the_tasks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, length_s: float, pause_s: float
) -> None:
    """Also of tasks without a pause, where it is the end of a task that looks at the files."""
    moments: list[int] = []
    looks: Counter[int] = Counter()
    now_ns = 10**12
    monkeypatch.setattr("prov_worker.recorder.recorder._clock_ns", lambda: now_ns)
    monkeypatch.setattr(Outlet, "check", lambda self: moments.append(now_ns))
    monkeypatch.setattr(Outlet, "look", lambda self: looks.update([now_ns]))
    crates = str(tmp_path / "crates")
    recorder = Recorder(crates)
    recorder.use(provenance_mapping(Settings.from_mapping({}), crates), None)
    began_ns = now_ns
    while now_ns - began_ns < 40 * 10**9:
        recorder.begin(uuid.uuid4(), 1, None)
        now_ns += int(length_s * 1e9)
        recorder.finish()
        now_ns += int(pause_s * 1e9)
    round_ns = int((length_s + pause_s) * 1e9)
    distances = [later - earlier for earlier, later in itertools.pairwise(moments)]
    assert moments[0] == began_ns
    assert max(distances) <= 5 * 10**9 + 10**9 + round_ns
    assert min(distances) > 5 * 10**9
    assert set(looks.values()) == {1}
    assert len(looks) >= 40 * 10**9 // (10**9 + round_ns)
