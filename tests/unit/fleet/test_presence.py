"""The watch that is at work, as its file says."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path

import pytest

from prov_worker.fleet import presence
from prov_worker.globus.daemons import STALE_S


@pytest.fixture
def sign(tmp_path: Path) -> presence.Sign:
    return presence.Sign(tmp_path, "this version")


def test_while_it_works_and_not_after(tmp_path: Path, sign: presence.Sign) -> None:
    assert presence.read(tmp_path) is None
    sign.begin()
    watch = presence.read(tmp_path)
    assert watch is not None
    assert (watch.pid, watch.software, watch.here) == (os.getpid(), "this version", True)
    sign.end()
    assert presence.read(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["", "[]", "{", '{"host": 3}'])
def test_a_damaged_file_is_no_watch(tmp_path: Path, sign: presence.Sign, text: str) -> None:
    sign.begin()
    (tmp_path / "watch.json").write_text(text)
    assert presence.read(tmp_path) is None


@pytest.mark.parametrize("changed", [{"start": 1}, {"boot": "another"}])
def test_one_here_whose_process_is_gone(tmp_path: Path, sign: presence.Sign, changed: dict[str, object]) -> None:
    sign.begin()
    path = tmp_path / "watch.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changed}))
    assert presence.read(tmp_path) is None


def test_one_of_another_host_counts_while_its_file_is_fresh(tmp_path: Path, sign: presence.Sign) -> None:
    sign.begin()
    path = tmp_path / "watch.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "host": "another", "start": 1}))
    watch = presence.read(tmp_path)
    assert watch is not None
    assert not watch.here
    old = time.time() - STALE_S - 1
    os.utime(path, (old, old))
    assert presence.read(tmp_path) is None


def test_a_sign_is_renewed(tmp_path: Path, sign: presence.Sign, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "_TOUCH_S", 0.0)
    sign.begin()
    path = tmp_path / "watch.json"
    os.utime(path, (1, 1))
    sign.renew()
    assert path.stat().st_mtime > 1
    path.unlink()
    sign.renew()
    assert presence.read(tmp_path) is not None


def test_a_watch_is_asked_to_end(tmp_path: Path, sign: presence.Sign) -> None:
    assert presence.end(tmp_path) is None
    assert list(tmp_path.iterdir()) == [], "nobody is asked"
    sign.begin()
    assert not sign.asked_to_end
    watch = presence.end(tmp_path, 0.0)
    assert watch is not None
    assert sign.asked_to_end
    leave = threading.Timer(0.2, sign.end)
    leave.start()
    assert presence.end(tmp_path, 30.0) is None
    leave.join()
    sign.begin()
    assert not sign.asked_to_end, "what an earlier one was asked is not this one's"
