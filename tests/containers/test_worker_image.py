"""Workers in an image: the template of this machine with its option `runtime: container`, run by Docker."""

from __future__ import annotations

import json
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from prov_worker.cli import run as cli
from prov_worker.crate.check import check_crate
from prov_worker.crate.reader import StepCrate
from prov_worker.globus import template
from prov_worker.globus.embedded import EmbeddedEndpoint
from prov_worker.sites import catalog, install, options

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.containers import CHECKOUT, LABEL, ROOT, docker, need_image
from support.house import wait_until

pytestmark = [
    pytest.mark.docker,
    pytest.mark.slow,
    pytest.mark.timeout(600),
    # Parsl's address_by_interface leaves its socket to the collector of garbage.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def worker_image() -> Iterator[tuple[str, str]]:
    """Name and digest of the product's own image for workers."""
    need_image("debian:bookworm-slim")
    name = f"prov-worker-of-{CHECKOUT}:{uuid.uuid4().hex[:8]}"
    docker("build", "--quiet", "--target", "worker", "--label", LABEL, "--tag", name, str(ROOT))
    yield name, docker("image", "inspect", "--format", "{{.Id}}", name).strip()
    docker("image", "rm", "--force", name, check=False)


def where() -> dict[str, object]:
    """Where the task runs."""
    import os
    import sys

    marks = [path for path in ("/.dockerenv", "/run/.containerenv") if os.path.exists(path)]
    return {"marks": marks, "prefix": sys.prefix, "uid": os.getuid()}


def leave() -> None:
    """End the worker."""
    import os

    os._exit(7)


def test_crates_of_workers_in_an_image_name_it_with_its_digest(worker_image: tuple[str, str], tmp_path: Path) -> None:
    from globus_compute_sdk.serialize import AllCodeStrategies, ComputeSerializer

    image, digest = worker_image
    crates, data = tmp_path / "crates", tmp_path / "data"
    data.mkdir()
    site = catalog.site("local")
    given = {
        "crate_dir": str(crates), "mount_points": [str(data)], "runtime": "container", "image": image,
        "image_digest": digest, "init_blocks": 1, "min_blocks": 1, "plots": "none", "heartbeat_period": 1,
        "heartbeat_threshold": 5,
    }  # fmt: skip
    values = options.complete(site, options.read(site, [f"{k}={json.dumps(v)}" if isinstance(v, list) else f"{k}={v}"
                                                        for k, v in given.items()]), "test")  # fmt: skip
    engine = yaml.safe_load(template.render(install.template_of(site, values), site.schema(values)))["engine"]
    # The template as it is: also what the embedded endpoint would choose for tests.
    engine.setdefault("encrypted", True)
    serializer = ComputeSerializer(strategy_code=AllCodeStrategies())
    with EmbeddedEndpoint(engine_options=engine, run_dir=tmp_path / "run", serializer=serializer) as endpoint:
        place = endpoint.submit(where)
        assert place.result(120) == {"marks": ["/.dockerenv"], "prefix": "/opt/prov", "uid": (tmp_path.stat().st_uid)}
        left = endpoint.submit(leave)
        assert "WorkerLost" in str(left.exception(120))
    for task, status in ((place.task_id, "completed"), (left.task_id, "failed")):
        crate = crates / f"{task}.crate"
        wait_until(crate.is_dir, "the crate")
        assert [one for one in check_crate(crate) if one.level == "error"] == []
        assert StepCrate.open(crate).status == status
        graph = {one["@id"]: one for one in json.loads((crate / "ro-crate-metadata.json").read_text())["@graph"]}
        assert graph["#worker-container"]["value"] == f"docker:{image}@{digest}"
        entity = graph["#container-image"]
        assert f"{entity['name']}:{entity['tag']}" == image
        assert f"sha256:{entity['sha256']}" == digest
        assert any(one.get("value") == str(data) for one in graph.values()), "the mount point"
    assert "exit status 7" in str(StepCrate.open(crates / f"{left.task_id}.crate").error)


def test_a_preflight_asks_the_image_itself(
    worker_image: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image, digest = worker_image

    def findings(image: str) -> dict[str, dict[str, str]]:
        given = ["--set", "runtime=container", "--set", f"image={image}", "--set", f"image_digest={digest}"]
        cli(["sites", "check", "local", "--user-dir", str(tmp_path), "--offline", "--json", *given])
        return {one["subject"]: one for one in json.loads(capsys.readouterr().out)["findings"]}

    fit = findings(image)
    assert {fit[one]["status"] for one in ("versions at the workers", "container runtime", "image")} == {"pass"}
    assert "/opt/prov/bin/python" in fit["versions at the workers"]["found"]
    bare = findings("debian:bookworm-slim")
    assert "has no globus-compute-endpoint" in bare["versions at the workers"]["found"]
    assert bare["image"]["status"] == "fail"
    assert digest in bare["image"]["found"]
    missing = findings(f"{image}-not")
    assert (missing["image"]["status"], missing["versions at the workers"]["status"]) == ("fail", "warn")
