"""``PROV_WORKER_*`` variables, read by steps and by the helper under a stock engine alike."""

from __future__ import annotations

from pathlib import Path

import pytest

from prov_worker.capture_settings import FALSE, TRUE
from prov_worker.errors import SettingsError
from prov_worker.globus.env_settings import default_crate_dir, provenance_of_endpoint
from prov_worker.recorder.provenance import provenance_mapping, provenance_of_environment
from prov_worker.settings import Settings


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PROV_WORKER", "GLOBUS_COMPUTE_ENDPOINT_NAME", "PROV_WORKER_CRATE_DIR"):
        monkeypatch.delenv(name, raising=False)
    provenance_of_endpoint.cache_clear()


@pytest.mark.parametrize("word", [*TRUE, "ON", " Yes "])
def test_words_that_switch_recording_on(monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    monkeypatch.setenv("PROV_WORKER", word)
    provenance = provenance_of_environment("/crates")
    assert provenance is not None
    assert provenance["settings"] == {"crate_dir": "/crates"}


@pytest.mark.parametrize("word", [None, "", *FALSE, "maybe"])
def test_words_that_do_not(monkeypatch: pytest.MonkeyPatch, word: str | None) -> None:
    if word is not None:
        monkeypatch.setenv("PROV_WORKER", word)
    assert provenance_of_environment("/crates") is None
    assert provenance_of_endpoint("e") is None


def test_recording_that_is_switched_on_and_not_enabled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROV_WORKER", "1")
    monkeypatch.setenv("PROV_WORKER_ENABLED", "no")
    assert provenance_of_environment("/crates") is None


def test_a_stock_engine_and_a_step_differ_in_the_default_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PROV_WORKER", "1")
    monkeypatch.setenv("PROV_WORKER_PLOTS", "none")
    monkeypatch.setenv("GLOBUS_COMPUTE_USER_DIR", str(tmp_path))
    step, endpoint = provenance_of_environment("/here/provenance"), provenance_of_endpoint("e")
    assert step is not None
    assert endpoint is not None
    assert step["settings"] == {"plots": "none", "crate_dir": "/here/provenance"}
    assert endpoint["settings"] == {"plots": "none", "crate_dir": f"{tmp_path}/provenance/e"}
    assert step["key"] != endpoint["key"]


def test_a_named_directory_goes_before_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROV_WORKER", "1")
    monkeypatch.setenv("PROV_WORKER_CRATE_DIR", "/mine")
    for provenance in (provenance_of_environment("/crates"), provenance_of_endpoint("e")):
        assert provenance is not None
        assert provenance["settings"]["crate_dir"] == "/mine"


def test_an_endpoints_directory_is_named_by_its_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GLOBUS_COMPUTE_USER_DIR", str(tmp_path))
    assert default_crate_dir(None) == f"{tmp_path}/provenance/endpoint"
    monkeypatch.setenv("GLOBUS_COMPUTE_ENDPOINT_NAME", "a/b")
    assert default_crate_dir("e") == f"{tmp_path}/provenance/a_b"


def test_the_key_tells_settings_and_endpoints_apart() -> None:
    plain = provenance_mapping(Settings(), "/crates")
    assert plain == provenance_mapping(Settings(crate_dir="/crates"), "/other")
    assert plain["key"] != provenance_mapping(Settings(), "/crates", "e")["key"]
    assert plain["key"] != provenance_mapping(Settings(poll_interval=1.0), "/crates")["key"]


def test_a_relative_directory_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"crate_dir: expected an absolute path, got 'crates'"):
        provenance_mapping(Settings(), "crates")


def test_a_wrong_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROV_WORKER", "1")
    monkeypatch.setenv("PROV_WORKER_POLL", "1")
    with pytest.raises(SettingsError, match="PROV_WORKER_POLL: unknown variable"):
        provenance_of_environment("/crates")
