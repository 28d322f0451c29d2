"""Where a user's journals are, where another user's are already."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from prov_worker.agent.recover import recover
from prov_worker.errors import InputError
from prov_worker.spool import own_files, paths
from prov_worker.spool.paths import other_spools, own_journal, runtime_dir, runtime_dirs, runtime_dirs_of, spool_dir

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
@pytest.mark.parametrize("name", [".spool", f".spool-{NOBODY}"])
def test_a_directory_of_another_user_is_not_used_however_open_it_is(crates: Path, name: str) -> None:
    (crates / ".spool").mkdir(mode=0o700)
    (crates / name).mkdir(exist_ok=True)
    (crates / name).chmod(0o777)
    used = as_nobody("spool_dir", crates)
    assert used not in (f"{crates}/.spool", f"{crates}/{name}")
    assert used.startswith(f"{crates}/.spool-{NOBODY}")


@ROOT_ONLY
def test_a_name_that_nobody_can_take_is_found_again(crates: Path) -> None:
    for name in (".spool", f".spool-{NOBODY}"):
        (crates / name).mkdir()
    made = Path(as_nobody("spool_dir", crates))
    made.mkdir(mode=0o700)
    os.chown(made, NOBODY, NOBODY)
    assert as_nobody("spool_dir", crates) == str(made)
    assert as_nobody("own_spools", crates) == str([str(made)])


def test_a_link_and_what_others_may_write_to_is_no_spool(crates: Path, tmp_path: Path) -> None:
    (crates / ".spool").symlink_to(tmp_path)
    assert spool_dir(str(crates)) == f"{crates}/.spool-{os.geteuid()}"
    (crates / ".spool").unlink()
    (crates / ".spool").mkdir()
    (crates / ".spool").chmod(0o770)
    assert spool_dir(str(crates)) == f"{crates}/.spool-{os.geteuid()}"
    (crates / ".spool").chmod(0o755)
    assert spool_dir(str(crates)) == f"{crates}/.spool"
    assert (crates / ".spool").stat().st_mode & 0o777 == 0o700


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
        assert runtime_dirs_of(str(tmp_path)) == [path]
    finally:
        os.rmdir(path)
    assert path not in runtime_dirs()


# -- the runtime directory -------------------------------------------------------------------------------------------


@pytest.fixture
def roots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Two roots that stand for /dev/shm and /tmp."""
    made = [tmp_path / "shm", tmp_path / "tmp"]
    for root in made:
        root.mkdir()
    monkeypatch.setattr(paths, "_RUNTIME_ROOTS", tuple(map(str, made)))
    return made


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Path]:
    """A tmpfs without room."""
    root = tmp_path / "full"
    root.mkdir()
    if (
        os.getuid() != 0
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", root], check=False).returncode
    ):
        pytest.skip("needs to mount a tmpfs")
    (root / "all").write_bytes(bytes(4096))
    yield root
    subprocess.run(["umount", root], check=True)


def test_where_a_root_is_full_the_next_is_taken(full: Path, roots: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "_RUNTIME_ROOTS", (str(full), *map(str, roots)))
    refused: list[str] = []
    path = runtime_dir("/crates", refused)
    assert path.startswith(str(roots[0]))
    (reason,) = refused
    assert reason.startswith(str(full))
    assert "No space left" in reason
    assert runtime_dirs_of("/crates") == [str(full / Path(path).relative_to(roots[0])), path]


def test_a_root_that_the_batch_system_names(roots: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "_RUNTIME_ROOTS", ("/nonexistent", "$TMPDIR", str(roots[1])))
    monkeypatch.setenv("TMPDIR", str(roots[0]))
    assert runtime_dir("/crates").startswith(str(roots[0]))
    monkeypatch.setenv("TMPDIR", "relative")
    assert runtime_dir("/crates").startswith(str(roots[1]))


def test_a_file_system_that_refuses_to_allocate_is_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "seccomp")

    monkeypatch.setattr(os, "posix_fallocate", refuse)  # a filter of system calls cannot be taken off again
    descriptor = os.open(tmp_path / "slot", os.O_RDWR | os.O_CREAT)
    own_files.allocate(descriptor, 4096)
    status = os.fstat(descriptor)
    os.close(descriptor)
    assert (status.st_size, status.st_blocks > 0) == (4096, True)


@ROOT_ONLY
def test_names_that_others_have_taken_in_all_roots(crates: Path, roots: list[Path]) -> None:
    """By a name with a token, which is the same for all processes of the user."""
    for root in roots:
        taken = root / f"prov-worker-{os.geteuid()}"
        taken.mkdir(mode=0o777)
        os.chown(taken, NOBODY, NOBODY)
    refused: list[str] = []
    path = runtime_dir(str(crates), refused)
    assert len(refused) == 2
    assert runtime_dir(str(crates)) == path
    assert runtime_dirs_of(str(crates)) == [path]
    assert path in runtime_dirs()
    token = (crates / ".spool" / "runtime.token").read_text()
    assert Path(path).parent.name == f"prov-worker-{os.geteuid()}-{token}"


# -- files -----------------------------------------------------------------------------------------------------------


def test_only_plain_files_of_this_user_are_opened(crates: Path, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "link").symlink_to(tmp_path / "precious")
    os.mkfifo(tmp_path / "fifo")
    for path in ("link", "fifo"):
        for flags in (os.O_RDONLY, os.O_WRONLY | os.O_CREAT | os.O_APPEND):
            with pytest.raises(OSError, match="file of this user|symbolic link|No such device"):
                own_files.open_own(str(tmp_path / path), flags)
        with pytest.raises(OSError, match="file of this user|symbolic link|No such device"):
            own_files.append_own(str(tmp_path / path), b"x")
    assert (tmp_path / "precious").read_text() == "precious"
    (crates / "open").mkdir()
    (crates / "open").chmod(0o777)
    with pytest.raises(PermissionError, match="directory of this user's alone"):
        own_files.append_own(str(crates / "open" / "file"), b"x")


@ROOT_ONLY
def test_root_finishes_nobody_elses_records(crates: Path) -> None:
    spool = crates / ".spool"
    spool.mkdir(mode=0o700)
    (spool / "n-1-2.jsonl").write_text("{}\n")
    os.chown(spool, NOBODY, NOBODY)
    with pytest.raises(InputError, match=f"records of user {NOBODY}; run `prov-worker recover` as that user"):
        recover(crates)


def test_recover_leaves_no_directory_of_its_own_on_the_node(crates: Path, roots: list[Path]) -> None:
    (crates / ".spool").mkdir(mode=0o700)
    recover(crates)
    assert [list(root.iterdir()) for root in roots] == [[], []]


def test_a_journal_is_in_the_spool_of_its_user(tmp_path: Path) -> None:
    """Another user may have made the spool that was nobody's when a worker looked."""
    named = tmp_path / "crates" / ".spool" / "n001~b-7-9.jsonl"
    assert own_journal(str(named)) == str(named), "no crate directory yet"
    named.parent.parent.mkdir()
    assert own_journal(str(named)) == str(named)
    assert named.parent.stat().st_mode & 0o777 == 0o700, "it is this user's from now on"
    named.parent.chmod(0o777)
    own = named.parent.with_name(f".spool-{os.geteuid()}")
    assert own_journal(str(named)) == str(own / named.name)
    assert own.stat().st_mode & 0o777 == 0o700
