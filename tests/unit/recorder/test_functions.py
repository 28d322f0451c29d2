"""What a ``function`` line says of a callable, and the sources that Globus Compute's strategies send."""

from __future__ import annotations

import functools
import hashlib
import importlib
import sys
from pathlib import Path
from typing import Any

import pytest
from globus_compute_sdk.serialize import concretes

from prov_worker.agent.function_source import source_of
from prov_worker.recorder.functions import function_fields, parameter_names, sent_sources, unwrap

MODULE = '''
import functools

def noted():
    """Say it. Token: hunter2

    And more.
    """

def plain(x=1):
    """Say it."""
    return x + len("a:b")

def deco(f):
    @functools.wraps(f)
    def inner(*a, **k):
        return f(*a, **k)
    return inner

@deco
def decorated(x=1):
    return x * 10

def secret(x=1):
    password = "hunter2"
    return x, password
'''


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A module that can be imported here, and has a file."""
    (tmp_path / "functions_of_a_user.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield importlib.import_module("functions_of_a_user")
    del sys.modules["functions_of_a_user"]


STRATEGIES = ["DillCodeSource", "DillCodeTextInspect", "PureSourceTextInspect", "PureSourceDill", "CombinedCode"]


@pytest.mark.parametrize("strategy", [*STRATEGIES, "AllCodeStrategies"])
@pytest.mark.parametrize("name", ["plain", "secret"])
def test_every_strategy_that_carries_text_gives_the_source(module: Any, strategy: str, name: str) -> None:
    serializer = getattr(concretes, strategy)()
    buffer = serializer.serialize(getattr(module, name))
    line = function_fields(serializer.deserialize(buffer), buffer)
    assert line["payload"] == hashlib.sha256(buffer.encode()).hexdigest()
    elsewhere = {**line, "file": line["file"] if line["file"] == "<string>" else "/nonexistent"}
    source = source_of(elsewhere)
    assert source.text is not None
    assert source.text.startswith(f"def {name}(x=1):\n")
    assert source.text.endswith(('return x + len("a:b")\n', "return x, password\n"))
    assert "hunter2" not in source.text
    by_file = source_of(function_fields(getattr(module, name), None))
    assert source.sha256 == (by_file.sha256 if name == "plain" else None)
    on_another_python = source_of({**elsewhere, "python": "cpython 3.9"})
    assert on_another_python.text == source.text
    if strategy in ("CombinedCode", "AllCodeStrategies") and name == "secret":
        other = source_of({**elsewhere, "name": "another"})
        assert "secrets were removed" in (other.absent or "")


def test_a_decorated_function_sent_as_text_and_run_from_its_code_is_shown(module: Any) -> None:
    serializer = concretes.AllCodeStrategies()
    buffer = serializer.serialize(module.decorated)
    source = source_of({**function_fields(serializer.deserialize(buffer), buffer), "file": "/nonexistent"})
    assert source.text == "@deco\ndef decorated(x=1):\n    return x * 10\n"


@pytest.mark.parametrize(
    "buffer", ["01\nabcd", "04\n!!", "03\ngASVDAAAAAAAAACMBHRpbWWUjARwb3NplJOULg==", "12\nx\n", "10\n:"]
)
def test_payloads_without_text_have_no_source(buffer: str) -> None:
    assert sent_sources(buffer) == []


def test_docstring_and_name_are_those_of_the_function(module: Any) -> None:
    fields = function_fields(functools.partial(module.noted, 1), None)
    assert (fields["name"], fields["module"]) == ("noted", "functions_of_a_user")
    assert fields["doc"] == "Say it. Token: [redacted]"


def test_a_callable_that_is_no_function() -> None:
    class Callable:
        __module__ = "m"

        def __call__(self, x: int) -> None: ...

    fields = function_fields(Callable(), None)
    assert fields["name"] == "m.test_a_callable_that_is_no_function.<locals>.Callable"
    assert fields["kind"] == "callable object"
    built_in = function_fields(len, None)
    assert (built_in["kind"], built_in.get("sha256")) == ("built-in function", None)


def test_parameters_are_those_that_a_caller_gives(module: Any) -> None:
    class Methods:
        def method(self, x: int) -> None: ...

        def __call__(self, y: int) -> None: ...

    def two(a: int, b: int) -> None: ...

    assert parameter_names(unwrap(Methods().method)) == ("x",)
    assert parameter_names(unwrap(Methods())) == ("y",)
    assert parameter_names(unwrap(functools.partial(two, 1))) == ("b",)
    assert parameter_names(unwrap(module.decorated)) == ("x",)


def test_no_code_of_the_users_runs() -> None:
    class Hostile:
        def __getattribute__(self, name: str) -> Any:
            raise RuntimeError(name)

        def __eq__(self, other: object) -> bool:
            raise RuntimeError("eq")

        def __hash__(self) -> int:
            raise RuntimeError("hash")

    hostile = Hostile()

    def function(x: Any = hostile) -> Any:
        return x, hostile

    assert len(function_fields(function, None)["sha256"]) == 64
