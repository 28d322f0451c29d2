"""Trees of the package that are measured: this one, and an earlier commit that figures are compared with."""

from __future__ import annotations

import compileall
import io
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
#: The commit before the recorder's cost and the agent's start were worked on.
BASELINE = "bde116e"


@dataclass(frozen=True, slots=True)
class Tree:
    """A tree of the package.

    Attributes:
        name: as rows name it.
        source: directory that holds the package.
    """

    name: str
    source: Path


THIS = Tree("this tree", ROOT / "src")


def baseline(directory: Path) -> Tree | str:
    """Take the earlier commit out of the repository's history.

    Args:
        directory: where its source goes, with its byte code, as an installation has it.

    Returns:
        The tree; or why there is none.
    """
    try:
        archive = subprocess.run(
            ["git", "-C", str(ROOT), "archive", BASELINE, "src"], capture_output=True, timeout=120, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"nothing is compared with {BASELINE}: git: {error}"
    if archive.returncode:
        message = archive.stderr.decode(errors="replace").strip().partition("\n")[0]
        return f"nothing is compared with {BASELINE}, which is not in this history: {message}"
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as tar:
        tar.extractall(directory, filter="data")
    compileall.compile_dir(directory, quiet=2)
    return Tree(BASELINE, directory / "src")
