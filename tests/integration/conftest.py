"""Endpoints inside the test's process: real engines, interchanges and workers."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session", autouse=True)
def functions_for_workers() -> Iterator[None]:
    """Functions of a module travel by name: workers must find ``functions.py``."""
    with pytest.MonkeyPatch.context() as patch:
        inherited = os.environ.get("PYTHONPATH")
        here = str(Path(__file__).parent)
        patch.setenv("PYTHONPATH", os.pathsep.join([here, inherited] if inherited else [here]))
        yield


@pytest.fixture
def crates(tmp_path: Path) -> Path:
    """Directory for crates; made by the engine, not here."""
    return tmp_path / "crates"


@pytest.fixture
def wait_for() -> Callable[..., None]:
    """Wait until a condition holds; fails the test, with what was waited for, when it never does."""

    def wait(condition: Callable[[], bool], event: str, limit_s: float = 90.0) -> None:
        deadline = time.monotonic() + limit_s
        while not condition():
            if time.monotonic() > deadline:
                pytest.fail(f"never happened: {event}", pytrace=False)
            time.sleep(0.05)

    return wait
