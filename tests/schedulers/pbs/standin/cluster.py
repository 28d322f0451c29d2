"""A cluster of the stand-in: its server started and ended, its commands in a directory for ``PATH``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from .config import Config
from .server import CONFIG, SOCKET

ROOM = Path(__file__).parents[1]
_PROGRAM = """\
#!{python} -ES
import sys
from pathlib import Path

sys.path.insert(0, {room!r})
{call}
"""


class Cluster:
    """Directories: ``bin`` with the user's commands, ``mpi`` with mpiexec, ``home``, and the server's own."""

    def __init__(self, directory: Path, **config: Any) -> None:
        self.directory = directory
        self.bin, self.mpi, self.home = directory / "bin", directory / "mpi", directory / "home"
        self.state = directory / "server"
        for path in (self.bin, self.mpi, self.home, self.state):
            path.mkdir(parents=True)
        self.config = Config(home=str(self.home), mpi=str(self.mpi), **config)
        # Jobs run in a login shell: what a site puts on their PATH is in a profile.
        (self.home / ".bash_profile").write_text(f'export PATH="{self.mpi}:$PATH"\n')
        self.config.write(self.state / CONFIG)
        for path in (*(self.bin / name for name in ("qsub", "qstat", "qdel")), self.state / "lose"):
            call = f"from standin.commands import main\n\nsys.exit(main({path.name!r}, Path({str(self.state)!r})))"
            _program(path, call)
        _program(self.mpi / "mpiexec", "from standin.mpiexec import main\n\nsys.exit(main(sys.argv[1:]))")
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def path(self) -> str:
        """PATH of a login node."""
        return f"{self.bin}:{os.environ['PATH']}"

    def start(self) -> None:
        with (self.state / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-ES", "-m", "standin.server", str(self.state)],
                cwd=ROOM, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip
        deadline = time.monotonic() + 30
        while not (self.state / SOCKET).exists():
            assert self.process.poll() is None, self.log
            assert time.monotonic() < deadline, self.log
            time.sleep(0.02)

    def stop(self) -> None:
        """End the server, and with it its jobs."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(30)
            self.process = None

    @property
    def log(self) -> str:
        return (self.state / "log").read_text(errors="replace")

    def run(self, *arguments: str, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
        """A command, as a shell on the login node would run it."""
        return subprocess.run(
            [str(self.bin / arguments[0]), *arguments[1:]],
            cwd=cwd or self.home, env={**os.environ, "PATH": self.path, **environment},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip

    def lose(self, *hosts: str) -> None:
        """Let nodes go down, with all that runs there."""
        done = self.run(str(self.state / "lose"), *hosts)
        assert done.returncode == 0, done.stderr

    def jobs(self) -> dict[str, dict[str, Any]]:
        """All jobs of the history, as ``qstat -x -f -F json`` tells of them."""
        return dict(json.loads(self.run("qstat", "-x", "-f", "-F", "json").stdout).get("Jobs", {}))


def _program(path: Path, call: str) -> None:
    path.write_text(_PROGRAM.format(python=sys.executable, room=str(ROOM), call=call))
    path.chmod(0o755)
