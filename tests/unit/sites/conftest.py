"""What the tests of sites share."""

from __future__ import annotations

import json
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


@pytest.fixture(scope="session")
def _checked() -> set[str]:
    return set()


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


@pytest.fixture(autouse=True)
def checked_once(_checked: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Check each schema itself once: options are validated against the same ones hundreds of times."""
    import jsonschema

    validator = jsonschema.Draft202012Validator
    assert jsonschema.validators.validator_for({}) is validator
    check_schema = validator.check_schema

    def check_once(schema: Any, *arguments: Any, **options: Any) -> None:
        text = json.dumps(schema)
        if text not in _checked:
            check_schema(schema, *arguments, **options)
            _checked.add(text)

    monkeypatch.setattr(validator, "check_schema", check_once)
