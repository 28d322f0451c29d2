"""Endpoints inside the test's process: real engines, interchanges and workers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session", autouse=True)
def functions_for_workers() -> Iterator[None]:
    """Functions of a module travel by name: workers must find ``functions.py`` and ``support/calls.py``."""
    with pytest.MonkeyPatch.context() as patch:
        here = Path(__file__).parent
        inherited = os.environ.get("PYTHONPATH")
        patch.setenv("PYTHONPATH", os.pathsep.join([str(here), str(here.parent), *([inherited] if inherited else [])]))
        yield


@pytest.fixture
def crates(tmp_path: Path) -> Path:
    """Directory for crates; made by the engine, not here."""
    return tmp_path / "crates"
