"""What the images' files say in more than one place is the same everywhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from support.commands import run_program

ROOT = Path(__file__).resolve().parents[2]


def locked(image: str) -> dict[str, str]:
    """Distributions and their versions."""
    text = (ROOT / "docker" / "requirements" / f"{image}.txt").read_text()
    return dict(re.findall(r"^([a-z0-9-]+)==([^ ;]+)", text, re.MULTILINE))


def test_the_tag_of_the_compose_file_is_that_of_the_release() -> None:
    tag = run_program(ROOT / "scripts" / "image-tag.sh", check=True).stdout.strip()
    assert f"${{PROV_STACK_TAG:-${{PROV_TAG:-{tag}}}}}" in (ROOT / "docker-compose.yml").read_text()


def test_both_images_have_the_same_versions() -> None:
    endpoint, worker = locked("endpoint"), locked("worker")
    assert worker.items() <= endpoint.items()
    assert {"fastapi", "matplotlib", "prometheus-client", "rocrate"} <= endpoint.keys() - worker.keys()


def test_the_options_of_the_image_are_those_of_the_site_local() -> None:
    pytest.importorskip("globus_compute_endpoint")
    from prov_worker.globus import template
    from prov_worker.sites import options
    from prov_worker.sites.catalog import site
    from prov_worker.sites.install import template_of

    local = site("local")
    values, _ = options.read(local, file=ROOT / "docker" / "endpoint.yaml")
    full = options.complete(local, values, "test")
    # Only what differs is in the file.
    assert [key for key, value in values.items() if value == local.options[key]["default"]] == []
    text = template.render(template_of(local, full), local.schema(full))
    engine = template.load(text)
    try:
        assert (engine.encrypted, engine.executor.address) == (True, "127.0.0.1")
        assert (engine.executor.heartbeat_period, engine.executor.heartbeat_threshold) == (2, 10)
        provider = engine.executor.provider
        assert (provider.init_blocks, provider.min_blocks, provider.max_blocks) == (1, 1, 1)
    finally:
        engine.shutdown(block=False)
    assert "idle_heartbeats_soft: 0\nheartbeat_period: 5\n" in text


def test_every_distribution_has_hashes_and_no_address() -> None:
    for path in (ROOT / "docker" / "requirements").glob("*.txt"):
        entries = path.read_text().replace("\\\n", " ").splitlines()
        assert entries
        assert all("--hash=sha256:" in entry for entry in entries), path
        assert not re.search(r"://|@ ", path.read_text()), path


def test_no_build_asks_for_more_than_base_images() -> None:
    text = (ROOT / "Dockerfile").read_text()
    assert "# syntax" not in text
    assert re.findall(r"^ARG BASE=(\S+)\n\nFROM \$BASE AS base$", text, re.MULTILINE) == ["debian:bookworm-slim"]
    assert not [word for word in re.findall(r"^FROM (\S+)", text, re.MULTILINE) if ":" in word]
