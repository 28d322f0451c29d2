"""What the tests of sites share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def private(tmp_path: Path) -> Path:
    """An empty directory for endpoints, with the rights that Globus Compute gives it."""
    path = tmp_path / "compute"
    path.mkdir(mode=0o700)
    return path
