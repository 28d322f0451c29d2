"""Whatever ends a command: nothing is left in the making, and no process stays behind."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from prov_worker.errors import InputError
from prov_worker.files import atomic_write


def children_of(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def wait_for(what: Any, process: subprocess.Popen[str]) -> Any:
    end = time.monotonic() + 60
    while not (found := what()):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, "did not come"
        time.sleep(0.01)
    return found


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture
def endless(crates: Any, tmp_path: Path) -> Path:
    """A directory with one crate whose file takes longer to copy than any test."""
    crate = crates.add(1)
    with (crate / "large.bin").open("wb") as stream:
        stream.truncate(1 << 42)
    return Path(crates.directory)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_in_the_middle_of_assembling_leaves_nothing(endless: Path, tmp_path: Path, number: int) -> None:
    out = tmp_path / "out"
    out.mkdir()
    command = [sys.executable, "-m", "prov_worker", "run", "assemble", str(endless), "-o", str(out / "R.crate")]
    # Under nohup a process and its children ignore SIGHUP, and are meant to.
    heed = functools.partial(signal.signal, number, signal.SIG_DFL)
    process = subprocess.Popen([*command, "--max-file-size", "0"], stderr=subprocess.PIPE, text=True, preexec_fn=heed)
    wait_for(lambda: list(out.glob(".R.crate.tmp-*/steps/*/large.bin")), process)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, "Traceback" in said) == (128 + number, False)
    assert list(out.iterdir()) == []


def test_readers_end_with_the_one_that_asked_them(crates: Any, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    crates.add(1)
    code = (
        "import sys, time\n"
        "from prov_worker.run.index.read import in_processes\n"
        "if __name__ == '__main__':\n"
        "    for _ in in_processes(2)(time.sleep, [0.01, 0.01, 0.01, 0.01, 600, 600]):\n"
        "        pass\n"
    )
    script = tmp_path / "script.py"
    script.write_text(code)
    process = subprocess.Popen([sys.executable, str(script)], stderr=subprocess.DEVNULL, text=True)
    readers = wait_for(lambda: len(found := children_of(process.pid)) >= 3 and found, process)
    process.kill()
    process.wait()
    end = time.monotonic() + 60
    while any(map(alive, readers)):
        assert time.monotonic() < end, "readers stayed"
        time.sleep(0.02)


def test_what_cannot_be_written_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="directory; name a file"), atomic_write(tmp_path):
        pass
    (tmp_path / "file").write_text("x")
    with (
        pytest.raises(InputError, match="file/report.html: cannot be written"),
        atomic_write(tmp_path / "file/report.html"),
    ):
        pass
    with pytest.raises(UnicodeEncodeError), atomic_write(tmp_path / "other") as path:
        path.write_text("half \ud800", encoding="utf-8")
    assert [one.name for one in tmp_path.iterdir()] == ["file"]


def test_a_link_is_followed_and_what_is_no_file_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "there/file")
    with atomic_write(tmp_path / "link") as path:
        path.write_text("x")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "there/file").read_text() == "x"
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    with atomic_write(tmp_path / "pipe") as path:
        path.write_text("through")
    assert os.read(reader, 20) == b"through"
    os.close(reader)
    code = "import sys; from pathlib import Path; from prov_worker.files import atomic_write\n"
    code += "with atomic_write(Path('/dev/stdout')) as path: path.write_text('through')"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout == b"through"
    assert (tmp_path / "pipe").is_fifo()
    assert sorted(one.name for one in tmp_path.iterdir()) == ["link", "pipe", "there"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_a_full_disk_is_said_of_the_file(tmp_path: Path) -> None:
    def write() -> None:
        with atomic_write(tmp_path / "report.html") as path:
            path.symlink_to("/dev/full")
            path.write_text("x")

    with pytest.raises(InputError, match="report.html: cannot be written: No space left"):
        write()
    assert list(tmp_path.iterdir()) == []
