"""An endpoint inside a program, before it starts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from prov_worker.errors import SettingsError
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


@pytest.mark.parametrize(
    "provenance, key",
    [
        ({"poll_intervall": 1}, "engine.provenance.poll_intervall"),
        ({"poll_interval": "often"}, "engine.provenance.poll_interval"),
        ({"crate_dir": 1}, "engine.provenance.crate_dir"),
        ([], "engine.provenance"),
    ],
)
@pytest.mark.parametrize("by", ["provenance", "engine_options", "template"])
def test_a_wrong_setting_is_an_error_of_settings_without_a_chain(provenance: Any, key: str, by: str) -> None:
    options: dict[str, Any] = {by: provenance}
    if by == "engine_options":
        options = {by: {"provenance": provenance}}
    elif by == "template":
        options = {by: json.dumps({"engine": {"type": "ProvenanceEngine", "provenance": provenance}})}
    with pytest.raises(SettingsError) as caught:
        EmbeddedEndpoint(**options).start()
    assert caught.value.key == key
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
