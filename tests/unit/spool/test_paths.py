"""Where a user's journals are, where another user's are already."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from prov_worker.agent.recover import recover
from prov_worker.spool.paths import other_spools, runtime_dir, runtime_dirs, spool_dir

NOBODY = 65534
ROOT_ONLY = pytest.mark.skipif(os.getuid() != 0, reason="only root can make another user's folder")


@pytest.fixture
def crates() -> Iterator[Path]:
    """A folder that all users of this machine reach, which pytest's are not."""
    path = Path(tempfile.mkdtemp(prefix="prov-spool-"))
    path.chmod(0o1777)
    yield path
    shutil.rmtree(path)


def as_nobody(call: str, crates: Path) -> str:
    """What a function of this package answers to another user."""
    # Imported as root: the other user need not reach this checkout.
    script = f"""
import os, sys
from prov_worker.spool import paths
os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})
print(paths.{call}(sys.argv[1]))
"""
    done = subprocess.run([sys.executable, "-c", script, crates], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_the_first_users_spool(crates: Path) -> None:
    assert spool_dir(str(crates)) == f"{crates}/.spool"
    (crates / ".spool").mkdir(mode=0o700)
    assert spool_dir(str(crates)) == f"{crates}/.spool"
    assert other_spools(str(crates)) == []


@ROOT_ONLY
def test_a_second_user_has_a_spool_of_his_own(crates: Path) -> None:
    assert as_nobody("spool_dir", crates) == f"{crates}/.spool"
    (crates / ".spool").mkdir(mode=0o700)
    assert as_nobody("spool_dir", crates) == f"{crates}/.spool-{NOBODY}"
    assert as_nobody("other_spools", crates) == str([f"{crates}/.spool"])
    assert (crates / ".spool").stat().st_mode & 0o777 == 0o700


@ROOT_ONLY
def test_a_spool_that_is_shared_on_purpose_is_used(crates: Path) -> None:
    (crates / ".spool").mkdir()
    (crates / ".spool").chmod(0o777)
    assert as_nobody("spool_dir", crates) == f"{crates}/.spool"


@ROOT_ONLY
def test_recover_names_the_spools_that_it_leaves_alone(crates: Path) -> None:
    (crates / ".spool").mkdir(mode=0o700)
    other = crates / f".spool-{NOBODY}"
    other.mkdir(mode=0o700)
    os.chown(other, NOBODY, NOBODY)
    assert recover(crates).skipped == [f"{other}: the spool of user {NOBODY}, for that user to recover"]


def test_a_runtime_directory_is_found_again(tmp_path: Path) -> None:
    path = runtime_dir(str(tmp_path))
    try:
        assert path in runtime_dirs()
    finally:
        os.rmdir(path)
    assert path not in runtime_dirs()
