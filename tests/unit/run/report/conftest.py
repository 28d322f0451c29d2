"""A simulated run in crates as the real writer makes them, and the page about it."""

from __future__ import annotations

from pathlib import Path

import pytest

TESTS = Path(__file__).parents[3]

from prov_worker.testing import make_run  # noqa: E402


@pytest.fixture(scope="session")
def crates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """160 tasks in four stages, with failures and repeated attempts. Read only."""
    return make_run(tmp_path_factory.mktemp("report") / "pipeline", 160, nodes=2, workers=6)


@pytest.fixture(scope="session")
def page(crates: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page about it. Read only."""
    return written(crates, tmp_path_factory.mktemp("page") / "report.html")


@pytest.fixture(scope="session")
def hostile_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page about a run whose names, errors and values try to leave their place in the document."""
    directory = tmp_path_factory.mktemp("hostile")
    return written(make_run(directory / "crates", 90, nodes=1, hostile=True, seed=5), directory / "report.html")


def written(crates: Path, target: Path) -> Path:
    pytest.importorskip("jinja2")
    from prov_worker.run.api import open_run
    from prov_worker.run.report.page import write_report

    write_report(open_run(crates), target)
    return target
