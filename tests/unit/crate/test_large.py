from __future__ import annotations

import json
from pathlib import Path

import pytest

from prov_worker.crate import large
from prov_worker.crate.large import property_of

PARTS = [{"@id": f"steps/{number}/"} for number in range(9000)]
ROOT = {"@id": "./", "@type": "Dataset", "name": 'A \u00fc "run"', "hasPart": PARTS}
OTHER = {"name": "not this", "@id": "ro-crate-metadata.json", "number": 12.5, "more": {"@id": "./", "name": "nor this"}}


@pytest.fixture
def document(tmp_path: Path) -> Path:
    return tmp_path / "ro-crate-metadata.json"


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("reverse", [False, True])
def test_whatever_the_order_and_the_form(document: Path, indent: int | None, reverse: bool) -> None:
    graph = [OTHER, ROOT, {"@id": "#x", "name": "x", "value": 123456789}]
    if reverse:
        graph = [dict(reversed(entity.items())) for entity in reversed(graph)]
    text = json.dumps({"@context": ["https://w3id.org/ro/crate/1.1/context"], "@graph": graph, "end": 1}, indent=indent)
    document.write_text(text)
    assert property_of(document, "./", "name") == ROOT["name"]
    assert property_of(document, "#x", "value") == 123456789
    assert property_of(document, "./", "license") is None
    assert property_of(document, "#y", "name") is None


def test_pieces_of_any_size(document: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    document.write_text(json.dumps({"@graph": [{"@id": "#n", "value": 123456}, {"@id": "./", "name": "run"}]}))
    for size in range(1, 40):
        monkeypatch.setattr(large, "_CHUNK", size)
        assert property_of(document, "#n", "value") == 123456
        assert property_of(document, "./", "name") == "run"


def test_no_more_is_read_than_it_takes(document: Path) -> None:
    head = json.dumps({"@graph": [OTHER, ROOT]})[:-2]
    document.write_text(head + ', {"@id": "#broken", ' + "x" * (1 << 20))
    assert property_of(document, "./", "name") == ROOT["name"]
    assert property_of(document, "#behind", "name") is None


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"@graph": {}}', '{"@graph": [1, {"@id": "./", "name": "n"}]}', '{"a" 1}', "\xff"]
)
def test_a_document_that_is_none(document: Path, text: str) -> None:
    document.write_bytes(text.encode("latin-1"))
    assert property_of(document, "./", "name") is None


def test_too_far_behind(document: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large, "_MOST", 100_000)
    document.write_text(json.dumps({"@context": "x" * 100_000, "@graph": [ROOT]}))
    assert property_of(document, "./", "name") is None


def test_no_file(tmp_path: Path) -> None:
    assert property_of(tmp_path / "none", "./", "name") is None
