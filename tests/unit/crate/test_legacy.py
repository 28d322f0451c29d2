"""What version 0.1.0 stated in sentences; whole crates of it are read in tests/unit/test_earlier_files.py."""

from __future__ import annotations

import pytest

from prov_worker.crate import legacy


def test_crates_without_a_layout_of_ours_are_legacy():
    layout = "https://w3id.org/ro/terms/distributed-step#layout-"
    assert legacy.is_legacy({})
    assert legacy.is_legacy({"ro-crate-metadata.json": {"@id": "ro-crate-metadata.json"}})
    assert legacy.is_legacy({"ro-crate-metadata.json": {"schemaVersion": "3.0"}})
    assert not legacy.is_legacy({"ro-crate-metadata.json": {"schemaVersion": layout + "2"}})
    assert not legacy.is_legacy({"ro-crate-metadata.json": {"schemaVersion": layout + "3"}})


def test_notes():
    assert legacy.notes("Globus Compute task 7, attempt 1.") == []
    assert legacy.notes("Task 7. Note: No plot was drawn. Note: 2 files could not be read.") == [
        "No plot was drawn.",
        "2 files could not be read.",
    ]


@pytest.mark.parametrize(
    "text, expected",
    [
        (
            "CPU usage of the task's process tree while task 7 ran: 18 of 20 expected samples, longest gap 0.1 s",
            (18, 20),
        ),
        ("Resident memory of the process tree while task 7 ran: 5 samples", (5, None)),
        ("Something else", (None, None)),
    ],
)
def test_samples(text, expected):
    assert legacy.samples({"#observation-memory-rss": {"description": text}}) == expected
    assert legacy.samples({"#observation-node-cpu_percent": {"description": text}}) == (None, None)


def test_values():
    assert legacy.value_recorded({"value": 3, "description": "type int"})
    assert not legacy.value_recorded({"value": "<int>", "description": "type int; the value was not recorded"})
    assert not legacy.value_recorded({"value": "<not recorded>", "description": "The result was not recorded"})


def test_functions():
    text = "Return at once. (function id unknown; identified by its hash)"
    assert legacy.function_doc(text) == "Return at once."
    assert legacy.function_doc("Return (a, b).") == "Return (a, b)."
    assert legacy.function_identified_by({"description": text}) == "sha256"
    assert legacy.function_identified_by({"description": text.replace("hash", "name")}) == "name"
    assert legacy.function_identified_by({"description": "x", "identifier": "urn:uuid:1"}) == "id"
    assert legacy.function_identified_by({"description": "x"}) is None
