"""The oldest supported release of the daemon and of the SDK, alone and each with the newest of the other."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from endpoint_daemon import Daemon
from service_stack import Stack, running

from support.commands import run_program

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
HERE = Path(__file__).parent
OLDEST = Path(os.environ.get("PROV_TEST_OLDEST") or "no-such-interpreter")
SAID = {
    "submit": 15,
    "registered": [0, 2, 4, 6],
    "shell": [3, "hello"],
    "reloaded": [0, 2, 4, 6],
    "options": 2,
    "batch": [1, 2, 3, "HEY"],
    "status": "success",
    "get_result": 5,
    "get_batch_result": [5],
    "thousand": 500_500,
}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Broker and service of all releases."""
    if not OLDEST.exists():
        pytest.skip("no interpreter with the oldest release; set PROV_TEST_OLDEST (make oldest)")
    with running(tmp_path_factory.mktemp("stack"), endpoint=False) as stack:
        yield stack


@contextmanager
def daemon_of(stack: Stack, python: str, directory: Path) -> Iterator[Daemon]:
    daemon = Daemon(directory, stack.environment(), python)
    daemon.configure()
    daemon.start()
    try:
        yield daemon
    finally:
        daemon.stop()


@pytest.mark.parametrize(
    "daemon_python, sdk_python",
    [("oldest", "newest"), ("newest", "oldest"), pytest.param("oldest", "oldest", marks=pytest.mark.long)],
)
def test_releases_of_daemon_and_sdk(daemon_python: str, sdk_python: str, stack: Stack, tmp_path: Path) -> None:
    pythons = {"oldest": str(OLDEST), "newest": sys.executable}
    with daemon_of(stack, pythons[daemon_python], tmp_path / "gc") as daemon:
        done = run_program(
            pythons[sdk_python],
            str(HERE / "sdk_script.py"),
            daemon.id,
            env={**os.environ, **stack.sdk_environment(), "GLOBUS_COMPUTE_USER_DIR": str(tmp_path / "sdk")},
            timeout=450,
        )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:] + daemon.log
    results = json.loads(done.stdout.splitlines()[-1])
    assert {key: results[key] for key in SAID} == SAID
    assert daemon.id in results["endpoints"]
    assert "ValueError: not today" in results["raised"]
    assert "MaxResultSizeExceeded" in results["too_large"]
