"""Fleet files, and processes that look like daemons."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from prov_worker.fleet import fleetfile
from prov_worker.fleet.fleetfile import Fleet
from support.pretend import Pretender, pretending

ENDPOINT = "5d9f8a52-3b1c-4f0e-8a44-0d2f4a6f1c01"


@pytest.fixture(autouse=True)
def homes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("GLOBUS_COMPUTE_USER_DIR", str(tmp_path / "gc"))
    monkeypatch.delenv(fleetfile.VARIABLE, raising=False)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "config" / "prov-worker" / "fleet.yaml"
    path.parent.mkdir(parents=True)
    return path


@pytest.fixture
def write(file: Path) -> Callable[..., Path]:
    """Write a fleet file; a text as it is."""

    def write(content: Any) -> Path:
        file.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
        return file

    return write


@pytest.fixture
def fleet(write: Callable[..., Path]) -> Fleet:
    write({"endpoints": [{"name": name, "site": "local"} for name in ("one", "two")]})
    return fleetfile.read()


@pytest.fixture
def endpoint(fleet: Fleet) -> Path:
    """The directory of ``one``, as an installation and a first start leave it."""
    directory = fleet.user_dir / "one"
    directory.mkdir(parents=True)
    (directory / "prov_worker.json").write_text("{}")
    (directory / "endpoint.json").write_text(f'{{"endpoint_id": "{ENDPOINT}"}}')
    return directory


@pytest.fixture
def pretend(tmp_path: Path) -> Iterator[Pretender]:
    """Start processes that have a command line, an environment and an open file of the test's choice."""
    yield from pretending(tmp_path / "pretended")
