"""The fixtures that users of ``prov_worker.testing`` have, in a pytest of its own."""

from __future__ import annotations

import os
from pathlib import Path

from support.commands import run_python

CONFTEST = 'pytest_plugins = ["prov_worker.testing.fixtures"]\n'
TESTS = """
import time

from prov_worker import open_run


def double(number):
    return 2 * number


def test_a_task_leaves_a_crate(embedded_endpoint, tmp_path):
    assert embedded_endpoint.submit(double, 21).result(timeout=180) == 42
    limit = time.monotonic() + 90
    while not (steps := [step for step in open_run(tmp_path / "crates").steps()]) and time.monotonic() < limit:
        time.sleep(0.1)
    assert [step.function for step in steps] == ["double"]


def test_a_crate_without_a_task(crate_factory):
    assert (crate_factory.add(1, "work") / "ro-crate-metadata.json").is_file()
"""


def test_a_project_of_a_user(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_mine.py").write_text(TESTS)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = run_python(
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-c",
        os.devnull,
        "--rootdir",
        tmp_path,
        tmp_path,
        cwd=tmp_path,
        env=environment,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout
