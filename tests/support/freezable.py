"""A file system that can be frozen, as one that hangs."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from support.commands import run_program


class Freezable:
    """A file system in a file that can be frozen: what writes to it hangs until it is thawed.

    Args:
        mount: directory that it is mounted on.
        image: the file, which is made.
    """

    def __init__(self, mount: Path, image: Path) -> None:
        self.mount = mount
        self.frozen = False
        with image.open("wb") as file:
            file.truncate(64 << 20)
        made = os.getuid() == 0 and _has_mkfs() and run_program("mkfs.ext4", "-q", "-F", image).returncode == 0
        if not made or run_program("mount", "-o", "loop", image, mount).returncode != 0:
            pytest.skip("a file system that can be frozen needs root, mkfs.ext4 and a loop device")

    def freeze(self) -> None:
        run_program("fsfreeze", "--freeze", self.mount, check=True)
        self.frozen = True

    def thaw(self) -> None:
        if self.frozen:
            run_program("fsfreeze", "--unfreeze", self.mount, check=True)
        self.frozen = False

    def close(self) -> None:
        run_program("umount", "-l", self.mount, check=True)


def _has_mkfs() -> bool:
    return shutil.which("mkfs.ext4") is not None
