"""Nothing is imported for libraries that a task does not use."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from prov_worker.recorder.libraries import DASK_PRELOAD
from support.commands import run_python

STEP = """
import sys, os, json
import prov_worker
@prov_worker.step
def add(a, b): return a + b
add(1, 2)
print(json.dumps([os.environ.get("DASK_DISTRIBUTED__WORKER__PRELOAD"),
                  [name for name in sys.modules if name.startswith("prov_worker.capture.")]]))
"""


@pytest.mark.parametrize(
    ("before", "capture", "after"),
    [
        (None, "on", "['prov_worker.capture.dask']"),
        ("mine.py", "on", "['mine.py', 'prov_worker.capture.dask']"),
        ("['a', 'b']", "torch=off", "['a', 'b', 'prov_worker.capture.dask']"),
        ("mine.py", "dask=off", "mine.py"),
    ],
)
def test_a_task_that_uses_no_library_imports_none(
    tmp_path: Path, crates: Path, before: str | None, capture: str, after: str
) -> None:
    (tmp_path / "program.py").write_text(STEP)
    environment = {"PROV_WORKER": "1", "PROV_WORKER_CRATE_DIR": str(crates), "PROV_WORKER_CAPTURE": capture}
    if before is not None:
        environment[DASK_PRELOAD] = before
    done = run_python("program.py", cwd=tmp_path, env=environment, check=True)
    assert json.loads(done.stdout) == [after, []], done.stderr


def test_a_library_that_workers_import_anyway_is_none_that_a_task_uses(tmp_path: Path, crates: Path) -> None:
    pytest.importorskip("parsl")
    (tmp_path / "program.py").write_text(f"import parsl\n{STEP}")
    environment = {"PROV_WORKER": "1", "PROV_WORKER_CRATE_DIR": str(crates)}
    done = run_python("program.py", cwd=tmp_path, env=environment, check=True)
    assert json.loads(done.stdout)[1] == [], done.stderr
