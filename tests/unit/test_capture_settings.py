"""The setting ``capture``, from a mapping and from the environment."""

from __future__ import annotations

from typing import Any

import pytest

from prov_worker.capture_settings import Capture
from prov_worker.errors import SettingsError
from prov_worker.settings import Settings

NOTHING = Capture(dask=False, mlflow=False, tensorboard=False, torch="off", parsl=False)


@pytest.mark.parametrize(
    ("value", "capture"),
    [
        (True, Capture()),
        (False, NOTHING),
        ({"torch": False, "dask": None}, Capture(torch="off")),
        ({"torch": True}, Capture(torch="steps")),
        ({"tensorboard": ["/runs/", "/runs"], "torch": "layers"}, Capture(tensorboard=("/runs",), torch="layers")),
    ],
)
def test_what_a_mapping_says_is_taken_and_given_back(value: Any, capture: Capture) -> None:
    settings = Settings.from_mapping({"capture": value})
    assert settings.capture == capture
    assert Settings.from_mapping(settings.to_mapping()).capture == capture
    assert Settings.from_mapping({"capture": True}).to_mapping() == {}


@pytest.mark.parametrize(
    ("text", "capture"),
    [
        ("off", NOTHING),
        ("dask=no, torch=layers", Capture(dask=False, torch="layers")),
        ("parsl=off", Capture(parsl=False)),
        ("tensorboard=/a:/b,mlflow=0,torch=off", Capture(mlflow=False, tensorboard=("/a", "/b"), torch="off")),
    ],
)
def test_what_a_variable_says(text: str, capture: Capture) -> None:
    assert Settings.from_environ({"PROV_WORKER_CAPTURE": text}).capture == capture


@pytest.mark.parametrize(
    ("value", "key", "problem"),
    [
        (3, "engine.capture", "expected a mapping of libraries, true or false"),
        ({"keras": True}, "engine.capture.keras", "known are dask, mlflow, tensorboard, torch, parsl"),
        ({"dask": "maybe"}, "engine.capture.dask", "expected true or false; got 'maybe'"),
        ({"torch": "deep"}, "engine.capture.torch", "expected one of steps, layers, off"),
        ({"tensorboard": ["runs"]}, "engine.capture.tensorboard", "expected absolute paths"),
        ({"tensorboard": "runs"}, "engine.capture.tensorboard", "or a list of absolute paths"),
    ],
)
def test_what_is_wrong_is_refused_with_its_key(value: Any, key: str, problem: str) -> None:
    with pytest.raises(SettingsError) as refused:
        Settings.from_mapping({"capture": value}, "engine")
    assert refused.value.key == key
    assert problem in refused.value.problem


def test_a_library_that_stands_twice_in_a_variable_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"PROV_WORKER_CAPTURE\.dask: given twice"):
        Settings.from_environ({"PROV_WORKER_CAPTURE": "dask=on,dask=off"})
