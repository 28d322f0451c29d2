"""Wheels of versions that do not exist, for upgrades."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Literal

from login_nodes import ROOT, VERSION

#: What Python does first in an environment with the broken version: the daemon ends before it is anywhere.
NO_DAEMON = "import sys; sys.argv[0].endswith('globus-compute-endpoint') and sys.exit('this version is broken')\n"


#: What `prov-worker fleet` does in such an environment, the watch that was replaced by it too.
NO_FLEET = "raise ImportError('this version is broken')\n"


def release(version: str, wheelhouse: Path, target: Path, *, broken: Literal["", "daemon", "fleet"] = "") -> Path:
    """A wheelhouse of another version of this package, with what else is in one that there is.

    Args:
        version: of the package.
        wheelhouse: that there is.
        target: a directory that is not there yet.
        broken: what cannot run with it.
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
    if broken == "daemon":
        hook = source / "src" / "prov_worker_hook.pth"
        hook.write_text(NO_DAEMON + hook.read_text())
    elif broken:
        (source / "src" / "prov_worker" / "fleet" / "__init__.py").write_text(NO_FLEET)
    target.mkdir()
    for wheel in wheelhouse.iterdir():
        if not wheel.name.startswith("prov_worker-"):
            (target / wheel.name).symlink_to(wheel)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", target, source], check=True, capture_output=True)
    return target
