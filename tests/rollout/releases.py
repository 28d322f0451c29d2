"""Wheels of versions that do not exist, for upgrades."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from login_nodes import ROOT, VERSION

#: What Python does first in an environment with the broken version: the daemon ends before it is anywhere.
BREAK = "import sys; sys.argv[0].endswith('globus-compute-endpoint') and sys.exit('this version is broken')\n"


def release(version: str, wheelhouse: Path, target: Path, *, broken: bool = False) -> Path:
    """A wheelhouse of another version of this package, with what else is in one that there is.

    Args:
        version: of the package.
        wheelhouse: that there is.
        target: a directory that is not there yet.
        broken: whether the daemon cannot start with it.
    """
    source = target.with_name(f"{target.name}-source")
    for folder in ("src", "endpoint_configs"):
        shutil.copytree(ROOT / folder, source / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, source)
    module = source / "src" / "prov_worker" / "__init__.py"
    text = module.read_text()
    assert f'"{VERSION}"' in text
    module.write_text(text.replace(f'"{VERSION}"', f'"{version}"'))
    if broken:
        hook = source / "src" / "prov_worker_hook.pth"
        hook.write_text(BREAK + hook.read_text())
    target.mkdir()
    for wheel in wheelhouse.iterdir():
        if not wheel.name.startswith("prov_worker-"):
            (target / wheel.name).symlink_to(wheel)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", target, source], check=True, capture_output=True)
    return target
