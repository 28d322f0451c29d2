"""Endpoints inside the test's process: real engines, interchanges and workers."""

from __future__ import annotations

import os
from collections.abc import Iterator
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
