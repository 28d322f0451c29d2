"""A run that was sealed with a verdict, and the end of its task that came afterwards."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from prov_worker.cli.main import run as cli
from prov_worker.model import Failure
from prov_worker.run.assembly.assemble import assemble
from prov_worker.run.assembly.better_records import Better, better_records
from prov_worker.run.assembly.model import Options
from prov_worker.testing import CrateFactory


@pytest.mark.parametrize("name", ["RUN.crate", "RUN.zip"])
def test_a_sealed_run_stays_as_it_is_and_the_better_record_is_named(
    name: str, crates: CrateFactory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / name
    crate = crates.add(1, failure=Failure("lost", "the node is gone"))
    failed = crates.add(2, error="of its own")
    crates.add(3)
    assemble([crates.directory], run, Options(zip=run.suffix == ".zip"))
    assert better_records(run, [crates.directory]) == []
    assert crates.add(1) == crate
    assert better_records(run, [crates.directory]) == [Better(f"steps/{crate.name}", crate)]
    assert better_records(run, [crates.directory.parent]) == [Better(f"steps/{crate.name}", crate)]
    assert cli(["run", "verify", str(run), "--crates", str(crates.directory)]) == 0
    text = capsys.readouterr().out
    assert f"better record: steps/{crate.name}: {crate} has the end of its task" in text
    assert failed.name not in text
    assert cli(["run", "verify", "--json", str(run), "--crates", str(crates.directory)]) == 0
    data = json.loads(capsys.readouterr().out)
    assert (data["changes"], data["better_records"]) == ([], [{"step": f"steps/{crate.name}", "crate": str(crate)}])
