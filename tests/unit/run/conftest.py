"""Step crates of small workflows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from prov_worker.agent.software_bill import keep_bill
from prov_worker.model import OutputFile, ProbeReport, Value
from prov_worker.testing import CrateFactory, pickled_sha256, text_value
from prov_worker.testing.crates import node


@pytest.fixture
def crates(tmp_path: Path) -> CrateFactory:
    """An empty directory of crates, and what fills it."""
    return CrateFactory(tmp_path / "crates")


@pytest.fixture
def workflow_crates(crates: CrateFactory) -> CrateFactory:
    """Two readers, one of which failed at first; two sums of what they returned; one merge that fails for good.

    Tasks 0 and 1 ``read``, 2 and 3 ``total``, 4 ``merge``.
    """
    content = ["1890 rain 12.5 mm", "1891 rain 14.0 mm"]
    crates.add(0, "read", result=text_value("return", content[0]), sampled=True)
    crates.add(1, "read", wall_s=0.5, attempt=1, error="not there yet")
    crates.add(1, "read", offset_s=1, attempt=2, result=text_value("return", content[1]), sampled=True)
    for number in (0, 1):
        crates.add(
            2 + number,
            "total",
            offset_s=3 + number,
            arguments=[text_value("table", content[number]), Value("scale", "int", value=2, sha256=pickled_sha256(2))],
            result=Value("return", "float", value=12.5 + number, sha256=pickled_sha256(12.5 + number)),
            outputs=[OutputFile(f"part-{number}.csv", 40, pickled_sha256(f"part {number}"))],
        )
    crates.add(
        4,
        "merge",
        offset_s=6,
        arguments=[
            Value("first", "float", value=12.5, sha256=pickled_sha256(12.5)),
            Value("none", "NoneType", sha256=pickled_sha256(None)),
        ],
        error="nothing to merge",
    )
    return crates


@pytest.fixture
def make_crates() -> Callable[..., CrateFactory]:
    """Another directory of crates."""
    return CrateFactory


@pytest.fixture
def billed() -> Callable[[Path, bytes], CrateFactory]:
    """What fills a directory with crates of an environment whose bill of materials, of some content, is beside them."""

    def make(directory: Path, bill: bytes) -> CrateFactory:
        snapshot = node()
        environment = {"software_bill": keep_bill(str(directory), bill)}
        snapshot.probes["environment"] = ProbeReport("environment", True, 0.01, environment)
        return CrateFactory(directory, snapshot=snapshot)

    return make
