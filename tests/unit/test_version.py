"""The version is stated once; files that cannot read it from there say the same, and a script writes them all."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from prov_worker import __version__
from support.commands import run_program

ROOT = Path(__file__).resolve().parents[2]
#: Files, and what they say the version by.
PLACES = {
    "src/prov_worker/__init__.py": r'^__version__ = "(.*)"$',
    "ansible/roles/prov_worker/defaults/main.yml": r'^prov_worker_version: "(.*)"$',
    "CITATION.cff": r"^version: (.*)$",
    "docker-compose.yml": r"^ +VERSION: (.*)$",
}


def stated(root: Path) -> dict[str, list[str]]:
    """Return what each file says."""
    return {name: re.findall(pattern, (root / name).read_text(), re.MULTILINE) for name, pattern in PLACES.items()}


def test_all_files_say_the_version_of_the_package() -> None:
    assert stated(ROOT) == {name: [__version__] for name in PLACES}


def test_the_script_writes_them_all(tmp_path: Path) -> None:
    for name in (*PLACES, "scripts/set-version.sh", "scripts/image-tag.sh", "docker/requirements/worker.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, tmp_path / name)
    run_program(tmp_path / "scripts" / "set-version.sh", "7.8.9", check=True)
    assert stated(tmp_path) == {name: ["7.8.9"] for name in PLACES}
    tag = run_program(tmp_path / "scripts" / "image-tag.sh", check=True).stdout.strip()
    assert tag.startswith("7.8.9-")
    assert f":-{tag}}}" in (tmp_path / "docker-compose.yml").read_text()


@pytest.mark.parametrize("version", ["", "1", "v1.2.3", "1.2.3; true"])
def test_what_is_not_a_version_is_refused(version: str, tmp_path: Path) -> None:
    assert run_program(ROOT / "scripts" / "set-version.sh", version).returncode != 0
    assert stated(ROOT) == {name: [__version__] for name in PLACES}


def test_the_citation_is_one_that_readers_take() -> None:
    """The keys that the Citation File Format 1.2.0 requires, and no address that is not there."""
    import yaml

    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert citation["cff-version"] == "1.2.0"
    assert all("name" in author or "family-names" in author for author in citation["authors"])
