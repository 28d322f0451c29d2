"""Reading crates on the workers of a real Parsl executor."""

from __future__ import annotations

from pathlib import Path

import pytest

from prov_worker.errors import InputError, ProvWorkerError
from prov_worker.globus.parsl_map import over_parsl
from prov_worker.testing import CrateFactory

pytest.importorskip("parsl")
pytest.importorskip("duckdb")

CONFIG = """
from parsl import Config
from parsl.executors import HighThroughputExecutor
from parsl.providers import LocalProvider

config = Config(
    executors=[
        HighThroughputExecutor(
            label="read",
            address="127.0.0.1",
            max_workers_per_node=2,
            provider=LocalProvider(init_blocks=1, max_blocks=1),
        )
    ],
    run_dir={run_dir!r},
    initialize_logging=False,
)
"""


def test_an_index_read_by_parsl_workers_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from prov_worker.run.index import build as module
    from prov_worker.run.index.build import index
    from prov_worker.run.index.query import Index

    crates = CrateFactory(tmp_path / "crates")
    for number in range(20):
        crates.add(number, offset_s=number, error="no" if number % 7 == 0 else None)
    (crates.add(20) / "ro-crate-metadata.json").write_text("{")
    monkeypatch.setattr(module, "CRATES_PER_BATCH", 4)  # several batches for several workers
    config = tmp_path / "config.py"
    config.write_text(CONFIG.format(run_dir=str(tmp_path / "parsl")))
    with over_parsl(str(config)) as mapper:
        spread = index([crates.directory], tmp_path / "spread", mapper=mapper)
    here = index([crates.directory], tmp_path / "here")
    assert (spread.read, len(spread.problems)) == (here.read, len(here.problems)) == (20, 1)
    query = "SELECT * FROM tasks ORDER BY key"
    with Index(tmp_path / "spread") as first, Index(tmp_path / "here") as second:
        assert list(first.sql(query).rows) == list(second.sql(query).rows)


@pytest.mark.parametrize(
    "text, message",
    [
        ("config = 7", "a parsl.Config, got int"),
        ("1 / 0", "ZeroDivisionError"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("", "expected a parsl.Config"),
    ],
)
def test_a_file_that_is_no_configuration(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "config.py"
    path.write_text(text)
    with pytest.raises(InputError, match=message), over_parsl(str(path)):
        pass


def fails(piece: str) -> str:
    raise KeyError(piece)


THREADS = """
from parsl import Config
from parsl.executors import ThreadPoolExecutor

config = Config(executors=[ThreadPoolExecutor({arguments})], run_dir={run_dir!r}, initialize_logging=False)
"""


def test_what_fails_on_the_workers_is_one_line(tmp_path: Path) -> None:
    config = tmp_path / "config.py"
    config.write_text(THREADS.format(arguments="", run_dir=str(tmp_path / "parsl")))
    with (
        over_parsl(str(config)) as mapper,
        pytest.raises(ProvWorkerError, match="--parsl: failed on the workers: KeyError: 'piece'"),
    ):
        list(mapper(fails, ["piece"]))


def test_an_executor_that_does_not_start_is_one_line(tmp_path: Path) -> None:
    config = tmp_path / "config.py"
    config.write_text(THREADS.format(arguments="max_threads=-1", run_dir=str(tmp_path / "parsl")))
    with pytest.raises(InputError, match="Parsl does not start with it: ValueError"), over_parsl(str(config)):
        pass


def test_a_module_that_is_not_there() -> None:
    with pytest.raises(InputError, match="expected a file, or module:attribute"), over_parsl("no_such_module:config"):
        pass
