"""Crates for the commands to work on, published by the real writer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from prov_worker.crate.writer import CrateWriter
from prov_worker.model import (
    COMPLETED,
    FAILED,
    Column,
    Failure,
    Function,
    HardwareSnapshot,
    OutputFile,
    ProbeReport,
    Series,
    TaskRecord,
    TaskSeries,
    Usage,
    Value,
    Worker,
)
from prov_worker.settings import Settings

START_NS = 1_790_000_000_000_000_000
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
    cpu = {"model": "EPYC 7543P", "logical": 64}
    probes = {
        "cpu": ProbeReport("cpu", True, 0.01, cpu),
        "memory": ProbeReport("memory", True, 0.01, {"total_bytes": 512 << 30, "available_bytes": 500 << 30}),
    }
    writer = CrateWriter(HardwareSnapshot("node01", START_NS, probes), Settings())
    percents = [100.0 * (number % 5) / 4 for number in range(40)]
    columns = {
        "cpu_percent": Column("percent", list(percents)),
        "rss_bytes": Column("byte", [(100 + number) << 20 for number in range(40)]),
    }
    series = TaskSeries(Series(0.05, [0.05 * number for number in range(40)], columns, 40, 40, 0.06))
    done = TaskRecord(
        task_id=DONE,
        attempt=2,
        status=COMPLETED,
        start_ns=START_NS,
        end_ns=START_NS + 2_000_000_000,
        function=Function("simulate", doc="Simulate [bold]something[/bold]."),
        worker=Worker("node01", 4711, rank="0"),
        endpoint_id="3f2b7b0e-5f0c-4c58-9a43-0d2f4a6f1cff",
        arguments=[Value("steps", "int", value=7)],
        result=Value("return", "float", value=0.5),
        usage=Usage(cpu_user_s=1.0, cpu_system_s=0.5, peak_rss_bytes=150 << 20),
        outputs=[OutputFile("result.dat", 10)],
        notes=["plot left out: matplotlib is not installed"],
    )
    writer.publish(done, series, None, directory)
    broken = TaskRecord(
        task_id=BROKEN,
        attempt=1,
        status=FAILED,
        start_ns=START_NS,
        end_ns=START_NS + 1_000_000,
        function=Function("divide"),
        worker=Worker("node01", 4711),
        failure=Failure(
            "exception", "division by zero", "ZeroDivisionError", "Traceback\n  [red]line\nZeroDivisionError"
        ),
    )
    writer.publish(broken, None, None, directory)
    return directory


@pytest.fixture
def prov_worker(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run the command line in this process: exit code, stdout, stderr."""
    from prov_worker.__main__ import main

    def run(*arguments: object) -> tuple[int, str, str]:
        code = main([str(one) for one in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run
