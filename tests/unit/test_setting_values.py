"""Checks of values that settings take: what YAML gives, and what is refused in words that name it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prov_worker import setting_values as values

CHECKS: dict[str, Callable[[Any], Any]] = {
    "boolean": values.boolean,
    "seconds": values.seconds(0.01, 60),
    "bytes": values.byte_count(10, 1000),
    "port": values.port,
    "choice": values.choice(("some", "none")),
    "strings": values.strings,
    "choices": values.choices(lambda: ("cpu", "gpu")),
    "absolute": values.absolute,
    "absolutes": values.absolutes,
    "text": values.plain_text,
    "uuid": values.uuid,
    "address": values.web_address,
}
UUID = "0123abcd-0123-4567-89ab-0123456789ab"


@pytest.mark.parametrize(
    ("check", "given", "expected"),
    [
        ("boolean", False, False),
        ("seconds", 1, 1.0),
        ("seconds", 0.01, 0.01),
        ("bytes", 1000, 1000),
        ("port", 65535, 65535),
        ("choice", "none", "none"),
        ("strings", "one", ("one",)),
        ("strings", ["b", "a", "b"], ("b", "a")),
        ("strings", [], ()),
        ("choices", ["gpu", "cpu", "gpu"], ("gpu", "cpu")),
        ("absolute", "/a/../b//c/", "/b/c"),
        ("absolute", "~/crates", "{home}/crates"),
        ("absolutes", ["~/a", "{home}/a", "/b"], ("{home}/a", "/b")),
        ("text", "  two words ", "two words"),
        ("uuid", f" {UUID.upper()} ", UUID),
        ("address", "https://host:5000/v2/", "https://host:5000/v2"),
        ("address", "http://localhost", "http://localhost"),
    ],
)
def test_what_is_taken(check: str, given: Any, expected: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))

    def placed(value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            return type(value)(map(placed, value))
        return value.replace("{home}", str(tmp_path)) if isinstance(value, str) else value

    taken = CHECKS[check](placed(given))
    assert (type(taken), taken) == (type(expected), placed(expected))


@pytest.mark.parametrize(
    ("check", "given", "problem"),
    [
        ("boolean", 1, "expected true or false, got 1"),
        ("boolean", "yes", "expected true or false, got 'yes'"),
        ("seconds", True, "expected a number of seconds, got True"),
        ("seconds", "1", "expected a number of seconds, got '1'"),
        ("seconds", 61, "expected 0.01 to 60 seconds, got 61"),
        ("seconds", float("nan"), "expected 0.01 to 60 seconds, got nan"),
        ("bytes", 10.0, "expected a whole number of bytes, got 10.0"),
        ("bytes", 9, "expected 10 to 1000 bytes, got 9"),
        ("port", 0, "expected the number of a port, 1 to 65535; got 0"),
        ("port", True, "expected the number of a port, 1 to 65535; got True"),
        ("choice", "all", "expected one of some, none; got 'all'"),
        ("choice", None, "expected one of some, none; got None"),
        ("strings", [1], r"expected a list of strings, got \[1\]"),
        ("strings", [""], r"expected a list of strings, got \[''\]"),
        ("strings", {"a": 1}, "expected a list of strings, got {'a': 1}"),
        ("choices", ["cpu", "tpu"], "expected names from cpu, gpu; got 'tpu'"),
        ("absolute", "crates", "expected an absolute path, got 'crates'"),
        ("absolute", "", "expected a path, got ''"),
        ("absolute", "/a\nb", r"expected a path without control characters, got '/a\\nb'"),
        ("absolute", "/a\0b", r"expected a path without control characters, got '/a\\x00b'"),
        ("absolutes", ["/a", "b"], "expected an absolute path, got 'b'"),
        ("text", "  ", "expected text, got '  '"),
        ("uuid", f"{UUID}0", f"expected a UUID, got '{UUID}0'"),
        ("uuid", UUID.replace("-", ""), "expected a UUID, got "),
        ("address", "ftp://host", "expected an address such as https://compute.api.globus.org, got 'ftp://host'"),
        ("address", "https://host?x=1", "expected an address such as "),
        ("address", "https://", "expected an address such as "),
    ],
)
def test_what_is_refused(check: str, given: Any, problem: str) -> None:
    with pytest.raises(ValueError, match=f"^{problem}"):
        CHECKS[check](given)
