"""The image that a worker says it runs in."""

from __future__ import annotations

from pathlib import Path

import pytest

from prov_worker.recorder.worker_info import container

DIGEST = "sha256:" + "ab" * 32


@pytest.mark.parametrize(
    ("environ", "text"),
    [
        ({}, "docker"),
        ({"PROV_WORKER_IMAGE": "o/i:1"}, "docker:o/i:1"),
        ({"PROV_WORKER_IMAGE": "o/i:1", "PROV_WORKER_IMAGE_DIGEST": DIGEST}, f"docker:o/i:1@{DIGEST}"),
        ({"PROV_WORKER_IMAGE": f"o/i@{DIGEST}", "PROV_WORKER_IMAGE_DIGEST": DIGEST}, f"docker:o/i@{DIGEST}"),
        ({"PROV_WORKER_IMAGE_DIGEST": DIGEST}, "docker"),
    ],
)
def test_name_and_digest(environ: dict[str, str], text: str, tmp_path: Path) -> None:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("0::/system.slice/docker-0a1b.scope\n")
    assert container(environ, str(tmp_path), str(tmp_path / "proc")) == text


def test_the_runtime_names_its_image_itself(tmp_path: Path) -> None:
    (tmp_path / ".singularity.d").mkdir()
    environ = {"APPTAINER_CONTAINER": "/i/w.sif", "PROV_WORKER_IMAGE": "w.sif", "PROV_WORKER_IMAGE_DIGEST": DIGEST}
    assert container(environ, str(tmp_path), str(tmp_path)) == f"apptainer:/i/w.sif@{DIGEST}"


def test_inherited_names_of_images_are_none(tmp_path: Path) -> None:
    """A job that was submitted from a container has its variables, and runs on the plain node."""
    environ = {"APPTAINER_CONTAINER": "/i/w.sif", "PROV_WORKER_IMAGE": "o/i:1", "PROV_WORKER_IMAGE_DIGEST": DIGEST}
    assert container(environ, str(tmp_path), str(tmp_path)) is None
