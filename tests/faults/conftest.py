"""Every test here has a crate directory of its own, and with it an agent, a spool and slots of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.crate_dir import CrateDir
from support.direct import TESTS, Call, DirectWorker, Start
from support.freezable import Freezable


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.faults)


@pytest.fixture(scope="session", autouse=True)
def functions_for_workers() -> Iterator[None]:
    """Functions of a module travel by name: workers of engines must find ``support.calls``."""
    with pytest.MonkeyPatch.context() as patch:
        inherited = os.environ.get("PYTHONPATH")
        patch.setenv("PYTHONPATH", os.pathsep.join([str(TESTS), inherited] if inherited else [str(TESTS)]))
        yield


@pytest.fixture
def crate_dir(tmp_path: Path) -> Iterator[CrateDir]:
    made = CrateDir(tmp_path / "crates")
    yield made
    made.close()


@pytest.fixture
def start(tmp_path: Path, crate_dir: CrateDir) -> Iterator[Start]:
    """Start workers into the test's crate directory; they are ended with the test."""
    started: list[DirectWorker] = []

    def begin(*calls: Call, folder: Path = tmp_path, **options: Any) -> DirectWorker:
        worker = DirectWorker(folder, calls, crate_dir.crates, **options)
        started.append(worker)
        return worker

    yield begin
    for worker in started:
        worker.stop()


@pytest.fixture
def freezable(crate_dir: CrateDir, tmp_path: Path) -> Iterator[Freezable]:
    """The crate directory on an ext4 of its own."""
    crate_dir.crates.mkdir()
    system = Freezable(crate_dir.crates, tmp_path / "disk")
    yield system
    system.thaw()
    crate_dir.close()
    system.close()
