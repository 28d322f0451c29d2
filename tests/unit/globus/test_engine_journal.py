"""The engine's journal: where it goes, and what the endpoint's log says of that."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from prov_worker.globus.engine_journal import EngineJournal
from prov_worker.spool import paths


def test_the_endpoints_log_says_where_slots_go_if_a_root_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    roots = [tmp_path / "shm", tmp_path / "tmp"]
    for root in roots:
        root.mkdir()
    monkeypatch.setattr(paths, "_RUNTIME_ROOTS", tuple(map(str, roots)))
    taken = roots[0] / f"prov-worker-{os.geteuid()}"
    taken.touch()
    journal = EngineJournal(tmp_path / "crates", None, None, {})
    (message,) = caplog.messages
    assert str(roots[1]) in message
    assert f"{taken}: is not a directory of this user's alone" in message
    journal.close()
    (path,) = (tmp_path / "crates" / ".spool").glob("*.jsonl")
    name = paths.JournalName.parse(path.name)
    assert name is not None
    assert name.place in paths.places_here()
    assert name.is_engine
    assert name.lives(paths.places_here())
