"""Ids of entities: what is in the crate, and which spellings are one (RFC 3986)."""

from __future__ import annotations

import json

import pytest

from prov_worker.crate.identifiers import all_plain, is_absolute, leads_outside, local_path, plain, resolve


@pytest.mark.parametrize(
    ("identifier", "path"),
    [
        ("data/x.csv", "data/x.csv"),
        ("./data/x.csv", "data/x.csv"),
        ("data/./y/../x.csv", "data/x.csv"),
        ("data/a%20b.csv", "data/a b.csv"),
        ("extra/", "extra"),
        ("./a:b.csv", "a:b.csv"),
        ("data/a:b.csv", "data/a:b.csv"),
        ("./", "."),
        ("../x.csv", "../x.csv"),
        ("/etc/passwd", "/etc/passwd"),
        ("#stdin", None),
        ("https://example.org/x.csv", None),
        ("urn:uuid:3f2f9f4e-0000-4000-8000-0000000000aa", None),
        ("doi:10.1/abc", None),
        ("tag:joe@example.org,2026:x", None),
        ("swh:1:cnt:94a9ed024d3859793618152ea559a168bbcbb5e2", None),
        ("ark:/12345/x", None),
    ],
)
def test_path_of_an_id(identifier: str, path: str | None) -> None:
    assert local_path(identifier) == path
    assert local_path(plain(identifier)) == path


def test_what_leads_outside() -> None:
    outside = [
        path for path in ("data/x", "a..b", "..", "../x", "/x", "%2e%2e/x") if leads_outside(local_path(path) or "")
    ]
    assert outside == ["..", "../x", "/x", "%2e%2e/x"]


@pytest.mark.parametrize("identifier", ["./", "data/x", "#a/./b", "https://h.org/./x", "data/.hidden", "a..b", "..."])
def test_ids_that_are_plain_stay(identifier: str) -> None:
    assert plain(identifier) == identifier


def test_a_path_is_no_uri_after_it_was_made_plain() -> None:
    assert plain("./a:b") == "./a:b"
    assert is_absolute("a:b")


@pytest.mark.parametrize("written", ["./data/x", "data/../data/x", ".\\/data\\/x", "\\u002e/data/x"])
def test_text_with_other_spellings_is_resolved(written: str) -> None:
    text = f'{{"@graph": [{{"@id": "./", "hasPart": [{{"@id": "data/x"}}]}}, {{"@id": "{written}"}}]}}'
    assert not all_plain(text.encode())
    graph = json.loads(text)["@graph"]
    assert resolve(graph, paths=True)[1]["@id"] == "data/x"


def test_a_root_with_an_absolute_id_is_the_root() -> None:
    graph = [
        {"@id": "ro-crate-metadata.json", "about": {"@id": "https://example.org/crate/1/"}},
        {"@id": "https://example.org/crate/1/", "hasPart": [{"@id": "data/x"}]},
        {"@id": "data/x", "isPartOf": {"@id": "https://example.org/crate/1/"}},
    ]
    assert [entity["@id"] for entity in resolve(graph, paths=False)] == ["ro-crate-metadata.json", "./", "data/x"]
    assert resolve(graph, paths=False)[2]["isPartOf"] == {"@id": "./"}
    assert graph[1]["@id"] == "https://example.org/crate/1/"
