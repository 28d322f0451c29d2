"""Fixtures for pytest: name this module in ``pytest_plugins``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from prov_worker.globus.embedded import EmbeddedEndpoint
from prov_worker.testing.crates import CrateFactory


@pytest.fixture
def crate_factory(tmp_path: Path) -> CrateFactory:
    """Return a factory that publishes crates into ``tmp_path / "crates"``."""
    return CrateFactory(tmp_path / "crates")


@pytest.fixture
def embedded_endpoint(tmp_path: Path) -> Iterator[EmbeddedEndpoint]:
    """Yield a running endpoint with one worker, whose crates come into ``tmp_path / "crates"``.

    Needs the ``endpoint`` extra. Its engine, interchange and worker are real; they end with the test.
    """
    provenance = {"crate_dir": str(tmp_path / "crates"), "plots": "none"}
    with EmbeddedEndpoint(workers=1, provenance=provenance, run_dir=tmp_path / "endpoint") as endpoint:
        yield endpoint
