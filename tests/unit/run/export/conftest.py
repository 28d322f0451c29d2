"""A simulated run in crates as the real writer makes them."""

from __future__ import annotations

from pathlib import Path

import pytest

TESTS = Path(__file__).parents[3]

from prov_worker.testing import make_run  # noqa: E402


@pytest.fixture(scope="session")
def crates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 tasks in four stages, with failures and repeated attempts. Read only."""
    return make_run(tmp_path_factory.mktemp("exports") / "pipeline", 24, nodes=1, workers=6, seed=3)


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Crates whose names and values hold what formats use as marks. Read only."""
    return make_run(tmp_path_factory.mktemp("hostile") / "crates", 30, nodes=1, hostile=True)
