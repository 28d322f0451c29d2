"""What the images' files say in more than one place is the same everywhere."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def locked(image: str) -> dict[str, str]:
    """Distributions and their versions."""
    text = (ROOT / "docker" / "requirements" / f"{image}.txt").read_text()
    return dict(re.findall(r"^([a-z0-9-]+)==([^ ;]+)", text, re.MULTILINE))


def test_the_tag_of_the_compose_file_is_that_of_the_release() -> None:
    tag = subprocess.run([ROOT / "scripts" / "image-tag.sh"], capture_output=True, text=True, check=True).stdout.strip()
    assert f"${{PROV_TAG:-{tag}}}" in (ROOT / "docker-compose.yml").read_text()


def test_both_images_have_the_same_versions() -> None:
    endpoint, worker = locked("endpoint"), locked("worker")
    assert worker.items() <= endpoint.items()
    assert {"fastapi", "matplotlib", "prometheus-client", "rocrate"} <= endpoint.keys() - worker.keys()


def test_every_distribution_has_hashes_and_no_address() -> None:
    for path in (ROOT / "docker" / "requirements").glob("*.txt"):
        entries = path.read_text().replace("\\\n", " ").splitlines()
        assert entries
        assert all("--hash=sha256:" in entry for entry in entries), path
        assert not re.search(r"://|@ ", path.read_text()), path


def test_no_build_asks_for_more_than_base_images() -> None:
    text = (ROOT / "Dockerfile").read_text()
    assert "# syntax" not in text
    assert {word for word in re.findall(r"^FROM (\S+)", text, re.MULTILINE) if ":" in word} == {"debian:bookworm-slim"}
