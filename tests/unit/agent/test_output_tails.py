"""The ends of files that a command wrote to."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from prov_worker.agent.output_tails import TAIL, tails


def test_the_end_of_each_stream_is_read_and_redacted(tmp_path: Path) -> None:
    out, err = tmp_path / "out", tmp_path / "err"
    out.write_text("é" * (2 * TAIL) + "the end")
    err.write_text("token=hunter2\n")
    stdout, stderr = tails((str(out), str(err))) or ("", "")
    assert (len(stdout), stdout[-8:], stderr) == (TAIL, "éthe end", "token=[redacted]\n")


@pytest.mark.timeout(30)
def test_what_is_no_file_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "empty").touch()
    for path in ("pipe", "empty", "none", "."):
        assert tails((str(tmp_path / path), None)) is None
