"""Write requirements/NAME-MINOR.txt: every distribution of an environment, with its version and its files' hashes.

    python scripts/lock_environments.py [--name NAME] [--upgrade] [--upgrade-package parsl]

One file for each environment and each minor version of Python that is supported; the interpreters need not be here.
Versions that are in the files stay if they still fit. Hashes are of the files that Linux can use: wheels for that
version of Python, and source archives if a release has no wheel. The index is the one that pip is configured for; none
is written down. The first line says of which pyproject.toml it was made: scripts/make-venv.sh looks. Needs uv and
packaging in the environment that runs it (`make lock`).
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import tomllib
from packaging.utils import parse_wheel_filename

ROOT = Path(__file__).resolve().parent.parent
MINORS = ("3.10", "3.11", "3.12", "3.13")
#: What is in an environment, as options of uv: the package's extras and the groups of pyproject.toml.
ENVIRONMENTS = {
    "dev": ("--extra=all", "--group=dev"),
    "node": ("--extra=fleet", "--extra=plot"),
    "ansible": ("--group=ansible",),
    "sbom": ("--group=sbom",),
    "validator": ("--group=validator",),
    "runcrate": ("--group=runcrate",),
}
_PLATFORMS = ("x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu")
_ARCHITECTURES = ("any", "x86_64", "aarch64")
_COMPILE = ("uv", "pip", "compile", "--quiet", "--no-config", "--native-tls", "--no-header", "--no-annotate",
            "--strip-extras")  # fmt: skip


def configured_index() -> list[str]:
    """Return the option of uv for the index that pip is configured for."""
    command = [sys.executable, "-m", "pip", "config", "get", "global.index-url"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    return ["--default-index", run.stdout.strip()] if run.returncode == 0 and run.stdout.strip() else []


def fits(filename: str, minor: str) -> bool:
    """Return whether a wheel can be used by CPython of a minor version on Linux."""
    number = int(minor.partition(".")[2])
    for tag in parse_wheel_filename(filename)[3]:
        own = tag.interpreter == f"cp3{number}" or tag.interpreter.startswith("py")
        older = re.fullmatch(r"cp3(\d+)", tag.interpreter)
        stable = tag.abi == "abi3" and older is not None and int(older[1]) <= number
        if (own or stable) and ("linux" in tag.platform or tag.platform == "any"):
            return tag.platform.endswith(_ARCHITECTURES)
    return False


def entry(package: dict[str, Any], minor: str) -> str:
    """Return the lines of one distribution.

    Raises:
        SystemExit: no file of it can be used.
    """
    files = [file for file in package.get("wheels", ()) if fits(file["url"].rpartition("/")[2], minor)]
    if not files and "sdist" in package:
        files = [package["sdist"]]
    if not files:
        raise SystemExit(f"lock_environments: {package['name']} {package['version']} has no file for Python {minor}")
    marker = f" ; {package['marker']}" if "marker" in package else ""
    hashes = sorted({file["hashes"]["sha256"] for file in files})
    requirement = f"{package['name']}=={package['version']}{marker}"
    return " \\\n".join([requirement, *(f"    --hash=sha256:{digest}" for digest in hashes)])


def resolve(environment: str, minor: str, options: list[str], directory: Path) -> str:
    """Return the content of one file.

    Raises:
        SystemExit: uv finds no versions that fit together; it has said why.
    """
    earlier, preferred = ROOT / "requirements" / f"{environment}-{minor}.txt", directory / "preferred.txt"
    # What is there is preferred, as uv prefers what is in the file that it is to write.
    preferred.write_text(earlier.read_text() if earlier.exists() else "")
    inputs = [*ENVIRONMENTS[environment], "requirements/build.in", "pyproject.toml"]
    compile_pins = [*_COMPILE, "--python-version", minor, *configured_index(), *options, *inputs]
    _run([*compile_pins, "--python-platform", _PLATFORMS[0], "--output-file", str(preferred)], environment, minor)
    packages: dict[str, dict[str, Any]] = {}
    for platform in _PLATFORMS:
        lock = directory / f"pylock.{platform}.toml"
        form = ["--format", "pylock.toml", "--constraint", str(preferred), "--python-platform", platform]
        _run([*compile_pins, *form, "--output-file", str(lock)], environment, minor)
        for package in tomllib.loads(lock.read_text())["packages"]:
            wheels = packages.setdefault(package["name"], package | {"wheels": []})["wheels"]
            wheels.extend(package.get("wheels", ()))
    packages.pop("prov-worker", None)
    return "\n".join(entry(packages[name], minor) for name in sorted(packages))


def _run(command: list[str], environment: str, minor: str) -> None:
    if subprocess.run(command, cwd=ROOT, check=False).returncode:
        raise SystemExit(f"lock_environments: {environment} for Python {minor} cannot be resolved")


def main() -> None:
    """Write all of them, or those that are named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", action="append", choices=ENVIRONMENTS, help="this one alone; may be given again")
    arguments, options = parser.parse_known_args()
    digest = subprocess.run(["scripts/dependencies-digest.sh"], cwd=ROOT, capture_output=True, text=True, check=True)
    first = f"# of pyproject.toml {digest.stdout.strip()}"
    with tempfile.TemporaryDirectory() as directory:
        for environment in arguments.name or ENVIRONMENTS:
            for minor in MINORS:
                content = resolve(environment, minor, options, Path(directory))
                (ROOT / "requirements" / f"{environment}-{minor}.txt").write_text(f"{first}\n{content}\n")


if __name__ == "__main__":
    main()
