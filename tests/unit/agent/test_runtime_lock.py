"""An agent keeps its runtime directory if it is removed, unless another agent has it by then."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from prov_worker.agent import runtime_lock
from prov_worker.agent.runtime_lock import RuntimeLock
from prov_worker.locks import lock
from prov_worker.spool import launch


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(runtime_lock, "_LOOK_S", 0.0)
    path = tmp_path / "base" / "key"
    path.mkdir(mode=0o700, parents=True)
    path.parent.chmod(0o700)
    return str(path)


def held_lock(runtime: str) -> RuntimeLock:
    descriptor = launch.open_lock(runtime)
    assert lock(descriptor)
    return RuntimeLock(runtime, descriptor)


def test_a_directory_that_was_removed_is_made_and_locked_again(runtime: str) -> None:
    held = held_lock(runtime)
    assert not held.look()
    shutil.rmtree(os.path.dirname(runtime))
    assert not launch.agent_lives(runtime)
    assert held.look()
    assert held.is_ours
    assert launch.agent_lives(runtime)
    assert os.stat(runtime).st_mode & 0o777 == 0o700
    assert not held.look()
    os.close(held.descriptor)


def test_one_that_another_agent_has_by_then_is_left_to_it(runtime: str) -> None:
    held = held_lock(runtime)
    shutil.rmtree(runtime)
    os.mkdir(runtime, 0o700)
    other = held_lock(runtime)
    assert not held.look()
    assert not held.is_ours
    shutil.rmtree(runtime)
    assert not held.look()
    assert not os.path.exists(runtime)
    os.close(held.descriptor)
    os.close(other.descriptor)


def test_what_is_not_private_is_not_taken(runtime: str) -> None:
    held = held_lock(runtime)
    shutil.rmtree(runtime)
    os.mkdir(runtime, 0o777)
    os.chmod(runtime, 0o777)
    assert not held.look()
    assert held.is_ours
    assert os.listdir(runtime) == []
    os.close(held.descriptor)
