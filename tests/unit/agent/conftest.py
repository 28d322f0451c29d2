"""A crate directory for the parts of an agent."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.spools import Spool


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    made = Spool(tmp_path / "crates")
    yield made
    shutil.rmtree(made.runtime, ignore_errors=True)
