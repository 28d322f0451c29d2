"""What ``show`` says of one crate."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from prov_worker.model import Value
from prov_worker.testing import CrateFactory

Run = Callable[..., tuple[int, str, str]]


def facts(out: str) -> dict[str, str]:
    """Return what a page says, by the names on its left."""
    return {line[:43].strip(): line[43:] for line in out.splitlines() if line.startswith("  ")}


def test_values_that_were_kept_are_shown(prov_worker: Run, tmp_path: Path) -> None:
    long = repr("x y\n" * 100)
    values = [
        Value("radius", "float", value=2.0),
        Value("flag", "bool", value=False),
        Value("count", "int", value=0),
        Value("name", "str", 6, value="[redacted]"),
        Value("text", "str", 400, value=long),
        Value("rows", "list", length=3),
    ]
    crate = CrateFactory(tmp_path).add(1, arguments=values, result=Value("return", "float", value=12.566370614359172))
    shown = facts(prov_worker("show", crate)[1])
    assert shown["argument radius"] == "2.0"
    assert shown["argument flag"] == "False"
    assert shown["argument count"] == "0"
    assert shown["result return"] == "12.566370614359172"
    assert shown["argument name"] == "redacted; type str, 6 bytes"
    assert shown["argument rows"] == "type list, length 3; the value was not recorded"
    assert shown["argument text"] == long[:116] + "…"
    data = json.loads(prov_worker("show", "--json", crate)[1])
    assert [argument["value"] for argument in data["arguments"]][:5] == [2.0, False, 0, "[redacted]", long]
    assert data["results"][0]["value"] == 12.566370614359172


@pytest.mark.parametrize("text", ["a\x1b[2Jb", "a\nb\tc"])
def test_a_value_stays_on_its_line(prov_worker: Run, tmp_path: Path, text: str) -> None:
    crate = CrateFactory(tmp_path).add(1, arguments=[Value("text", "str", value=text)])
    shown = facts(prov_worker("show", crate)[1])["argument text"]
    assert shown == text.replace("\x1b", "").replace("\n", "\\n").replace("\t", "\\t")
