from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

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
