"""Docker, as the tests use it: everything made here carries a label, and is taken away again."""

from __future__ import annotations

import hashlib
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: On everything made by tests, with the checkout's path, so that what a killed run left can be found and removed.
LABEL = f"prov-worker.test={ROOT}"
#: Tells what this checkout makes from what others make.
CHECKOUT = hashlib.sha256(str(ROOT).encode()).hexdigest()[:8]


def docker(*arguments: str, check: bool = True) -> str:
    """Run the docker client; standard output."""
    done = subprocess.run(["docker", *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert not check or done.returncode == 0, (
        f"docker {' '.join(arguments)}:\n{done.stdout[-3000:]}\n{done.stderr[-5000:]}"
    )
    return done.stdout


def until(condition: Callable[[], Any], *, timeout_s: float = 240, pause_s: float = 0.5) -> Any:
    """Wait for something to become true; what it is."""
    end = time.monotonic() + timeout_s
    while not (outcome := condition()) and time.monotonic() < end:
        time.sleep(pause_s)
    return outcome


def need_image(name: str) -> None:
    """Skip where a base image is missing; fail where containers are demanded."""
    inspection = subprocess.run(["docker", "image", "inspect", name], capture_output=True, check=False)
    if inspection.returncode:
        why = f"the image {name} is missing (scripts/base-images.sh {name})"
        if os.environ.get("PROV_TEST_REQUIRE_DOCKER", "0") not in ("", "0"):
            pytest.fail(why, pytrace=False)
        pytest.skip(why)
