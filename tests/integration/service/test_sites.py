"""An installed site, started by the stock daemon, asked by the stock SDK, up to the crate."""

from __future__ import annotations

import json
import time
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
    from service_stack import Stack

pytestmark = [
    pytest.mark.timeout(600),
    PARSL_SOCKET,
]
LIMIT_S = 180


class Site(Daemon):
    """An endpoint whose directory ``prov-worker sites install`` wrote."""

    def configure(self) -> None:
        values = [
            "email=someone@example.org",
            f"crate_dir={self.crates}",
            "mount_points=/tmp",
            "retries=1",
            "idle_time=3",
            "poll_interval=0.02",
            f"worker_init=export PYTHONPATH={Path(functions.__file__).parent}",
        ]
        options = [word for value in values for word in ("--set", value)]
        assert (
            cli(["sites", "install", "local", self.name, "--no-check", "--user-dir", str(self.user_dir), *options]) == 0
        )


def test_an_installed_site_runs_tasks_scales_to_zero_and_back(
    stack: Stack, tmp_path: Path, wait_for: Callable[..., None]
) -> None:
    from globus_compute_sdk import Client, Executor

    assert stack.daemon is not None
    site = Site(tmp_path / "gc", stack.daemon.environment)
    site.configure()
    site.start()
    try:
        client = Client()
        wait_for(lambda: client.get_endpoint_status(site.id)["status"] == "online", "endpoint online")
        metadata = client.get_endpoint_metadata(site.id)
        assert metadata["display_name"] == "ep"
        assert metadata["user_config_schema"]["additionalProperties"] is False
        with Executor(endpoint_id=site.id, client=client, user_endpoint_config={"workers": 1}) as executor:
            first = executor.submit(functions.add, 5, 10)
            assert first.result(LIMIT_S) == 15
            assert "GLOBUS_COMPUTE_CLIENT_SECRET" in site.environment
            assert executor.submit(functions.credentials).result(LIMIT_S) == []
            wait_for(lambda: not _pools(site), "the idle block to be given back")
            second = executor.submit(functions.add, 1, 1)
            assert second.result(LIMIT_S) == 2
        for task in (first.task_id, second.task_id):
            path = site.crates / f"{task}.crate"
            wait_for(path.is_dir, "the crate")
            assert [finding for finding in check_crate(path) if finding.level == "error"] == []
            crate = StepCrate.open(path)
            assert crate.status == "completed"
            assert crate.endpoint_id == site.id, "and not the user endpoint, which its user never sees"
            assert crate.user_endpoint_id not in (None, site.id)
            assert crate.function["@id"].startswith("http://localhost:5000/v2/functions/")
            graph = json.loads((path / "ro-crate-metadata.json").read_text())["@graph"]
            assert any(entity.get("value") == "/tmp" for entity in graph), "the mount point"
    finally:
        site.stop()


def _pools(site: Daemon) -> list[int]:
    time.sleep(0.2)
    return [pid for pid, line in site.children().items() if "process_worker_pool" in line]
