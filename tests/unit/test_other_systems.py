"""What a client needs imports on Windows and macOS, and reads and writes stores of jobs there.

In an interpreter without what these systems' Pythons lack. Libraries of others are imported before, as they have code
of their own for each system.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from support.commands import run_python

pytest.importorskip("requests")
#: Modules and names of the standard library that its documentation gives to Unix or Linux alone.
PROGRAM = """
import builtins, json, os, signal, sys, types
import click, requests, rich.console, rich.progress, rich.table, yaml  # before their system changes

system, store = sys.argv[1], sys.argv[2]
modules = ["syslog", "spwd"]
names = [(os, name) for name in (
    "sched_getaffinity", "pidfd_open", "O_TMPFILE", "posix_fadvise", "memfd_create", "sendfile", "splice", "O_PATH",
)]
if system == "win32":
    import fcntl

    def locking(descriptor, mode, count):
        fcntl.flock(descriptor, fcntl.LOCK_UN if mode == 1 else fcntl.LOCK_EX | fcntl.LOCK_NB)

    sys.modules["msvcrt"] = types.SimpleNamespace(locking=locking, LK_UNLCK=1, LK_NBLCK=2)
    os.supports_dir_fd = set()
    modules += ["fcntl", "resource", "pwd", "grp", "termios", "tty", "pty", "crypt"]
    names += [(os, name) for name in (
        "getuid", "geteuid", "getgid", "getegid", "fork", "O_NOFOLLOW", "O_CLOEXEC", "O_DIRECTORY", "O_NONBLOCK",
        "mkfifo", "fchown", "chown", "killpg", "setsid", "getpgid", "statvfs", "pread", "pwrite", "uname",
    )]
    names += [(signal, name) for name in ("SIGKILL", "SIGHUP", "SIGUSR1", "SIGSTOP", "SIGCHLD", "pthread_sigmask")]
sys.platform = system
find = builtins.__import__

def without(name, globals=None, locals=None, fromlist=(), level=0):
    if name.partition(".")[0] in modules and str((globals or {}).get("__name__")).startswith("prov_worker"):
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    return find(name, globals, locals, fromlist, level)

builtins.__import__ = without
for module, name in names:
    if hasattr(module, name):
        delattr(module, name)

import prov_worker.diagnose, prov_worker.flow, prov_worker.jobs.scheduler, prov_worker.run
from prov_worker.crate.sources import DirectorySource
from prov_worker.errors import CrateError
from prov_worker.jobs import Ledger, StoreError
from prov_worker.jobs.store import Store
from pathlib import Path

head = {"group": "9", "endpoint": "8", "options": {}, "service": "", "at": 1.0}
held = Store(Path(store), head)
held.append([{"job": 1, "name": "fit", "function": "7", "sha256": "6", "at": 2.0, "payload": "x"}])
held.sync()
try:
    Store(Path(store), head)
    print("locked twice")
except StoreError as error:
    print("locked:", error)
print([str(job.state) for job in Ledger.read(Path(store)).jobs.values()])
held.close()
crate = DirectorySource(Path(sys.argv[3]))
print(crate.open("data/few.json").read())
try:
    crate.open("linked/few.json")
except CrateError as error:
    print("refused:", error)
from prov_worker.cli.main import run

sys.exit(run(["jobs", "list", store, "--json"]))
"""


@pytest.mark.parametrize("system", ["win32", "darwin"])
def test_jobs_of_a_client_on_another_system(system: str, tmp_path: Path) -> None:
    store = tmp_path / "jobs.jsonl"
    (tmp_path / "one.crate" / "data").mkdir(parents=True)
    (tmp_path / "one.crate" / "data" / "few.json").write_text("{}")
    (tmp_path / "one.crate" / "linked").symlink_to("data")
    done = run_python("-c", PROGRAM, system, store, tmp_path / "one.crate")
    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stderr
    assert re.match(r"locked: .* is in use( by process \d+)?; one program at a time", lines[0])
    assert lines[1:3] == ["['queued']", "b'{}'"]
    assert lines[3].startswith("refused: ")
    assert [job["name"] for job in json.loads("\n".join(lines[4:]))] == ["fit"]
