"""Interpreters with libraries that tasks use, at both ends of what is supported."""

from __future__ import annotations

import os

import pytest


def _interpreter(variable: str, target: str) -> str:
    """The interpreter that a variable names; skip without it."""
    path = os.environ.get(variable, "")
    if not os.path.exists(path):
        pytest.skip(f"{variable} names no Python; make {target}")
    return path


@pytest.fixture(params=["", "_OLDEST"], ids=["newest", "oldest"])
def mlflow(request: pytest.FixtureRequest) -> str:
    """A Python with MLflow."""
    return _interpreter(f"PROV_TEST_MLFLOW{request.param}", "mlflow")


@pytest.fixture(params=["", "_OLDEST"], ids=["newest", "oldest"])
def torch(request: pytest.FixtureRequest) -> str:
    """A Python with PyTorch."""
    return _interpreter(f"PROV_TEST_TORCH{request.param}", "torch")
