"""``prov-worker diagnose``: what it refuses, before anything is sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from prov_worker.cli.main import run as cli

ENDPOINT = "4b116d3c-1703-4f8f-9f6f-39921e5864df"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ([], "name an endpoint, or set GLOBUS_COMPUTE_ENDPOINT_ID"),
        (["gpu"], "name an endpoint, or set GLOBUS_COMPUTE_ENDPOINT_ID"),
        (["my-endpoint"], "endpoint: 'my-endpoint': is not a UUID"),
        ([ENDPOINT, "gpus"], "check: 'gpus': not one of connectivity, environment, parallel"),
        ([ENDPOINT, "-n", "0"], "0 is not in the range"),
        ([ENDPOINT, "--timeout", "0"], "0.0 is not in the range"),
        ([ENDPOINT, "--site", "summit"], "summit: no such site"),
        ([ENDPOINT, "--config", "x"], "--config: 'x': is not KEY=VALUE"),
        ([ENDPOINT, "--ranks", "3", "--nodes", "2"], "ranks: 3 cannot be shared out evenly among 2 nodes"),
        ([ENDPOINT, "-o", "/none/report.zip"], "/none/report.zip: cannot be written: /none is not a directory"),
        (["--here", "nothing"], "check: 'nothing': not one of"),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str],
    problem: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("GLOBUS_COMPUTE_ENDPOINT_ID", raising=False)
    monkeypatch.chdir(tmp_path)
    assert cli(["diagnose", *arguments]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert problem in output.err
    assert len(output.err.splitlines()) == 1
