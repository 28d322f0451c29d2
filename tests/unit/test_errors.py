from __future__ import annotations

import pickle
from pathlib import Path

from prov_worker.errors import CrateError


def test_an_error_of_a_crate_keeps_its_parts() -> None:
    error = CrateError(Path("/c/t.crate/ro-crate-metadata.json"), "missing", "./.mainEntity")
    assert str(error) == "/c/t.crate/ro-crate-metadata.json: ./.mainEntity: missing"
    assert (error.where, error.key, error.problem) == (
        "/c/t.crate/ro-crate-metadata.json",
        "./.mainEntity",
        "missing",
    )
    assert error.within("/c/t.crate") == "ro-crate-metadata.json: ./.mainEntity: missing"
    assert error.within("/c/t.crate/ro-crate-metadata.json") == "./.mainEntity: missing"
    assert CrateError("/c", "no such directory").within("/c") == "no such directory"


def test_it_comes_back_from_another_process() -> None:
    error = pickle.loads(pickle.dumps(CrateError("/c", "missing", "a: b")))
    assert (str(error), error.key, error.exit_code) == ("/c: a: b: missing", "a: b", 2)
