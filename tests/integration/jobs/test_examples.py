"""The examples with jobs, run as they are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from support.commands import run_python

pytestmark = [pytest.mark.xdist_group("jobs"), pytest.mark.slow, pytest.mark.timeout(280)]
EXAMPLES = Path(__file__).parents[3] / "examples"


def test_tutorial_and_segments(endpoint: str, tmp_path: Path) -> None:
    environment = {**os.environ, "GLOBUS_COMPUTE_ENDPOINT_ID": endpoint}
    for number, text in enumerate(("1 2 3", "4", "no number", "5 6")):
        (tmp_path / f"{number}.evt").write_text(text)
    first = run_python(EXAMPLES / "segments.py", tmp_path, cwd=tmp_path, env=environment)
    assert first.returncode == 1, first.stderr
    assert "batch fit: 1 of 4 items have no value" in first.stderr
    assert "ValueError: could not convert string to float: 'no'" in first.stderr
    assert [line.split("   ")[0] for line in sorted(first.stdout.splitlines())] == [
        "0.evt: completed",
        "1.evt: completed",
        "2.evt: failed",
        "3.evt: completed",
    ]
    (tmp_path / "2.evt").write_text("7")
    second = run_python(EXAMPLES / "segments.py", tmp_path, cwd=tmp_path, env=environment)
    assert [line.split("   ")[0] for line in second.stdout.splitlines()] == [
        "2.evt: completed",
        "7 events in 4 segments",
    ]
    tutorial = run_python(EXAMPLES / "job.py", cwd=tmp_path, env=environment)
    assert tutorial.stdout.startswith("5 + 10 = 15   (task ")
