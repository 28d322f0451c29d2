"""The program of docs/local-endpoint.md with an endpoint in it, as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from prov_worker.crate.reader import StepCrate
from prov_worker.crate.sources import find_crates
from support.commands import run_python
from support.crate_dir import wait_until
from support.marks import PARSL_SOCKET

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240), PARSL_SOCKET]
PAGE = Path(__file__).resolve().parents[2] / "docs" / "local-endpoint.md"


def test_the_program_of_the_page_runs_and_leaves_crates_where_it_says(tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "program.py").write_text(code)
    done = run_python("program.py", cwd=tmp_path, timeout=180)
    assert (done.returncode, done.stdout) == (0, "[1, 2, 3]\n"), done.stderr
    wait_until(lambda: len(list(find_crates(tmp_path / "crates"))) == 3, "three crates")
    assert {StepCrate.open(path).function["name"] for path in find_crates(tmp_path / "crates")} == {"add"}
