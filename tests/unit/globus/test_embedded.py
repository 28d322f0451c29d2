"""An endpoint inside a program, before it starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from prov_worker.globus.embedded import EmbeddedEndpoint


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("crates", "{here}/crates"),
        (Path("crates"), "{here}/crates"),
        ("../crates", "{home}/crates"),
        ("~/crates", "{home}/crates"),
        (Path("~/crates"), "{home}/crates"),
        ("/data/crates", "/data/crates"),
        # The engine says what is wrong with these.
        ("", ""),
        (5, 5),
        (None, None),
    ],
)
def test_crates_are_in_an_absolute_directory_as_workers_have_others(
    given: object, expected: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("HOME", str(tmp_path))
    provenance = {"crate_dir": given}
    endpoint = EmbeddedEndpoint(provenance=provenance)
    expected = expected.format(here=here, home=tmp_path) if isinstance(expected, str) else expected
    assert endpoint._options["provenance"] == {"crate_dir": expected}
    assert provenance == {"crate_dir": given}, "the caller's own is left alone"
