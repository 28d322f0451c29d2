"""What is installed and published: locks, environments made from them, and a release that anybody can make again."""

from __future__ import annotations

import hashlib
import re
import shutil
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from support.commands import run_program

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
MINORS = ("3.10", "3.11", "3.12", "3.13")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS, GROUPS = PROJECT["project"]["optional-dependencies"], PROJECT["dependency-groups"]


def extras(*names: str) -> list[str]:
    texts: list[str] = []
    for name in names:
        for text in EXTRAS[name]:
            requirement = Requirement(text)
            texts += extras(*requirement.extras) if requirement.name == "prov-worker" else [text]
    return texts


def group(name: str) -> list[str]:
    texts: list[str] = []
    for entry in GROUPS[name]:
        texts += [entry] if isinstance(entry, str) else group(entry["include-group"])
    return texts


WANTED = {
    "dev": extras("all") + group("dev"),
    "node": extras("fleet", "plot"),
    "ansible": group("ansible"),
    "sbom": group("sbom"),
}


@pytest.mark.parametrize("minor", MINORS)
@pytest.mark.parametrize("name", WANTED)
def test_a_lock_has_what_is_asked_for_with_hashes_and_no_address(name: str, minor: str) -> None:
    text = (ROOT / "requirements" / f"{name}-{minor}.txt").read_text()
    first, *entries = text.replace("\\\n", " ").splitlines()
    assert re.fullmatch("# of pyproject.toml [0-9a-f]{16}", first)
    assert all("--hash=sha256:" in entry for entry in entries)
    assert "://" not in text
    assert not re.search(r"^-", text, re.MULTILINE)
    versions = {entry.partition("==")[0]: entry.partition("==")[2].split()[0] for entry in entries}
    assert {"pip", "hatchling"} <= versions.keys(), "what builds and installs is in it too"
    environment = {"python_version": minor, "python_full_version": f"{minor}.1", "platform_machine": "x86_64"}
    for requirement in map(Requirement, WANTED[name]):
        if requirement.marker is None or requirement.marker.evaluate(environment):
            wanted = requirement.name.lower().replace("_", "-")
            assert wanted in versions, f"{wanted}: make lock"
            assert requirement.specifier.contains(versions[wanted], prereleases=True), f"{requirement}: make lock"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with a package of its own in it, and no index."""
    (tmp_path / "scripts").mkdir()
    for name in ("make-venv.sh", "dependencies-digest.sh"):
        shutil.copy(ROOT / "scripts" / name, tmp_path / "scripts")
    (tmp_path / "pyproject.toml").write_text("")
    (tmp_path / "requirements").mkdir()
    (tmp_path / "wheels").mkdir()
    with zipfile.ZipFile(tmp_path / "wheels" / "tiny-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("tiny.py", "")
        wheel.writestr("tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        wheel.writestr("tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("tiny-1.0.dist-info/RECORD", "")
    return tmp_path


def test_an_environment_has_the_files_of_its_lock_or_none(checkout: Path) -> None:
    minor = f"{sys.version_info.major}.{sys.version_info.minor}"
    environment = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "PYTHON": sys.executable,
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(checkout / "wheels"),
        "PIP_CONFIG_FILE": "/dev/null",
    }
    lock = checkout / "requirements" / f"some-{minor}.txt"

    def make(*more: str) -> tuple[int, str]:
        done = run_program("scripts/make-venv.sh", "venv", *more, "tiny", cwd=checkout, env=environment)
        return done.returncode, done.stderr

    digest = run_program(checkout / "scripts" / "dependencies-digest.sh", check=True).stdout.strip()
    first = f"# of pyproject.toml {digest}\n"
    lock.write_text(f"{first}tiny==1.0 --hash=sha256:{'0' * 64}\n")
    status, errors = make("--lock", "some")
    assert (status, "make LOCKED=0" in errors) == (1, True), errors
    digest = hashlib.sha256((checkout / "wheels" / "tiny-1.0-py3-none-any.whl").read_bytes()).hexdigest()
    lock.write_text(f"{first}tiny==1.0 --hash=sha256:{digest}\n")
    assert make("--lock", "some") == (0, f"installing into venv what requirements/some-{minor}.txt names\n")
    assert list((checkout / "venv").glob("lib/python3*/site-packages/tiny.py"))
    assert make("--lock", "some") == (0, ""), "a second run does nothing"
    (checkout / "pyproject.toml").write_text('[dependency-groups]\nmore = ["other"]\n[tool]\n')
    assert f"requirements/some-{minor}.txt IS OLDER THAN pyproject.toml" in make("--lock", "some")[1]
    status, errors = make("--lock", "another")
    assert f"THERE IS NO requirements/another-{minor}.txt: venv gets the newest releases, without hashes" in errors


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="ssh-keygen is missing")
def test_a_release_is_the_same_twice_and_its_signature_is_checked_as_the_page_says(tmp_path: Path) -> None:
    pytest.importorskip("hatchling")
    source = tmp_path / "source"
    run_program("git", "clone", "--quiet", "--no-local", "--depth=1", f"file://{ROOT}", source, check=True)
    for name in ("release.sh", "image-tag.sh"):
        shutil.copy(ROOT / "scripts" / name, source / "scripts")
    run_program("git", "add", "--all", cwd=source, check=True)
    identity = ("-c", "user.name=x", "-c", "user.email=x@example.org")
    run_program("git", *identity, "commit", "--quiet", "--allow-empty", "-m", "as it is here", cwd=source, check=True)
    key = tmp_path / "key"
    run_program("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key, check=True)
    environment = {"PATH": "/usr/bin:/bin", "PYTHON_RELEASE": sys.executable, "HOME": str(tmp_path)}
    done = run_program("scripts/release.sh", key, cwd=source, env=environment)
    assert done.returncode == 0, done.stderr
    assert "twice the same" in done.stderr
    dist = source / "dist"
    (dist / "release-signers").write_text(f"release {key.with_suffix('.pub').read_text()}")
    page = (ROOT / "SECURITY.md").read_text()
    commands = [line.strip() for line in page.splitlines() if line.startswith(("    ssh-keygen", "    sha256sum"))]
    assert len(commands) == 2
    for command in commands:
        run_program("bash", "-c", command, cwd=dist, check=True)
    with next(dist.glob("*.tar.gz")).open("ab") as archive:
        archive.write(b"x")
    assert run_program("bash", "-c", commands[1], cwd=dist).returncode == 1
    with (dist / "SHA256SUMS").open("a") as sums:
        sums.write("\n")
    assert run_program("bash", "-c", commands[0], cwd=dist).returncode != 0
