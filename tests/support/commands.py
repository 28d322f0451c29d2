"""Programs that tests run to their end."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path


def run_program(
    *command: str | Path,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float = 240,
    check: bool = False,
) -> subprocess.CompletedProcess[str]:
    """Run a program without input; its output is text.

    Raises:
        subprocess.CalledProcessError: it failed, and ``check`` is given.
        subprocess.TimeoutExpired: it ran longer than ``timeout`` seconds, and was killed.
    """
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd=cwd,
        env=env,
        timeout=timeout,
        check=check,
    )


def run_python(
    *arguments: str | Path,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float = 240,
    check: bool = False,
) -> subprocess.CompletedProcess[str]:
    """Run this interpreter, as :func:`run_program` does."""
    return run_program(sys.executable, *arguments, cwd=cwd, env=env, timeout=timeout, check=check)
