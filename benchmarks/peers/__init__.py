"""Other systems, each in an environment of its own that is made once: what they add to the same no-op."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence

from benchmarks.harness import CACHE, Bench, BenchmarkError


def environment_of(bench: Bench, name: str, requirements: Sequence[str]) -> str:
    """Interpreter of an environment with these requirements, made at the first call.

    Raises:
        BenchmarkError: it cannot be made, for example without a network.
    """
    directory = CACHE / name
    python = directory / "bin" / "python"
    stamp = directory / ".complete"
    if stamp.exists() and stamp.read_text() == "\n".join(requirements):
        return str(python)
    bench.say(f"installing {', '.join(requirements)}")
    shutil.rmtree(directory, ignore_errors=True)
    directory.parent.mkdir(parents=True, exist_ok=True)
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "--quiet", "install", *requirements]
    for command in ([sys.executable, "-m", "venv", str(directory)], pip):
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=_plain(), check=False
        )
        if done.returncode:
            raise BenchmarkError(f"{name} cannot be installed: {done.stdout.strip()[-500:]}")
    stamp.write_text("\n".join(requirements))
    return str(python)


def _plain() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
