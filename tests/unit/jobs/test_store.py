"""The file of jobs: what is written stays, what was cut is cut off, what is damaged is named."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from subprocess import PIPE, Popen

import pytest

from prov_worker.jobs.errors import StoreError
from prov_worker.jobs.store import Store, read, read_line

HEAD = {"group": "g", "endpoint": "e", "options": {}, "service": "s", "at": 1.0}


def test_lines_survive_a_cut_at_any_byte(tmp_path: Path) -> None:
    path = tmp_path / "jobs.jsonl"
    store = Store(path, HEAD)
    offsets = store.append([{"called": number} for number in range(3)])
    store.sync()
    store.close()
    whole = path.read_bytes()
    assert read_line(path, offsets[1]) == {"called": 1}
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        lines = list(read(path))
        assert len(lines) == whole[:size].count(b"\n")
        again = Store(path, HEAD)
        again.append([{"called": 9}])
        again.close()
        records = [record for _, record in read(path)]
        assert records[0] == {"prov_worker_jobs": 1, **HEAD}
        assert records[1:] == [record for _, record in lines[1:]] + [{"called": 9}]


def test_one_program_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "jobs.jsonl"
    code = (
        "import sys\nfrom pathlib import Path\nfrom prov_worker.jobs.store import Store\n"
        "store = Store(Path(sys.argv[1]), {})\nprint('open', flush=True)\nsys.stdin.read()\n"
    )
    command = [sys.executable, "-c", code, str(path)]
    with Popen(command, stdin=PIPE, stdout=PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        with pytest.raises(StoreError, match=f"is in use by process {other.pid}; one program at a time"):
            Store(path, HEAD)
        other.kill()
    Store(path, HEAD).close()


@pytest.mark.parametrize(
    "text, problem",
    [
        ("{}\n", "not a store of jobs"),
        ("[1]\n", "not a store of jobs"),
        ("no json\n", "not a store of jobs"),
        ('{"prov_worker_jobs":2}\n', "prov_worker_jobs: version 2; this release reads version 1"),
        ('{"prov_worker_jobs":1}\n{"called"\n', "line 2: damaged"),
        ('{"prov_worker_jobs":1}\n[]\n', "line 2: damaged: not an object"),
    ],
)
def test_what_is_no_store_is_named(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "jobs.jsonl"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(StoreError, match=problem) as error:
        list(read(path))
    assert str(error.value).startswith(f"{path}: ")


def test_a_store_that_others_could_write_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "jobs.jsonl"
    Store(path, HEAD).close()
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o622)
    with pytest.raises(StoreError, match="others may write it"):
        list(read(path))
    with pytest.raises(StoreError, match="others may write it"):
        Store(path, HEAD)
    path.unlink()
    os.mkfifo(path, 0o600)
    with pytest.raises(StoreError, match="is not a regular file"):
        Store(path, HEAD)


def test_a_missing_store_and_directory(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no such store"):
        list(read(tmp_path / "jobs.jsonl"))
    with pytest.raises(StoreError, match="cannot be locked"):
        Store(tmp_path / "no" / "jobs.jsonl", HEAD)


def test_arguments_of_any_text_are_one_line(tmp_path: Path) -> None:
    path = tmp_path / "jobs.jsonl"
    store = Store(path, HEAD)
    [offset] = store.append([{"error": "one\ntwo\u2028three \ud800"}])
    store.close()
    assert read_line(path, offset)["error"] == "one\ntwo\u2028three \ud800"
    assert len(path.read_bytes().splitlines()) == 2


def test_lines_are_read_while_they_are_written_and_later(tmp_path: Path) -> None:
    """Also such that are longer than one look, or than one write."""
    path = tmp_path / "jobs.jsonl"
    store = Store(path, HEAD)
    records = [{"text": "x" * length} for length in (1, 4_090, 5_000, 1 << 20, 3)]
    offsets = store.append(records)
    assert [store.line(offset) for offset in offsets] == records
    with pytest.raises(StoreError, match="byte 99999999: cannot be read"):
        store.line(99999999)
    store.close()
    assert [store.line(offset) for offset in offsets] == records
    assert [(offset, record) for offset, record in read(path)][1:] == list(zip(offsets, records, strict=True))
    assert store.append([]) == []
