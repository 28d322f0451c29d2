"""Programs of the documentation with an endpoint in them, as they stand there."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from prov_worker.crate.reader import StepCrate
from prov_worker.crate.sources import find_crates
from support.commands import run_program, run_python
from support.crate_dir import wait_until
from support.marks import PARSL_SOCKET

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240), PARSL_SOCKET]
DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = DOCS / "local-endpoint.md"
MLFLOW = os.environ.get("PROV_TEST_MLFLOW", "")


def test_the_program_of_the_page_runs_and_leaves_crates_where_it_says(tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "program.py").write_text(code)
    done = run_python("program.py", cwd=tmp_path, timeout=180)
    assert (done.returncode, done.stdout) == (0, "[1, 2, 3]\n"), done.stderr
    wait_until(lambda: len(list(find_crates(tmp_path / "crates"))) == 3, "three crates")
    assert {StepCrate.open(path).function["name"] for path in find_crates(tmp_path / "crates")} == {"add"}


@pytest.mark.long
@pytest.mark.skipif(not os.path.exists(MLFLOW), reason="PROV_TEST_MLFLOW names no Python; make mlflow")
def test_the_training_of_the_tutorial_leaves_its_curves(tmp_path: Path) -> None:
    program, reader = re.findall(
        r"```python\n(.*?)```", (DOCS / "tutorials" / "training.md").read_text(encoding="utf-8"), re.DOTALL
    )
    (tmp_path / "program.py").write_text(program)
    (tmp_path / "reader.py").write_text(reader)
    done = run_program(MLFLOW, "program.py", cwd=tmp_path, timeout=200)
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 3), done.stderr
    wait_until(lambda: len(list(find_crates(tmp_path / "crates"))) == 3, "three crates")
    done = run_program(MLFLOW, "reader.py", cwd=tmp_path, timeout=60)
    assert done.returncode == 0, done.stderr
    assert all("rate" in line and "loss" in line for line in done.stdout.splitlines()), done.stdout
    assert len(done.stdout.splitlines()) == 3
