"""Claims of tasks that are to run once."""

from __future__ import annotations

import os
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from prov_worker.spool import claims
from support.commands import run_python

TASK = str(uuid.uuid4())


def test_one_of_many_gets_a_task(tmp_path: Path) -> None:
    """All begin at once, and the directories are still to be made."""
    for number in range(20):
        crate_dir = str(tmp_path / str(number))
        with ThreadPoolExecutor(8) as pool:
            taken = list(pool.map(claims.take, [crate_dir] * 8, [TASK] * 8, [1] * 8))
        assert sorted(taken) == [False] * 7 + [True]


def test_what_a_claim_says(tmp_path: Path) -> None:
    crate_dir = str(tmp_path)
    assert claims.claim_of(crate_dir, TASK) is None
    assert claims.take(crate_dir, TASK, 2)
    claim = claims.claim_of(crate_dir, TASK)
    assert claim is not None
    assert (claim.attempt, claim.runs()) == (2, True)
    assert claim.text.startswith("it has begun before, at 20")
    assert f"in process {os.getpid()} on {os.uname().nodename}" in claim.text
    assert claims.result_of(crate_dir, TASK) is None
    claims.keep_result(crate_dir, TASK, b"done")
    assert claims.result_of(crate_dir, TASK) == b"done"
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / ".spool").rglob("*")}
    assert modes == {"claims": 0o700, f"{TASK}.begun": 0o600, f"{TASK}.result": 0o600}


def test_a_worker_that_has_ended(tmp_path: Path) -> None:
    run_python("-c", f"from prov_worker.spool import claims; claims.take({str(tmp_path)!r}, {TASK!r}, 1)", check=True)
    claim = claims.claim_of(str(tmp_path), TASK)
    assert claim is not None
    assert claim.runs() is False
    assert not claims.take(str(tmp_path), TASK, 1)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"writer": 1}', b'{"writer": "", "attempt": 1, "at_ns": 1}'])
def test_a_claim_that_was_not_finished_is_one(tmp_path: Path, content: bytes) -> None:
    assert claims.take(str(tmp_path), TASK, 1)
    (tmp_path / ".spool" / "claims" / f"{TASK}.begun").write_bytes(content)
    claim = claims.claim_of(str(tmp_path), TASK)
    assert claim is not None
    assert (claim.text, claim.runs()) == ("it has begun before", None)
    assert not claims.take(str(tmp_path), TASK, 1)


def test_old_ones_go(tmp_path: Path) -> None:
    claims.remove_old(str(tmp_path))  # there are none yet
    old, young = str(uuid.uuid4()), str(uuid.uuid4())
    for task in (old, young):
        assert claims.take(str(tmp_path), task, 1)
    path = tmp_path / ".spool" / "claims" / f"{old}.begun"
    month_ago = time.time() - 31 * 86400
    os.utime(path, (month_ago, month_ago))
    claims.remove_old(str(tmp_path))
    assert (claims.claim_of(str(tmp_path), old), claims.claim_of(str(tmp_path), young) is None) == (None, False)
