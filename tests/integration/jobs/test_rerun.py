"""A step again at an endpoint, from a crate that was made elsewhere."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from prov_worker.cli.main import run
from prov_worker.crate.check import check_crate
from support.crate_dir import CrateDir
from support.direct import Call, DirectWorker

pytestmark = [pytest.mark.xdist_group("jobs"), pytest.mark.slow, pytest.mark.timeout(280)]


def test_a_step_runs_again_at_an_endpoint(
    endpoint: str, crate_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = CrateDir(tmp_path / "first")
    calls = [Call(name, args, strategy="PureSourceTextInspect") for name, args in (("add", (1, 2)), ("refuse", ("x",)))]
    settings = {"capture_arguments": "packed"}
    worker = DirectWorker(tmp_path, calls, first.crates, settings=settings)
    try:
        worker.wait()
        good, bad = first.wait_for([call.task for call in calls])
    finally:
        worker.stop()
        first.close()

    def rerun(crate: Path, *options: str) -> dict[str, object]:
        again = str(tmp_path / "again")
        assert run(["rerun", str(crate), "--endpoint", endpoint, "--yes", "--json", "-o", again, *options]) == 0
        step: dict[str, object] = json.loads(capsys.readouterr().out)["steps"][0]
        return step

    step = rerun(good.path, "--crates", str(crate_dir))
    assert step["verdict"] == "same"
    copy = tmp_path / "again" / f"{step['task_id']}.crate"
    assert step["crate"] == str(copy)
    assert check_crate(copy) == []
    assert "isBasedOn" in (copy / "ro-crate-metadata.json").read_text()

    step = rerun(good.path)
    assert (step["verdict"], step["crate"]) == ("same", None)
    assert rerun(bad.path)["verdict"] == "same"
