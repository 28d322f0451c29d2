"""The example of a detector's runs, as its read me says, in a network of its own."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from own_network import own_network
from rabbitmq import need_rabbitmq

from prov_worker.run.assembly.verify import verify
from support.commands import run_python

pytestmark = [pytest.mark.long, pytest.mark.timeout(900), pytest.mark.xdist_group("frib-example")]
SCRIPT = Path(__file__).parents[3] / "examples" / "frib" / "run.py"


def test_each_run_is_sealed_whatever_became_of_it(tmp_path: Path) -> None:
    need_rabbitmq()
    out = tmp_path / "OUT"
    environment = {key: value for key, value in os.environ.items() if key != "PROV_SERVICE_AMQP_URL"}
    with own_network(Path(tempfile.gettempdir()) / f"prov-worker-port-5000-{os.getuid()}.lock"):
        done = run_python(SCRIPT, out, "--json", timeout=800, env=environment)
    assert done.returncode == 0, done.stderr
    good, bad = json.loads(done.stdout)
    assert (good["run"], good["status"], good["tasks"], good["failed"]) == ("run0001", "SUCCEEDED", 6, 0)
    assert (bad["run"], bad["status"], bad["tasks"], bad["failed"]) == ("run0002", "FAILED", 4, 1)
    # Each segment's line is 0.8 keV above the one before it: what was written is what was found.
    assert good["result"]["segments"] == 4
    assert good["result"]["ranks_per_fit"] == (2 if shutil.which("mpiexec") else 1)
    assert good["result"]["drift_kev_per_segment"] == pytest.approx(0.8, abs=0.1)
    assert bad["result"] is None
    for outcome in (good, bad):
        crate = Path(outcome["crate"])
        assert verify(crate).changes == []
        entities = {each["@id"]: each for each in json.loads((crate / "ro-crate-metadata.json").read_text())["@graph"]}
        steps = {each["name"] for each in entities.values() if each["@type"] == "HowToStep"}
        assert steps == ({"fit", "convert", "analyse"} if outcome is good else {"fit"})
        log = json.loads((crate / "flow-log.json").read_text())["entries"]
        assert log[-1]["code"] == ("FlowSucceeded" if outcome is good else "FlowFailed")
        assert outcome["run"] in Path(outcome["report"]).read_text()
    assert {path.name.split("-")[0] for path in (out / "triggers").glob("*.trigger.crate")} == {"run0001", "run0002"}
