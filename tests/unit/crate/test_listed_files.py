"""Which entities of a crate are its files, and what the crate says of each."""

from __future__ import annotations

from typing import Any

import pytest

from prov_worker.crate.listed_files import CrateFile, OutsideError, listed_files


def of(*entities: dict[str, Any]) -> list[CrateFile]:
    return listed_files({entity["@id"]: entity for entity in entities})


def test_what_is_said_of_a_file() -> None:
    entity = {
        "@id": "./out/a%20b.csv",
        "@type": ["File", "Dataset"],
        "name": "Table",
        "encodingFormat": "text/csv",
        "contentSize": "12",
        "sha256": "ab" * 32,
    }
    assert of(entity) == [CrateFile("./out/a%20b.csv", "out/a b.csv", "Table", "text/csv", 12, "ab" * 32)]


def test_what_is_of_another_shape_is_not_said() -> None:
    entity = {"@id": "x", "@type": "File", "encodingFormat": ["text/csv", {"@id": "#csv"}], "sha256": 7}
    assert of(entity) == [CrateFile("x", "x", "x", None, None, None)]


def test_what_is_no_file_of_the_crate() -> None:
    assert not of(
        {"@id": "data/", "@type": "Dataset"},
        {"@id": "#stdout", "@type": "File"},
        {"@id": "https://example.org/x.csv", "@type": "File"},
        {"@id": "nothing"},
        {"@id": "list", "@type": ["Dataset", 3]},
    )


@pytest.mark.parametrize("identifier", ["../x", "/etc/passwd", "data/../../x", "%2e%2e/x"])
def test_a_path_that_leads_outside(identifier: str) -> None:
    with pytest.raises(OutsideError) as raised:
        of({"@id": "inside", "@type": "File"}, {"@id": identifier, "@type": "File"})
    assert str(raised.value) == identifier
