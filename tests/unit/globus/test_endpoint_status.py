"""What the web service calls endpoints, where it cannot be asked; the rest is in tests/integration/fleet."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from prov_worker.globus import endpoint_status

pytest.importorskip("globus_compute_sdk")
ENDPOINT = "5d9f8a52-3b1c-4f0e-8a44-0d2f4a6f1c01"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GLOBUS_")}
    return {**kept, "GLOBUS_COMPUTE_USER_DIR": str(tmp_path)}


def test_nobody_is_asked_for_a_login(environment: dict[str, str], capfd: pytest.CaptureFixture[str]) -> None:
    assert endpoint_status.ask([ENDPOINT], environment) == {
        ENDPOINT: endpoint_status.EndpointStatus(None, "nobody is logged in")
    }
    assert capfd.readouterr() == ("", "")


def test_without_the_sdk_the_reason_is_given(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "globus_compute_sdk.py").write_text("raise ImportError('no such package here')\n")
    answers = endpoint_status.ask([ENDPOINT], {**environment, "PYTHONPATH": str(tmp_path)})
    assert answers[ENDPOINT] == endpoint_status.EndpointStatus(None, "ImportError: no such package here")


def test_a_process_that_fails_is_no_answer(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "globus_compute_sdk.py").write_text("import os\nos._exit(7)\n")
    answers = endpoint_status.ask([ENDPOINT], {**environment, "PYTHONPATH": str(tmp_path)})
    assert answers[ENDPOINT] == endpoint_status.EndpointStatus(None, "code 7")


def test_no_endpoint_is_no_question() -> None:
    assert endpoint_status.ask([], {}) == {}
