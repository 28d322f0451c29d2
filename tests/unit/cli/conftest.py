"""Crates for the commands to work on, published by the real writer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from prov_worker.model import Column, Failure, Function, OutputFile, Series, TaskSeries, Usage, Value
from prov_worker.testing import CrateFactory

DONE = "3f2b7b0e-5f0c-4c58-9a43-0d2f4a6f1c01"
BROKEN = "3f2b7b0e-5f0c-4c58-9a43-0d2f4a6f1c02"


@pytest.fixture(scope="session")
def crates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Directory with a completed task that was sampled, and a failed one that was not. Read only."""
    return make_crates(tmp_path_factory.mktemp("cli") / "crates")


@pytest.fixture
def own_crates(tmp_path: Path) -> Path:
    """The same, for a test that changes them."""
    return make_crates(tmp_path / "crates")


def make_crates(directory: Path) -> Path:
    percents: list[float | int | None] = [100.0 * (number % 5) / 4 for number in range(40)]
    columns = {
        "cpu_percent": Column("percent", percents),
        "rss_bytes": Column("byte", [(100 + number) << 20 for number in range(40)]),
    }
    series = TaskSeries(Series(0.05, [0.05 * number for number in range(40)], columns, 40, 40, 0.06))
    crates = CrateFactory(directory)
    crates.add(
        1,
        Function("simulate", doc="Simulate [bold]something[/bold]."),
        task_id=DONE,
        attempt=2,
        wall_s=2.0,
        series=series,
        endpoint_id="3f2b7b0e-5f0c-4c58-9a43-0d2f4a6f1cff",
        arguments=[Value("steps", "int", value=7)],
        result=Value("return", "float", value=0.5),
        usage=Usage(cpu_user_s=1.0, cpu_system_s=0.5, peak_rss_bytes=150 << 20),
        outputs=[OutputFile("result.dat", 10)],
        notes=["plot left out: matplotlib is not installed"],
    )
    traceback = "Traceback\n  [red]line\nZeroDivisionError"
    crates.add(
        2,
        Function("divide"),
        task_id=BROKEN,
        endpoint_id=None,  # another part of an index
        endpoint_name=None,
        wall_s=0.001,
        failure=Failure("exception", "division by zero", "ZeroDivisionError", traceback),
        usage=Usage(),
    )
    return directory


@pytest.fixture
def prov_worker(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run the command line in this process: exit code, stdout, stderr."""
    from prov_worker.__main__ import main

    def run(*arguments: object) -> tuple[int, str, str]:
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run
