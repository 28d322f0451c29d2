from __future__ import annotations

from pathlib import Path

import pytest

from prov_worker.cli.common.terminal import candidates_at
from prov_worker.errors import InputError


def test_crates_are_found_once_and_in_order(crates: Path) -> None:
    names = [path.name[-8:-6] for path in candidates_at([str(crates), str(next(crates.glob("*01.crate")))])]
    assert names == ["01", "02"]


def test_an_empty_directory_is_no_crate(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a step crate"):
        candidates_at([str(tmp_path)])
