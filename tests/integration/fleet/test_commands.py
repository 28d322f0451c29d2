"""``prov-worker fleet`` from a file to running endpoints and back, with real daemons on the real local service."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import functions

from support.marks import endpoints

if TYPE_CHECKING:
    from fleet_host import FleetHost

pytestmark = endpoints("fleet")
WORKER_INIT = {"worker_init": f"export PYTHONPATH={Path(functions.__file__).parent}"}


def test_from_a_file_to_running_endpoints_and_back(
    host: FleetHost, service_environment: dict[str, str], wait_for: Callable[..., None]
) -> None:
    from globus_compute_sdk import Client, Executor

    metrics = host.directory / "metrics"
    metrics.mkdir(parents=True)
    secret = service_environment["GLOBUS_COMPUTE_CLIENT_SECRET"]
    credentials = host.directory / "credentials"
    credentials.touch(0o600)
    names = ("GLOBUS_COMPUTE_CLIENT_ID", "GLOBUS_COMPUTE_CLIENT_SECRET")
    credentials.write_text("".join(f"export {name}='{service_environment[name]}'\n" for name in names))
    for name in names:
        del host.environment[name]
    host.write("one", "two", options=WORKER_INIT, watch={"metrics": str(metrics)}, credentials="credentials")

    rows = host.json("validate")
    assert {row["problem"] for row in rows.values()} == {None}
    dry = host.json("up", "--dry-run")
    assert dry["one"]["detail"] == "would be created; would be started"
    assert '+  type: {{ "ProvenanceEngine"' in dry["one"]["diff"]
    assert not host.user_dir.exists()
    assert {row["condition"] for row in host.json("status").values()} == {"not created"}

    assert {row["action"] for row in host.json("up").values()} == {"started"}
    before = {name: host.core(name) for name in ("one", "two")}
    assert None not in before.values()
    assert {row["action"] for row in host.json("up").values()} == {"running"}
    assert {name: host.core(name) for name in ("one", "two")} == before

    # One that was killed is started at once: that its pid file is stale is known.
    before.update(host.kill("two"))
    assert host.json("status", code=1)["two"]["condition"] == "down"
    assert host.json("up")["two"]["action"] == "started"
    assert host.core("two") not in (None, before["two"])
    before["two"] = host.core("two")

    # A task, and what the status says of it.
    with Executor(endpoint_id=host.folder("one").endpoint_id, client=Client()) as executor:
        assert executor.submit(functions.add, 5, 10).result(180) == 15
        failing = executor.submit(functions.refuse, "no")
        assert isinstance(failing.exception(180), Exception)
        # Parsl asks for its blocks at its own pace; a worker may be known before its block is.
        counts = ("workers", "all"), ("blocks", "running")
        wait_for(
            lambda: all((host.json("status")["one"][field] or {}).get(which) == 1 for field, which in counts),
            "the engine's word",
        )
        row = host.json("status")["one"]
    assert (row["condition"], row["queued"], row["completed"], row["failed"]) == ("running", 0, 1, 1)
    assert row["user_endpoints"] == 1
    assert row["blocks"]["running"] == 1
    assert row["workers"]["all"] == 1
    assert row["heartbeat_s"] is not None
    table = host.run("status")
    assert "1/1" in table or "0/1" in table
    assert "Core Endpoint begins" in host.run("logs", "one")
    assert "Endpoint begins" in host.run("logs", "one", "--user-endpoint", "-n", "1000")

    # A changed option; what a person changed by hand is not lost.
    host.write(
        "one", "two", options={**WORKER_INIT, "retries": 1}, watch={"metrics": str(metrics)}, credentials="credentials"
    )
    changed = host.json("up")["two"]
    assert changed["action"] == "configured"
    assert "fleet restart two" in changed["detail"]
    assert "-{%- set retries = retries | default(0)" in changed["diff"]
    assert host.json("restart", "two")["two"]["action"] == "started"
    assert host.core("two") not in (None, before["two"])
    assert host.core("one") == before["one"]

    # Drained: the tasks that are under way are waited for.
    with Executor(endpoint_id=host.folder("one").endpoint_id, client=Client()) as executor:
        go = host.directory / "go"
        futures = [executor.submit(functions.work_after, str(go), 2.0) for _ in range(3)]
        wait_for(lambda: host.running("one"), "a task under way")
        refused = host.json("stop", "one", "--drain", "--timeout", "0", code=1)["one"]
        assert refused["action"] == "not stopped"
        assert host.core("one") == before["one"]
        go.touch()
        assert host.json("stop", "one", "--drain", "--timeout", "90")["one"]["action"] == "stopped"
        assert [future.exception(60) for future in futures] == [None] * 3
    assert host.core("one") is None
    assert host.json("status")["one"]["condition"] == "stopped"

    # The watch looks once, leaves alone what a person stopped, and writes its metrics.
    log = host.run("watch", "--once")
    assert "one: stopped by a person" in log
    (file,) = metrics.iterdir()
    text = file.read_text()
    assert 'prov_worker_fleet_endpoint_up{endpoint="two",site="local"} 1.0' in text
    assert 'prov_worker_fleet_tasks_total{endpoint="one",result="completed",site="local"} 4.0' in text
    assert 'prov_worker_fleet_tasks_total{endpoint="one",result="failed",site="local"} 1.0' in text

    # A copy of the file has no say, and whose the directories are is known without the state.
    copy = host.directory / "copy.yaml"
    copy.write_text(host.file.read_text())
    assert {row["action"] for row in host.json("stop", "--file", str(copy), code=1).values()} == {"not touched"}
    assert host.core("two") is not None
    host.state.path.unlink()

    assert "would delete" in host.run("remove", "--delete", "--dry-run", "one")
    crates = sorted((host.user_dir / "provenance").glob("*/*.crate"))
    assert len(crates) == 5
    assert {row["action"] for row in host.json("remove", "--delete").values()} == {"deleted"}
    assert [path.name for path in host.user_dir.iterdir() if path.is_dir() and path.name != "provenance"] == []
    assert all(crate.is_dir() for crate in crates)

    # No secret in what the fleet wrote, printed or was called with.
    written = [path for path in host.directory.rglob("*") if path.is_file() and path != credentials]
    assert not [path for path in written if secret.encode() in path.read_bytes()]
    assert {row["condition"] for row in host.json("status").values()} == {"not created"}


def test_others_are_not_touched(host: FleetHost) -> None:
    """Another host's endpoint, one that was not created here, and one that a person has changed."""
    host.write("one", "two")
    host.run("up", "two")
    stranger = host.user_dir / "stranger"
    stranger.mkdir()
    (stranger / "config.yaml").write_text("display_name: mine\n")
    (host.user_dir / "two" / "config.yaml").write_text("display_name: by hand\n")
    process = host.core("two")
    content = host.fleet
    assert content.names == ("one", "two")
    host.write("two", "stranger")
    text = host.file.read_text().replace(
        "endpoints:\n", "endpoints:\n- {name: far, site: local, host: elsewhere.example.org}\n"
    )
    host.file.write_text(text)

    replies = host.json("up", code=1)
    assert (replies["far"]["action"], replies["far"]["good"]) == ("not touched", True)
    assert "was not created by prov-worker" in replies["stranger"]["detail"]
    assert "was changed by hand" in replies["two"]["detail"]
    log = host.run("watch", "--once")
    assert "far: not touched: belongs to elsewhere.example.org" in log
    assert "stranger: not touched" in log
    assert "belongs to elsewhere.example.org" in host.run("restart", "far", code=2)
    host.run("remove", "--delete", "stranger", code=1)
    assert [path.name for path in stranger.iterdir()] == ["config.yaml"]
    assert host.core("two") == process
    rows = host.json("status", code=1)
    assert [rows[name]["condition"] for name in ("far", "two", "stranger")] == ["elsewhere", "running", "foreign"]
    assert not (host.user_dir / "far").exists()
    assert os.path.exists(host.user_dir / "one") is False
