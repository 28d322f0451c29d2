"""Write what is in the package and in both images: CycloneDX documents, and a list of licences for each.

    python scripts/sbom.py [--output dist/sbom] [--without-system]

Distributions of Python come from the locks with hashes, installed for that purpose into a folder of their own and
looked at by cyclonedx-py; Debian's packages from the images, which are built if they are not there. Licences are those
that each distribution states, and that each Debian package's copyright file names, or "not stated".
Needs Python 3.11, the images', and cyclonedx-bom (`make sbom`).
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
#: What is described: the lock of its distributions, and the stage of the Dockerfile if it is an image.
SUBJECTS = {
    "package": (ROOT / "requirements" / "node-3.11.txt", None),
    "worker": (ROOT / "docker" / "requirements" / "worker.txt", "worker"),
    "endpoint": (ROOT / "docker" / "requirements" / "endpoint.txt", "endpoint"),
}
#: Printed in an image: each package, then the names of licences in its copyright file (Debian's DEP-5).
_LIST_PACKAGES = r"""
dpkg-query -W -f '${binary:Package}\t${Version}\t${Architecture}\n' |
while IFS="$(printf '\t')" read -r name version arch; do
  file=/usr/share/doc/${name%%:*}/copyright
  licences=$(sed -n 's/^License: *//p' "$file" 2>/dev/null | sort -u | tr '\n' ';')
  [ -n "$licences" ] || licences=$(grep -o '/usr/share/common-licenses/[A-Za-z0-9.-]*' "$file" 2>/dev/null |
    sed 's#.*/##; s#\.$##' | sort -u | tr '\n' ';')
  printf '%s\t%s\t%s\t%s\n' "${name%%:*}" "$version" "$arch" "$licences"
done
"""


def run(*command: str | Path) -> str:
    """Return what a program prints.

    Raises:
        SystemExit: it failed; its message is shown.
    """
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"sbom: {command[0]} failed: {done.stderr.strip()[-2000:]}")
    return done.stdout


def distributions(lock: Path, wheel: Path, directory: Path) -> dict[str, Any]:
    """Return the CycloneDX document of what a lock names, with the package itself."""
    environment = directory / "environment"
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--disable-pip-version-check",
        "--quiet",
        "--python",
        environment / "bin/python",
    ]
    run(sys.executable, "-m", "venv", "--without-pip", environment)
    run(*pip, "install", "--require-hashes", "--requirement", lock)
    run(*pip, "install", "--no-index", "--no-deps", wheel)
    document = directory / "document.json"
    describe = ["environment", "--output-reproducible", "--spec-version", "1.6", "--output-format", "JSON"]
    run(Path(sys.executable).parent / "cyclonedx-py", *describe, "--output-file", document, environment)
    content: dict[str, Any] = json.loads(document.read_text())
    return content


def system_packages(stage: str) -> list[dict[str, Any]]:
    """Return Debian's packages of an image as components of CycloneDX."""
    image = run("docker", "build", "--quiet", "--target", stage, str(ROOT)).strip()
    listing = run("docker", "run", "--rm", "--network=none", "--entrypoint=/bin/sh", image, "-c", _LIST_PACKAGES)
    components = []
    for line in listing.splitlines():
        name, version, architecture, licences = line.split("\t")
        purl = f"pkg:deb/debian/{name}@{version.replace(':', '%3A').replace('+', '%2B')}?arch={architecture}"
        component = {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}
        names = [text.strip() for text in licences.split(";") if text.strip()]
        components.append(component | ({"licenses": [{"license": {"name": text}} for text in names]} if names else {}))
    return components


def licences_of(component: dict[str, Any]) -> str:
    """Return the licences of a component, in one line."""
    texts = []
    for entry in component.get("licenses", ()):
        licence = entry.get("license", {})
        text = entry.get("expression") or licence.get("id") or licence.get("name") or ""
        texts.append(re.sub(r"\s+", " ", re.sub(r"^License :: (OSI Approved :: )?", "", text)).strip()[:100])
    return "; ".join(dict.fromkeys(text for text in texts if text)) or "not stated"


def main() -> None:
    """Write all of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=ROOT / "dist" / "sbom")
    parser.add_argument("--without-system", action="store_true", help="leave Debian's packages out; needs no Docker")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    for name, (lock, stage) in SUBJECTS.items():
        with tempfile.TemporaryDirectory() as directory:
            run(sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", directory)
            document = distributions(lock, next(Path(directory).glob("*.whl")), Path(directory))
        if stage is not None and not options.without_system:
            document["components"] = sorted(
                document["components"] + system_packages(stage), key=lambda component: component["bom-ref"]
            )
        (options.output / f"{name}.cdx.json").write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")
        rows = sorted((each["name"].lower(), each["version"], licences_of(each)) for each in document["components"])
        table = "".join("\t".join(row) + "\n" for row in rows)
        (options.output / f"{name}.licences.tsv").write_text("name\tversion\tlicences\n" + table)
        unstated = sum(row[2] == "not stated" for row in rows)
        print(f"{name}: {len(rows)} components, {unstated} of which state no licence")


if __name__ == "__main__":
    main()
