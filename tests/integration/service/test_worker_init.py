"""An endpoint of somebody else's: stock daemon, stock engine, and `worker_init` is all that a user has there."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import functions
import pytest
from endpoint_daemon import Daemon

from prov_worker.cli.main import run as cli
from prov_worker.crate.check import check_crate
from prov_worker.crate.reader import StepCrate
from support.marks import PARSL_SOCKET

if TYPE_CHECKING:
    from globus_compute_sdk import Client
    from service_stack import Stack

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
LIMIT_S = 180
#: As a facility has it: the engine is its own, `worker_init` the user's.
TEMPLATE = """\
idle_heartbeats_soft: 0
engine:
  type: GlobusComputeEngine
  address: 127.0.0.1
  max_workers_per_node: {{ max_workers_per_node | default(1) }}
  job_status_kwargs: {max_idletime: 240, strategy_period: 0.5}
  provider:
    type: LocalProvider
    init_blocks: {{ init_blocks | default(0) }}
    min_blocks: 0
    max_blocks: 1
    worker_init: {{ worker_init | default('""') }}
"""
SCHEMA = {
    "type": "object",
    "properties": {"worker_init": {"type": "string"}, "max_workers_per_node": {"type": "integer"}},
    "additionalProperties": False,
}


class Facility(Daemon):
    """Its template knows nothing of prov-worker, and its workers' PATH nothing of the user's environment."""

    def configure(self) -> None:
        super().configure()
        (self.user_dir / self.name / "user_config_template.yaml.j2").write_text(TEMPLATE)
        (self.user_dir / self.name / "user_config_schema.json").write_text(json.dumps(SCHEMA))


def test_the_snippet_alone_makes_tasks_leave_crates_under_a_stock_engine(
    stack: Stack,
    client: Client,
    tmp_path: Path,
    wait_online: Callable[[Client, str], None],
    wait_for: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    from globus_compute_sdk import Executor

    assert stack.daemon is not None
    crates = tmp_path / "crates"
    options = ["--environment", sys.prefix, "--crate-dir", str(crates)]
    assert cli(["sites", "worker-init", "polaris", *options]) == 0
    snippet = capsys.readouterr().out
    endpoint = Facility(tmp_path / "gc", stack.daemon.environment)
    endpoint.configure()
    endpoint.start()
    try:
        wait_online(client, endpoint.id)
        with Executor(
            endpoint_id=endpoint.id, client=client, user_endpoint_config={"worker_init": snippet}
        ) as recorded:
            futures = [recorded.submit(functions.add, 5, 10), recorded.submit(functions.add, 1, 1)]
            assert [future.result(LIMIT_S) for future in futures] == [15, 2]
        for future in futures:
            path = crates / f"{future.task_id}.crate"
            wait_for(path.is_dir, "the crate")
            assert [finding for finding in check_crate(path) if finding.level == "error"] == []
            assert StepCrate.open(path).status == "completed"
        with Executor(endpoint_id=endpoint.id, client=client, user_endpoint_config={}) as plain:
            unrecorded = plain.submit(functions.add, 2, 2)
            assert unrecorded.result(LIMIT_S) == 4
        assert {path.name for path in crates.glob("*.crate")} == {f"{future.task_id}.crate" for future in futures}
        assert list(tmp_path.rglob(f"{unrecorded.task_id}.crate")) == []
    finally:
        endpoint.stop()


@PARSL_SOCKET
def test_a_preflight_beside_a_running_endpoint(
    stack: Stack, client: Client, wait_online: Callable[[Client, str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    """The service answers, and the daemon that runs is known for one of this host."""
    assert stack.daemon is not None
    wait_online(client, stack.daemon.id)
    given = ["--user-dir", str(stack.daemon.user_dir), "--set", "email=a@example.org"]
    assert cli(["sites", "check", "local", "--json", *given]) == 0
    findings = {finding["subject"]: finding for finding in json.loads(capsys.readouterr().out)["findings"]}
    assert (
        findings["egress, REST"]["status"]
        == findings["egress, AMQP"]["status"]
        == findings["clock"]["status"]
        == "pass"
    )
    assert findings["egress, REST"]["found"] == "http://localhost:5000"
    assert findings["daemons"]["found"] == "running here: ep; on another host: none"
