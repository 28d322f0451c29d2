"""The image that a worker says it runs in."""

from __future__ import annotations

import os

import pytest

from prov_worker.recorder.worker_info import container

DIGEST = "sha256:" + "ab" * 32
HERE = "docker:" if os.path.exists("/.dockerenv") else "podman:" if os.path.exists("/run/.containerenv") else ""


@pytest.mark.parametrize(
    "environ, text",
    [
        ({"PROV_WORKER_IMAGE": "o/i:1"}, f"{HERE}o/i:1"),
        ({"PROV_WORKER_IMAGE": "o/i:1", "PROV_WORKER_IMAGE_DIGEST": DIGEST}, f"{HERE}o/i:1@{DIGEST}"),
        ({"PROV_WORKER_IMAGE": f"o/i@{DIGEST}", "PROV_WORKER_IMAGE_DIGEST": DIGEST}, f"{HERE}o/i@{DIGEST}"),
        ({"PROV_WORKER_IMAGE_DIGEST": DIGEST}, HERE.rstrip(":") or None),
        (
            {"APPTAINER_CONTAINER": "/i/w.sif", "PROV_WORKER_IMAGE": "w.sif", "PROV_WORKER_IMAGE_DIGEST": DIGEST},
            f"apptainer:/i/w.sif@{DIGEST}",
        ),
    ],
)
def test_name_and_digest(environ: dict[str, str], text: str | None) -> None:
    assert container(environ) == text
