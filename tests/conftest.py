"""What all tests share: needs that a machine may lack, programs that end with their tests, and what was skipped."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
pytest_plugins = ["support.ending"]


@functools.cache
def _docker_answers() -> bool:
    if shutil.which("docker") is None:
        return False
    try:
        answer = subprocess.run(
            ["docker", "info", "--format", "{{.ServerVersion}}"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=90,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False
    # Some clients end with 0 where no daemon answers, and print no version.
    return answer.returncode == 0 and bool(answer.stdout.strip())


#: Folders of tests that wait more than they compute, and take minutes: they begin first, side by side.
WAITING = (
    "rollout", "containers/stack", "schedulers/slurm", "integration/fleet", "integration/service", "containers",
    "schedulers", "faults", "integration",
)  # fmt: skip


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With pytest-xdist a module's tests run in one process, one after the other: they share its fixtures."""
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(f"{item.path.parent.name}/{item.path.stem}"))
    items.sort(key=_rank)


def _rank(item: pytest.Item) -> int:
    folder = item.path.parent.relative_to(Path(__file__).parent).as_posix()
    return next((n for n, name in enumerate(WAITING) if f"{folder}/".startswith(f"{name}/")), len(WAITING))


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("docker") and not _docker_answers():
        if os.environ.get("PROV_TEST_REQUIRE_DOCKER", "0") not in ("", "0"):
            pytest.fail("no Docker daemon answers, and PROV_TEST_REQUIRE_DOCKER is set", pytrace=False)
        pytest.skip("no Docker daemon answers")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reasons: Counter[str] = Counter()
    for report in terminalreporter.getreports("skipped"):
        longrepr = report.longrepr
        text = longrepr[2] if isinstance(longrepr, tuple) else str(longrepr)
        reasons[text.removeprefix("Skipped: ")] += 1
    for reason, count in sorted(reasons.items()):
        tests = "1 test" if count == 1 else f"{count} tests"
        terminalreporter.write_line(f"SKIPPED {tests} because: {reason}", yellow=True, bold=True)


@pytest.fixture
def wait_for() -> Callable[..., None]:
    """Wait until a condition holds; fails the test, with what was waited for, when it never does."""
    from support.crate_dir import wait_until

    return wait_until
