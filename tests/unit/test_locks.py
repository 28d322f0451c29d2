"""A lock of a file has one holder, and ends with its process."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from prov_worker.locks import lock, open_lock, unlock


def test_a_lock_has_one_holder_at_a_time(tmp_path: Path) -> None:
    first, second = (open_lock(tmp_path / "lock") for _ in range(2))
    assert (tmp_path / "lock").stat().st_mode & 0o777 == 0o600
    assert not os.get_inheritable(first)
    assert lock(first)
    assert not lock(second)
    assert not lock(second, 0.05)
    unlock(first)
    assert lock(second)
    os.close(second)
    assert lock(first)
    os.close(first)


def test_a_lock_is_waited_for_and_ends_with_its_process(tmp_path: Path) -> None:
    code = "import sys; from prov_worker.locks import lock, open_lock\n"
    code += "print(lock(open_lock(sys.argv[1])), flush=True); input()"
    holder = subprocess.Popen(
        [sys.executable, "-c", code, tmp_path / "lock"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "True\n"
        descriptor = open_lock(tmp_path / "lock")
        assert not lock(descriptor)
        threading.Timer(0.2, holder.kill).start()
        assert lock(descriptor, 60.0)
        os.close(descriptor)
    finally:
        holder.kill()
        holder.communicate()


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def flock(_descriptor: int, _operation: int) -> None:
        raise OSError(number, os.strerror(number))

    descriptor = open_lock(tmp_path / "lock")
    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(OSError, match=os.strerror(number)):
        lock(descriptor, 60.0)
    os.close(descriptor)
