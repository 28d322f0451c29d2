"""Users of one machine with accounts of their own (``useradd``): in a container, which takes them away again."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.commands import run_program
from support.containers import LABEL, ROOT, docker, need_image

ALICE, MALLORY = 61_001, 61_002
PYTHON = "/opt/prov/bin/python"


def product_image(stage: str) -> str:
    """Return the id of an image of the product: without a name it goes when Docker is tidied up."""
    need_image("debian:bookworm-slim")
    return docker("build", "--quiet", "--label", LABEL, "--target", stage, str(ROOT)).strip()


@dataclass
class User:
    """One who has nothing but an account in the container, and a home."""

    uid: int
    home: Path
    container: str

    def command(self, *command: str | Path, terminal: bool = False, **environment: str) -> list[str | Path]:
        """Return a command of this user's, as one of the machine outside; ``terminal``: with that of its caller."""
        variables = {"HOME": str(self.home), "TMPDIR": str(self.home), **environment}
        options = ["--interactive", "--tty"] if terminal else []
        options += [f"--env={name}={value}" for name, value in variables.items()]
        options += [f"--user={self.uid}:{self.uid}", f"--workdir={self.home}"]
        return ["docker", "exec", *options, self.container, *command]

    def run(self, *command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run it to its end."""
        return run_program(*self.command("timeout", "100", *command, **environment))

    def shell(self, text: str, directory: Path) -> None:
        """Run lines of a shell that must not fail."""
        done = self.run("sh", "-ec", f"cd {directory}; {text}")
        assert done.returncode == 0, done.stderr


@dataclass
class Place:
    """A container, and a directory that it sees under its own name."""

    directory: Path
    container: str

    def user(self, uid: int, name: str) -> User:
        """Make an account with a home that is closed to others."""
        home = self.directory / name
        docker("exec", self.container, "useradd", f"--uid={uid}", f"--home-dir={home}", name)
        home.mkdir(mode=0o700)
        os.chown(home, uid, uid)
        return User(uid, home, self.container)


@contextmanager
def place_of(image: str) -> Iterator[Place]:
    """Start a container of an image, with a network of loopback alone."""
    if os.geteuid() != 0:
        pytest.skip("needs root, who makes directories of other users")
    directory = Path(tempfile.mkdtemp(prefix="two-users-", dir="/tmp"))
    directory.chmod(0o755)
    options = ["--detach", "--rm", "--label", LABEL, "--network=none", "--user=0:0", "--entrypoint=sleep"]
    options += ["--init", "--sysctl=net.ipv6.conf.all.disable_ipv6=0", f"--volume={directory}:{directory}"]
    container = docker("run", *options, image, "infinity").strip()
    try:
        yield Place(directory, container)
    finally:
        docker("rm", "--force", container, check=False)
        shutil.rmtree(directory, ignore_errors=True)
