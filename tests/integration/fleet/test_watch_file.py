"""``prov-worker fleet watch`` while its file changes, and while a daemon hangs: real daemons, shorter thresholds."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from prov_worker.globus.processes import is_alive
from support.marks import endpoints

if TYPE_CHECKING:
    from fleet_host import FleetHost

pytestmark = [*endpoints("fleet"), pytest.mark.faults]
#: A daemon gives a sign of life every 15 s: one that has missed one hangs here, and not only after a minute.
IMPATIENT = (
    "import sys\n"
    "from prov_worker.cli.main import run\n"
    "from prov_worker.fleet import supervisor\n"
    "from prov_worker.globus import daemons\n"
    "daemons.STALE_S = supervisor.STALE_S = 18.0\n"
    "supervisor.HANGS_S = 1.0\n"
    "sys.exit(run(['fleet', 'watch']))\n"
)


def test_a_file_that_changes_and_a_daemon_that_hangs(
    host: FleetHost, wait_for: Callable[..., None], wait_up: Callable[..., None]
) -> None:
    host.write("one")
    host.run("up")
    watch = subprocess.Popen(
        [sys.executable, "-c", IMPATIENT],
        env=host.environment, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    host.watches.append(watch)
    wait_for(lambda: any(" watch: began" in line for line in host.log()), "the watch")
    hangs = host.core("one")
    assert hangs is not None
    os.kill(hangs.pid, signal.SIGSTOP)

    log = host.state.log  # cannot be asked for while the file is broken

    def said(name: str) -> list[str]:
        return [line for line in log.read_text().splitlines() if f" {name}: " in line]

    good = host.file.read_text()
    host.file.write_text("endpoints: [\n")
    wait_for(lambda: any("goes on with what it read before" in line for line in said("file")), "a broken file")
    host.file.write_text(good)
    wait_for(lambda: any(line.endswith("is good again") for line in said("file")), "a file that is repaired")
    host.write("one", "two")
    wait_for(lambda: any("came into the file" in line for line in said("two")), "the file is read again")
    host.run("up", "two")
    wait_up(host, "two", before=host.kill("two"))
    assert sum("restarted as process" in line for line in said("two")) == 1
    host.write("one")
    wait_for(lambda: any("went from the file" in line for line in said("two")), "the file is read again")

    wait_for(lambda: not is_alive(hangs), "the daemon that hangs is ended", 180.0)
    wait_up(host, "one", before={"one": hangs})
    assert any(f"process {hangs.pid} gave no sign of life for" in line for line in host.log("one"))
    assert len(host.folder("one").cores()) == 1
    assert watch.poll() is None
