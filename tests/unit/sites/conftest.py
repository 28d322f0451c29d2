"""What the tests of sites share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def private(tmp_path: Path) -> Path:
    """An empty directory for endpoints, with the rights that Globus Compute gives it."""
    path = tmp_path / "compute"
    path.mkdir(mode=0o700)
    return path


@pytest.fixture(scope="session")
def _compiled() -> dict[str, Any]:
    return {}


@pytest.fixture(autouse=True)
def compiled_once(_compiled: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Compile each text of a template once: the same ones are rendered hundreds of times."""
    from jinja2.sandbox import SandboxedEnvironment

    compile_text = SandboxedEnvironment.compile

    def compile_once(self: SandboxedEnvironment, source: str) -> Any:
        if source not in _compiled:
            _compiled[source] = compile_text(self, source)
        return _compiled[source]

    monkeypatch.setattr(SandboxedEnvironment, "compile", compile_once)
