from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from prov_worker.testing import CrateFactory

Run = Callable[..., tuple[int, str, str]]


def test_list_is_a_row_for_each_crate(prov_worker: Run, crates: Path) -> None:
    code, out, err = prov_worker("list", crates)
    assert (code, err) == (0, "")
    assert "2 crates" in out
    assert "simulate" in out
    assert "failed" in out


def test_list_as_json(prov_worker: Run, crates: Path) -> None:
    code, out, err = prov_worker("list", "--json", crates)
    assert (code, err) == (0, "")
    rows = json.loads(out)
    assert {row["status"] for row in rows} == {"completed", "failed"}
    assert {Path(row["crate"]).name for row in rows} == {f"{row['task_id']}.crate" for row in rows}


def test_list_goes_on_after_a_damaged_crate(prov_worker: Run, own_crates: Path) -> None:
    damaged, _ = sorted(own_crates.glob("*.crate"))
    (damaged / "ro-crate-metadata.json").write_text("{")
    code, out, err = prov_worker("list", own_crates)
    assert code == 1
    assert damaged.name in err
    assert "1 crate\n" in out


@pytest.mark.parametrize("error", ["many words " * 90, "x" * 900, "one\x1b[2J\tline\u2028two " * 20])
def test_a_long_reason_takes_one_line(prov_worker: Run, tmp_path: Path, error: str) -> None:
    CrateFactory(tmp_path).add(1, error=error)
    code, out, _ = prov_worker("list", tmp_path)
    assert code == 0
    (row,) = (line for line in out.splitlines() if "failed" in line)
    assert len(out.splitlines()) == 6  # the head and the row, three lines of the frame, the number of crates
    assert "ValueError: " in row
    assert row.endswith("… │")
    reason = json.loads(prov_worker("list", "--json", tmp_path)[1])[0]["reason"]
    assert len(reason) > 160
