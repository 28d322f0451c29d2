"""Workers in an image: the template of this machine with its option `runtime: container`, run by Docker."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from prov_worker.agent.recover import recover
from prov_worker.cli.main import run as cli
from prov_worker.crate.check import check_crate
from prov_worker.crate.reader import StepCrate
from prov_worker.globus import template
from prov_worker.globus.embedded import EmbeddedEndpoint
from prov_worker.sites import catalog, install, options
from prov_worker.spool.paths import runtime_dir
from support.crate_dir import alive, wait_until
from support.marks import PARSL_SOCKET, WORKER_IMAGE

pytestmark = [*WORKER_IMAGE, PARSL_SOCKET]


def where() -> dict[str, object]:
    """Where the task runs."""
    import os
    import sys

    marks = [path for path in ("/.dockerenv", "/run/.containerenv") if os.path.exists(path)]
    with open("/proc/self/status") as file:
        fields = dict(line.rstrip().split(":\t", 1) for line in file if ":\t" in line)
    rights = {name: fields[name] for name in ("CapEff", "CapBnd", "NoNewPrivs")}
    return {"marks": marks, "prefix": sys.prefix, "uid": os.getuid(), **rights}


def leave() -> None:
    """End the worker, once an agent holds a descriptor of it: nobody can tell how one ended that ends before that."""
    import glob
    import os
    import time

    ours = f"\nPid:\t{os.getpid()}\n"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        for path in glob.glob("/proc/[0-9]*/fdinfo/*"):
            try:
                with open(path) as file:
                    if ours in file.read():
                        os._exit(7)
            except OSError:
                continue
        time.sleep(0.05)
    raise TimeoutError("no agent looks after this worker")


def wait(folder: str) -> str:
    """Leave a mark, and wait for another one."""
    import os
    import time

    open(os.path.join(folder, "here"), "w").close()
    while not os.path.exists(os.path.join(folder, "go")):
        time.sleep(0.05)
    return "gone"


@pytest.fixture(scope="module")
def crates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("worker-image") / "crates"


@pytest.fixture(scope="module")
def data(crates: Path) -> Path:
    """A mount point of the workers."""
    made = crates.with_name("data")
    made.mkdir()
    return made


@pytest.fixture(scope="module")
def endpoint(worker_image: tuple[str, str], crates: Path, data: Path) -> Iterator[EmbeddedEndpoint]:
    """The engine that the daemon would make of the template."""
    from globus_compute_sdk.serialize import AllCodeStrategies, ComputeSerializer

    image, digest = worker_image
    site = catalog.site("local")
    given = {
        "crate_dir": str(crates), "mount_points": [str(data)], "runtime": "container", "image": image,
        "image_digest": digest, "init_blocks": 1, "min_blocks": 1, "plots": "none", "heartbeat_period": 1,
        "heartbeat_threshold": 5,
    }  # fmt: skip
    options.check(site, given, "test")
    values = options.complete(site, given, "test")
    engine = yaml.safe_load(template.render(install.template_of(site, values), site.schema(values)))["engine"]
    engine.setdefault("encrypted", True)  # as a daemon has it
    serializer = ComputeSerializer(strategy_code=AllCodeStrategies())
    run_dir = crates.with_name("run")
    with EmbeddedEndpoint(engine_options=engine, run_dir=run_dir, serializer=serializer) as started:
        yield started


def test_crates_name_the_image_with_its_digest(
    endpoint: EmbeddedEndpoint, worker_image: tuple[str, str], crates: Path, data: Path
) -> None:
    image, digest = worker_image
    place = endpoint.submit(where)
    assert place.result(240) == {
        "marks": ["/.dockerenv"],
        "prefix": "/opt/prov",
        "uid": os.getuid(),
        "CapEff": "0" * 16,
        "CapBnd": "0" * 16,
        "NoNewPrivs": "1",
    }
    left = endpoint.submit(leave)
    assert "WorkerLost" in str(left.exception(240))
    for task, status in ((place.task_id, "completed"), (left.task_id, "failed")):
        crate = crates / f"{task}.crate"
        wait_until(crate.is_dir, "the crate")
        assert [finding for finding in check_crate(crate) if finding.level == "error"] == []
        assert StepCrate.open(crate).status == status
        graph = {
            entity["@id"]: entity for entity in json.loads((crate / "ro-crate-metadata.json").read_text())["@graph"]
        }
        assert graph["#worker-container"]["value"] == f"docker:{image}@{digest}"
        entity = graph["#container-image"]
        assert f"{entity['name']}:{entity['tag']}" == image
        assert f"sha256:{entity['sha256']}" == digest
        assert any(entity.get("value") == str(data) for entity in graph.values()), "the mount point"
    assert "exit status 7" in str(StepCrate.open(crates / f"{left.task_id}.crate").error)


def test_a_preflight_asks_the_image_itself(
    worker_image: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image, digest = worker_image

    def findings(image: str) -> dict[str, dict[str, str]]:
        given = ["--set", "runtime=container", "--set", f"image={image}", "--set", f"image_digest={digest}"]
        cli(["sites", "check", "local", "--user-dir", str(tmp_path), "--offline", "--json", *given])
        return {finding["subject"]: finding for finding in json.loads(capsys.readouterr().out)["findings"]}

    fit = findings(image)
    assert {fit[subject]["status"] for subject in ("versions at the workers", "container runtime", "image")} == {"pass"}
    assert "/opt/prov/bin/python" in fit["versions at the workers"]["found"]
    bare = findings("debian:bookworm-slim")
    assert "has no globus-compute-endpoint" in bare["versions at the workers"]["found"]
    assert bare["image"]["status"] == "fail"
    assert digest in bare["image"]["found"]
    missing = findings(f"{image}-not")
    assert (missing["image"]["status"], missing["versions at the workers"]["status"]) == ("fail", "warn")


def test_a_task_in_a_container_runs_on_for_those_outside(endpoint: EmbeddedEndpoint, crates: Path, data: Path) -> None:
    """Its process has another number outside: whoever looks after what the dead left open there must not take it."""
    task = endpoint.submit(wait, str(data))
    wait_until((data / "here").exists, "the task to run", 180)
    agent = json.loads((Path(runtime_dir(str(crates))) / "agent.json").read_text())
    os.kill(agent["pid"], signal.SIGKILL)
    os.kill(agent["finaliser"], signal.SIGKILL)
    wait_until(lambda: not alive(agent["pid"]) and not alive(agent["finaliser"]), "the agent outside to be gone")
    report = recover(crates, take_over=True)
    assert report.finished == 0
    assert any("is running" in line for line in report.skipped)
    assert not (crates / f"{task.task_id}.crate").exists()
    (data / "go").touch()
    assert task.result(180) == "gone"
    wait_until((crates / f"{task.task_id}.crate").is_dir, "the crate")
    assert StepCrate.open(crates / f"{task.task_id}.crate").status == "completed"
    assert len(list(crates.glob(f"{task.task_id}*"))) == 1
