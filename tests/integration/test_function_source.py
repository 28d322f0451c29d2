"""A script that is edited while its task runs: its crate never shows source that did not run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from prov_worker.crate.reader import StepCrate

SCRIPT = """
import math, sys, time
from pathlib import Path
from prov_worker.globus.embedded import EmbeddedEndpoint

def scale(x, started):
    import math, time
    from pathlib import Path
    Path(started).touch()
    while Path(started).exists():
        time.sleep(0.02)
    return math.sin(x) * 0.1

if __name__ == "__main__":
    crates, started = Path(sys.argv[1]), Path(sys.argv[2])
    with EmbeddedEndpoint(workers=1, provenance={"crate_dir": str(crates), "plots": "none"}) as endpoint:
        future = endpoint.submit(scale, 1.0, str(started))
        while not started.exists():
            time.sleep(0.02)
        if sys.argv[3:]:
            me = Path(__file__)
            me.write_text(me.read_text().replace("math.sin(x) * 0.1", "math.cos(x) * 0.9"))
        started.unlink()
        assert future.result(120) == (math.sin(1.0) * 0.1 if sys.argv[3:] else math.cos(1.0) * 0.9)
        crate = crates / f"{future.task_id}.crate"
        while not crate.exists():
            time.sleep(0.02)
    print(crate)
"""


@pytest.mark.timeout(240)
def test_source_of_a_script_that_is_edited_while_it_runs(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    crates = []
    for edits in (["edit"], []):
        command = [sys.executable, script, tmp_path / "crates", tmp_path / "started", *edits]
        done = subprocess.run(command, capture_output=True, text=True, timeout=200)
        assert done.returncode == 0, done.stderr
        crates.append(StepCrate.open(done.stdout.splitlines()[-1]))
    edited, unedited = crates
    assert not (edited.path / "function" / "source.py").exists()
    assert "is not what ran" in str(edited.entities["#function-source-absent"]["value"])
    assert "math.cos(x) * 0.9" in (unedited.path / "function" / "source.py").read_text()
    assert edited.function["version"] != unedited.function["version"]
    assert edited.function["@id"] != unedited.function["@id"]
