"""Entities that are read by their lines are those of the whole document, or the document is left to its own reader."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from prov_worker.crate.bounds import MAX_ENTITIES, MAX_LEVELS
from prov_worker.crate.entity_lines import EntityLines
from prov_worker.crate.graph import entities_of, graph_of, new_lines
from prov_worker.crate.sources.directories import DirectorySource
from prov_worker.errors import CrateError

SOURCE = DirectorySource(Path("x.crate"))
CRATES = Path(__file__).parents[2] / "data/0.1.0/crates"
ROOT = '{"@id":"./","@type":"Dataset"}'
STEP = '{"@id":"#step","@type":["CreateAction","HowTo"],"object":[{"@id":"#a"}],"value":1.5}'
HEAD = '{"@context":"https://w3id.org/ro/crate/1.1/context",\n"@graph":[\n'


def document(*lines: str, head: str = HEAD) -> bytes:
    return (head + ",\n".join(lines) + "\n]}\n").encode()


def by_id(data: bytes) -> dict[str, Any]:
    return {entity["@id"]: entity for entity in graph_of(SOURCE, data)}


def test_lines_are_the_document(tmp_path: Path) -> None:
    lines = new_lines()
    for text in (ROOT, STEP), (ROOT, STEP, '{"@id":"#b","value":"a\\n\\"]}, {\\" ✓"}'), (STEP, ROOT):
        data = document(*text)
        for _ in range(2):  # read, and kept
            entities = lines.entities(data)
            assert entities == by_id(data)
            assert list(entities or {}) == list(by_id(data))
        assert entities_of(SOURCE, data) == entities


def test_equal_lines_are_kept() -> None:
    lines = new_lines()
    _, second, third = (
        lines.entities(document(ROOT, f'{{"@id":"#other-{number}"}}', STEP)) for number in range(3)
    )  # what comes a second time is kept for the third
    assert second is not None
    assert third is not None
    assert second["#step"] is third["#step"]
    assert list(third) == ["./", "#other-2", "#step"]


def test_what_stands_before_the_root_is_kept() -> None:
    lines = new_lines()
    first, second = (lines.entities(document(STEP, ROOT, f'{{"@id":"#{number}"}}')) for number in range(2))
    assert first is not None
    assert second is not None
    assert first["#step"] is second["#step"]
    assert list(second) == ["#step", "./", "#1"]


def test_no_entity_hides_behind_a_line_that_is_kept() -> None:
    lines = new_lines()
    for number in range(3):
        assert lines.entities(document(ROOT, f'{{"@id":"#{number}"}}', STEP)) is not None
    for hidden in (
        ('{"@id":"#a","b":[{"c":1}', STEP, '{"d":1}]},{"@id":"#e"},{"@id":"#f"}'),
        ('{"@id":"#a","b":[{"c":1}', STEP, '{"d":1}]},"",{"@id":"#f"}'),
        ('{"@id":"#a","b":["', STEP, '"]},{"@id":"#e"},{"@id":"#f"}'),
        ('{"@id":"#a","b":[{"c":1}', '{"d":1}]},{"@id":"#e"}'),
    ):
        data = document(ROOT, *hidden)
        entities = lines.entities(data)
        assert entities is None or entities == by_id(data)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(json.dumps(json.loads(document(ROOT, STEP)), indent=1).encode(), id="indented"),
        pytest.param(document(STEP), id="no root"),
        pytest.param(document(ROOT, STEP, STEP), id="one id twice"),
        pytest.param(document(ROOT, f"{STEP}, {STEP}"), id="two on a line"),
        pytest.param(document(ROOT, '{"@id":"#a","b":[1', STEP, "2]}"), id="one on several lines"),
        pytest.param(document(ROOT, ""), id="comma at the end"),
        pytest.param(document(ROOT, "[]"), id="a list"),
        pytest.param(document(ROOT, '{"@id":7}'), id="id not text"),
        pytest.param(document(ROOT, '{"value":7}'), id="no id"),
        pytest.param(document(ROOT, '{"@id":"#a","@type":7}'), id="type not text"),
        pytest.param(document(ROOT, '{"@id":"#a","value":NaN}'), id="NaN"),
        pytest.param(document(ROOT, '{"@id":"#a","value":1e999}'), id="infinite"),
        pytest.param(document(ROOT, '{"@id":"#a","value":"\\ud800"}'), id="half of a character"),
        pytest.param(document(ROOT, '{"@id":"./data/x","@type":"File"}'), id="id with a dot"),
        pytest.param(document(ROOT, '{"@id":"data/../x","@type":"File"}'), id="id that goes up"),
        pytest.param(document(ROOT, '{"@id":".\\/x","@type":"File"}'), id="id with a slash escaped"),
        pytest.param(document(ROOT, '{"@id":"\\u002e/x","@type":"File"}'), id="id with a dot escaped"),
        pytest.param(
            document(ROOT, f'{{"@id":"#a","value":{"[" * (MAX_LEVELS + 1)}{"]" * (MAX_LEVELS + 1)}}}'), id="deep"
        ),
        pytest.param(document(ROOT, f'{{"@id":"#a","value":{"[" * 5000}{"]" * 5000}}}'), id="deeper"),
        pytest.param(document(ROOT, f'{{"@id":"#a","value":[{"0," * 10_000}0]}}'), id="many values"),
        pytest.param(document(ROOT, *(f'{{"@id":"{number}"}}' for number in range(MAX_ENTITIES))), id="many entities"),
        pytest.param(document(ROOT, head='{"a":"\\"@graph":[\n'), id="no head"),
        pytest.param(document(ROOT, head='{"a\\"@graph":[\n'), id="another key"),
        pytest.param(document(ROOT, head='{"a":{"@graph":[\n'), id="a graph below"),
        pytest.param(document(ROOT, head='{"@graph":[{"@id":"#z"}],"a":NaN,"@graph":[\n'), id="NaN before"),
        pytest.param(document(ROOT, head='[{"@graph":[\n'), id="list around"),
        pytest.param(document(ROOT).replace(b"]}", b"],\n]}"), id="more behind"),
        pytest.param(document(ROOT).replace(b'"./"', b'"./\xff"'), id="no text"),
        pytest.param(b"", id="empty"),
    ],
)
def test_another_document_is_read_as_a_whole(data: bytes) -> None:
    lines = new_lines()
    assert lines.entities(document(ROOT, STEP)) is not None  # lines that are there already change nothing
    assert lines.entities(data) is None


def test_what_is_wrong_is_said_as_before() -> None:
    assert entities_of(SOURCE, document(ROOT, STEP))
    with pytest.raises(CrateError, match=r"@graph\[2\]: expected an entity with a text @id"):
        entities_of(SOURCE, document(ROOT, STEP, '{"@id":7}'))
    with pytest.raises(CrateError, match="#step: more than one entity has this id"):
        entities_of(SOURCE, document(ROOT, STEP, STEP))
    assert list(entities_of(SOURCE, document(ROOT, STEP, STEP), strict=False)) == ["./", "#step"]


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prov_worker.crate.entity_lines._KEPT_LINES", 8)
    lines = new_lines()
    for number in range(100):
        data = document(ROOT, *(f'{{"@id":"#{number}-{at}"}}' for at in range(20)))
        assert lines.entities(data) == by_id(data)
        assert len(lines) <= 8


def test_damage_is_never_read_otherwise() -> None:
    generator = random.Random(7)
    texts = [path.read_bytes() for path in sorted(CRATES.glob("*/ro-crate-metadata.json"))]
    texts += [document(ROOT, STEP, '{"@id":"#b","value":"a\\n\\"]}, {\\" "}', '{"@id":"data/x","sha256":"0"}')] * 3
    lines = new_lines()
    read = 0
    for _ in range(600):
        data = bytearray(generator.choice(texts))
        for _ in range(generator.randrange(3)):
            at = generator.randrange(len(data))
            data[at : at + generator.randrange(3)] = generator.choice(
                [b"", b'"', b"\\", b"{", b"}", b",", b"\n", b"]", b"[", b"./", b"NaN", b"\xc3", b",\n"]
            )
        entities = lines.entities(bytes(data))
        if entities is not None:
            read += 1
            assert entities == by_id(bytes(data))
    assert read > 50


def test_an_instance_keeps_to_itself() -> None:
    first, second = new_lines(), new_lines()
    assert isinstance(first, EntityLines)
    for number in range(2):
        assert first.entities(document(ROOT, f'{{"@id":"#{number}"}}', STEP))
    assert len(first) == 2
    assert not len(second)
