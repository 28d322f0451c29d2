"""Describing functions, arguments and results: what is said, what is hashed, what is left alone."""

from __future__ import annotations

import array
import hashlib
import json
import pickle
from typing import Any

import pytest

from prov_worker.recorder import capture
from prov_worker.recorder.functions import parameter_names, unwrap


def described(value: Any, *, name: str = "x", with_value: bool = False, small: bool = True) -> list[Any]:
    fields: list[Any] = json.loads(capture.describe(name, value, with_value, small))
    assert len(fields) == 6
    return fields


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class Loud:
    """Runs nobody's code but the recorder's: all of this would raise."""

    def __repr__(self) -> str:
        raise AssertionError("repr was called")

    def __len__(self) -> int:
        raise AssertionError("len was called")

    def __iter__(self) -> Any:
        raise AssertionError("iter was called")

    def __reduce__(self) -> Any:
        raise AssertionError("pickle was called")

    def __eq__(self, other: object) -> bool:
        raise AssertionError("eq was called")

    __hash__ = object.__hash__


class LoudList(list):  # type: ignore[type-arg]
    def __reduce__(self) -> Any:
        raise AssertionError("pickle was called")


@pytest.mark.parametrize(
    "value, kind, size, length, data",
    [
        ("hé", "str", 3, 2, "hé".encode()),
        ("\udcff", "str", 3, 1, "\udcff".encode("utf-8", "surrogatepass")),
        (b"ab", "bytes", 2, None, b"ab"),
        (bytearray(b"ab"), "bytearray", 2, None, b"ab"),
        (memoryview(b"abcd"), "memoryview", 4, None, b"abcd"),
        (5, "int", None, None, pickle.dumps(5, 4)),
        (None, "NoneType", None, None, pickle.dumps(None, 4)),
        (2.5, "float", None, None, pickle.dumps(2.5, 4)),
        (array.array("i", [1, 2]), "array.array", 8, 2, array.array("i", [1, 2]).tobytes()),
    ],
)
def test_plain_data(value: Any, kind: str, size: int | None, length: int | None, data: bytes) -> None:
    assert described(value)[1:5] == [kind, size, length, digest(data)]
    assert described(value, small=False)[4] is None


def test_containers_of_plain_data_are_hashed_and_others_are_not() -> None:
    value = {"a": [1, (2.0, None)], "b": b"x"}
    assert described(value)[3:5] == [2, digest(pickle.dumps(value, 4))]
    assert described([1, Loud()])[3:5] == [2, None]
    assert described([[0] * 2000])[4] is None  # too much to look at
    nested: list[Any] = []
    nested.append(nested)
    assert described(nested)[4] is None


@pytest.mark.parametrize("value", [Loud(), LoudList([1]), Loud, [Loud()], {"a": Loud()}])
@pytest.mark.parametrize("with_value", [False, True])
def test_no_code_of_the_user_runs(value: Any, with_value: bool) -> None:
    fields = described(value, with_value=with_value)
    assert fields[4] is None
    assert fields[5] is None or fields[5].startswith("<")


def test_values_are_shown_cut_and_redacted() -> None:
    assert described(3, with_value=True)[5] == 3
    assert described(True, with_value=True)[5] is True
    assert described(0.5, with_value=True)[5] == 0.5
    assert described(float("nan"), with_value=True)[5] == "nan"
    assert described(2**60, with_value=True)[5] == str(2**60)
    assert described(10**5000, with_value=True)[5] == "<int of 16610 bits>"
    assert described("a" * 500, with_value=True)[5] == "'" + "a" * 198 + "…"
    assert described(["password=hunter2"], with_value=True)[5] == "['password=[redacted]']"
    assert described(["x" * 10_000], with_value=True, small=False)[5] == "<list>"
    assert described(3, with_value=False)[5] is None


def test_no_half_of_a_secret_is_left_where_a_value_is_cut() -> None:
    token = "Ag" + "T0ken" * 12
    for before in range(120, 205):
        assert "T0kenT0ken" not in described("x " * (before // 2) + token, with_value=True)[5]


def test_an_argument_with_a_secrets_name_is_neither_shown_nor_hashed() -> None:
    fields = described("hunter2", name="db_password", with_value=True)
    assert fields == ["db_password", "str", 7, 7, None, "[redacted]"]


def test_a_call_names_its_parameters() -> None:
    def function(left: int, right: int, *rest: int, key: int = 0) -> None: ...

    names = parameter_names(unwrap(function))
    assert names == ("left", "right")
    call = json.loads(capture.describe_call(names, (1, 2, 3), {"key": 4}, True, True))
    assert [(argument[0], argument[5]) for argument in call] == [("left", 1), ("right", 2), ("args[2]", 3), ("key", 4)]
    many = json.loads(capture.describe_call((), range(1000), {"k": 1}, False, True))
    assert len(many) == capture.MAX_ARGUMENTS
    assert parameter_names(unwrap(len)) == ()
