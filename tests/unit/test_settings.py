"""The setting ``telemetry``, from a mapping and from the environment."""

from __future__ import annotations

from typing import Any

import pytest

from prov_worker.errors import SettingsError
from prov_worker.settings import Settings
from prov_worker.telemetry_settings import Telemetry


def test_types_are_switched_and_given_intervals() -> None:
    settings = Settings.from_mapping({"telemetry": {"gpu": 1, "per_cpu": False, "cpu": True, "io": None}})
    assert settings.telemetry == Telemetry(gpu=1.0, per_cpu=False)
    assert settings == Settings.from_environ({"PROV_WORKER_TELEMETRY": "gpu=1, per_cpu=off,cpu=on"})


def test_only_what_was_changed_is_written_and_read_back() -> None:
    settings = Settings.from_mapping({"telemetry": {"gpu": 1, "per_cpu": False}})
    assert settings.to_mapping() == {"telemetry": {"gpu": 1.0, "per_cpu": False}}
    assert Settings.from_mapping(settings.to_mapping()) == settings
    assert Settings.from_mapping({"telemetry": {"gpu": True}}).to_mapping() == {}


def test_an_interval_follows_the_poll_interval_unless_it_is_given() -> None:
    telemetry = Telemetry(cpu=2.0, io=False)
    assert [telemetry.interval_s(kind, 0.5) for kind in ("cpu", "io", "memory")] == [2.0, None, 0.5]


@pytest.mark.parametrize(
    ("values", "key", "reason"),
    [
        ({"telemetry": {"gpus": 1}}, "engine.provenance.telemetry.gpus", "known are cpu, memory"),
        ({"telemetry": {"gpu": "fast"}}, "engine.provenance.telemetry.gpu", "got 'fast'"),
        ({"telemetry": {"gpu": 0}}, "engine.provenance.telemetry.gpu", "0.01 to 60"),
        ({"telemetry": {"gpu": 61}}, "engine.provenance.telemetry.gpu", "0.01 to 60"),
        ({"telemetry": {"cpu": 0.02}}, "engine.provenance.telemetry.cpu", "poll interval of 0.05"),
        ({"telemetry": {"cpu": 1}, "poll_interval": 2}, "engine.provenance.telemetry.cpu", "poll interval of 2"),
        ({"telemetry": ["cpu"]}, "engine.provenance.telemetry", "expected a mapping"),
    ],
)
def test_wrong_values_are_refused_with_their_path(values: dict[str, Any], key: str, reason: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_mapping(values, "engine.provenance")
    assert str(caught.value).startswith(key + ":")
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("gpu", "PROV_WORKER_TELEMETRY:"),
        ("gpu=soon", "PROV_WORKER_TELEMETRY.gpu:"),
        ("disk=1", "PROV_WORKER_TELEMETRY.disk:"),
        ("cpu=on,cpu=off", "PROV_WORKER_TELEMETRY.cpu:"),
        ("cpu=0.01", "PROV_WORKER_TELEMETRY.cpu:"),
    ],
)
def test_wrong_variables_are_refused_with_their_name(text: str, key: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_environ({"PROV_WORKER_TELEMETRY": text})
    assert str(caught.value).startswith(key)


def test_packs_do_not_go_with_results_that_wait_for_a_crate_of_their_own() -> None:
    with pytest.raises(SettingsError, match=r"engine\.provenance\.crates: packs do not go with before_result"):
        Settings.from_mapping({"crates": "packs", "write": "before_result"}, "engine.provenance")
    with pytest.raises(SettingsError, match="PROV_WORKER_CRATES: packs do not go"):
        Settings.from_environ({"PROV_WORKER_CRATES": "packs", "PROV_WORKER_WRITE": "before_result"})
    assert Settings.from_mapping({"crates": "packs"}).crates == "packs"
