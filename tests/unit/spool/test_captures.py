"""What libraries tell of a running task, in node-local memory."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from prov_worker.attempt import AttemptId
from prov_worker.spool import captures

ATTEMPT = AttemptId("5a30b2b5-0000-4000-8000-000000000000", 1, 17)


def test_what_is_told_is_private_replaced_whole_and_taken_away(tmp_path: Path) -> None:
    runtime = str(tmp_path)
    assert captures.read_captures(runtime, ATTEMPT) == {}
    captures.write_capture(runtime, ATTEMPT, "mlflow", ["a"])
    captures.write_capture(runtime, ATTEMPT, "mlflow", ["a", "b"])
    directory = Path(captures.captures_dir(runtime, ATTEMPT))
    (directory / "torch.1.json").write_text("{damaged")
    (directory / "torch.2.json").write_text('{"steps": 3}')
    assert captures.read_captures(runtime, ATTEMPT) == {"mlflow": [["a", "b"]], "torch": [{"steps": 3}]}
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert captures.read_captures(runtime, ATTEMPT._replace(start_ns=18)) == {}
    captures.remove_captures(runtime, ATTEMPT)
    assert not directory.exists()


def test_too_much_and_what_others_may_write_to_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="bytes are more"):
        captures.write_capture(str(tmp_path), ATTEMPT, "torch", "x" * captures.MAX_BYTES)
    directory = Path(captures.make_captures_dir(str(tmp_path), ATTEMPT))
    os.chmod(directory, 0o777)
    with pytest.raises(PermissionError):
        captures.write_capture(str(tmp_path), ATTEMPT, "torch", {})
