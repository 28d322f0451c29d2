"""Preflight of a site: interface, directories, limits, egress, daemons of other hosts."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("globus_compute_endpoint")

from prov_worker.cli.main import run as cli
from prov_worker.finding import Finding
from prov_worker.sites import interface
from prov_worker.sites.check import duplicates, egress, limits, network, storage
from prov_worker.sites.install import MARKER
from support.marks import PARSL_SOCKET
from support.preflight import only, statuses, subject

pytestmark = PARSL_SOCKET


def on_line(line: str, user_dir: Path, site: str = "local", **values: Any) -> list[Finding]:
    """What the storage's check says on one line."""
    if site != "local":
        values["interface"] = "lo"
    return [finding for finding in storage.check(subject(site, user_dir, **values)) if finding.subject == line]


def test_interfaces_of_guests_are_not_proposed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bridge of containers, a container's end, a tap and a virtual network, as Linux shows them."""
    there = {"lo": "", "br0": "bridge", "veth1": "brport", "tap0": "tun_flags", "ib0": "", "zeth0": "device"}
    for name, mark in there.items():
        (tmp_path / name / mark).mkdir(parents=True)
    monkeypatch.setattr(interface, "names", lambda: sorted(there))
    monkeypatch.setattr(interface, "_DEVICES", tmp_path)
    assert interface.likely() == ["zeth0", "ib0"]


def test_an_interface_that_does_not_exist(private: Path) -> None:
    finding = only(network.check(subject("local", private, interface="nosuch0")), "fail")
    assert "nosuch0 is not on this host" in finding.found
    assert "--set interface=" in finding.remedy


def test_loopback_is_not_what_compute_nodes_reach(private: Path) -> None:
    assert only(network.check(subject("aurora", private, interface="lo")), "warn").subject == "interface"
    assert [finding.status for finding in network.check(subject("local", private, interface=""))] == ["pass"]


def test_a_directory_that_cannot_be_written(private: Path, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    finding = only(on_line("crate_dir", private, crate_dir=str(blocked / "crates")), "fail")
    assert str(blocked) in finding.found


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
def test_a_directory_without_the_right_to_write(private: Path, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    assert "Permission denied" in only(storage.check(subject("local", private, crate_dir=str(closed))), "fail").found


def test_a_read_only_file_system(private: Path) -> None:
    assert only(on_line("mount point", private, mount_points=["/proc"]), "warn").found.startswith(
        "/proc: proc; cannot be written"
    )


def test_crates_in_memory_or_where_systems_clean_up(private: Path) -> None:
    if not Path("/dev/shm").is_dir():
        pytest.skip("no /dev/shm here")
    crates = {"crate_dir": "/dev/shm/no-such-crates"}
    assert only(on_line("crate_dir", private, **crates), "warn").found.endswith("it lives in memory, and is lost")
    assert only(on_line("crate_dir", private, "aurora", **crates), "fail")
    assert only(on_line("crate_dir", private, crate_dir=f"/tmp/none-{os.getpid()}/y"), "warn")


def test_a_mount_point_that_is_not_here(private: Path) -> None:
    missing = ["/no/such/place"]
    assert "/no/such/place" in only(on_line("mount point", private, mount_points=missing), "fail").found
    assert only(on_line("mount point", private, "polaris", mount_points=missing), "warn")


@pytest.mark.parametrize("mode, status", [(0o755, "warn"), (0o777, "fail"), (0o770, "warn"), (0o700, "pass")])
def test_rights_of_the_directory_with_the_tokens(private: Path, mode: int, status: str) -> None:
    private.chmod(mode)
    (finding,) = on_line("rights", private)
    assert finding.status == status


def test_a_tmpdir_that_is_too_long_for_sockets(private: Path) -> None:
    """As long as it takes: one byte less, and Python's own sockets fit."""
    for length, status in ((107 - 32, "pass"), (107 - 31, "fail")):
        long = "/tmp/" + "x" * (length - 5)
        findings = [
            finding
            for finding in limits.check(subject("local", private, worker_init=f"export TMPDIR={long}"))
            if "at the workers" in finding.found
        ]
        assert [finding.status for finding in findings] == [status]


def test_the_length_at_which_multiprocessing_fails_is_the_one_that_is_checked(tmp_path: Path) -> None:
    """Real sockets, in directories of the two lengths."""
    code = "import multiprocessing as m; m.get_context('spawn').Manager().shutdown()"
    for length, fits in ((107 - 32, True), (107 - 31, False)):
        directory = Path("/tmp", f"pw{os.getpid()}".ljust(length - len("/tmp/"), "x"))
        directory.mkdir()
        try:
            program_text = f"if __name__ == '__main__':\n    {code}\n"
            file = tmp_path / "manager.py"
            file.write_text(program_text)
            done = subprocess.run(
                [sys.executable, str(file)],
                env={**os.environ, "TMPDIR": str(directory)},
                capture_output=True,
                check=False,
            )
            assert (done.returncode == 0) is fits, done.stderr.decode()
        finally:
            for left in sorted(directory.rglob("*"), reverse=True):
                left.rmdir() if left.is_dir() else left.unlink()
            directory.rmdir()


def test_cpus_that_are_not_here(private: Path) -> None:
    finding = only(limits.check(subject("local", private, workers=1, affinity="list:0,8000")), "fail")
    assert "8000" in finding.found


def test_a_service_that_nobody_answers_for() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: refused
        port = taken.getsockname()[1]
        assert only(egress.rest(f"http://127.0.0.1:{port}"), "fail").subject == "egress, REST"
        finding = only(egress.amqps("127.0.0.1", (port,)), "fail")
        assert f"127.0.0.1:{port}: Connection refused" in finding.found


def test_a_service_that_answers_and_a_clock_that_is_wrong() -> None:
    import http.server
    import threading

    class Answers(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(401)

        def date_time_string(self, timestamp: float | None = None) -> str:
            return super().date_time_string(time.time() - 3600)

        def log_message(self, *args: object) -> None:
            """Not to the tests' output."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        findings = list(egress.rest(f"http://127.0.0.1:{server.server_address[1]}"))
        server.shutdown()
    assert statuses(findings) == {"egress, REST": "pass", "clock": "warn"}
    assert "ahead of the service" in findings[1].found


def test_the_password_of_a_proxy_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://user:hidden@127.0.0.1:1")
    finding = only(egress.rest("https://compute.example.org"), "fail")
    assert "through http://127.0.0.1:1" in finding.found
    assert "hidden" not in finding.found


def test_a_daemon_on_another_host_that_shares_this_home(private: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It keeps the file of its process id fresh, and there is no such process here."""
    ended = subprocess.Popen(["true"])
    ended.wait()
    endpoint = private / "mine"
    assert cli(["sites", "install", "local", "mine", "--no-check", "--user-dir", str(private)]) == 0
    (endpoint / "daemon.pid").write_text(str(ended.pid))
    finding = only(duplicates.check(subject("local", private, "mine")), "fail")
    assert f"process {ended.pid} of another host" in finding.found
    assert only(duplicates.check(subject("local", private, "other")), "warn").found.startswith("mine in ")
    capsys.readouterr()
    assert (
        cli(["sites", "install", "local", "mine", "--no-check", "--user-dir", str(private), "--set", "workers=3"]) == 2
    )
    assert "kept fresh by a daemon on another host" in capsys.readouterr().err
    # What a daemon that was killed leaves behind is no daemon.
    os.utime(endpoint / "daemon.pid", (0, 0))
    assert {finding.status for finding in duplicates.check(subject("local", private, "mine"))} == {"pass"}


def test_a_daemon_whose_host_a_batch_system_chooses(private: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["sites", "install", "local", "mine", "--no-check", "--user-dir", str(private)]
    assert cli([*where, "--unbound-host"]) == 0
    endpoint = private / "mine"
    assert json.loads((endpoint / MARKER).read_text())["host"] is None
    (endpoint / "daemon.pid").write_text("1")
    (finding,) = duplicates.check(subject("local", private, "mine"))
    assert finding.status == "pass"
    assert "on another host, which a batch system chose: process 1" in finding.found
    capsys.readouterr()
    assert cli([*where, "--any-host", "--set", "workers=3"]) == 0
    assert "--any-host is now --unbound-host; the old name works" in capsys.readouterr().err
    # To bind it to this host, that daemon has to end first.
    capsys.readouterr()
    assert cli(where) == 2
    assert "kept fresh by a daemon on another host" in capsys.readouterr().err
    (endpoint / "daemon.pid").unlink()
    assert cli(where) == 0
    assert json.loads((endpoint / MARKER).read_text())["host"] == socket.gethostname()


def test_a_damaged_note_of_whose_it_is_is_a_finding(private: Path) -> None:
    assert cli(["sites", "install", "local", "mine", "--no-check", "--user-dir", str(private)]) == 0
    (private / "mine" / MARKER).write_text("junk")
    finding = only(duplicates.check(subject("local", private, "mine")), "fail")
    assert f"{MARKER}: invalid JSON" in finding.found
    assert "install --overwrite" in finding.remedy


def test_an_endpoint_that_belongs_to_another_host(private: Path) -> None:
    assert cli(["sites", "install", "local", "mine", "--no-check", "--user-dir", str(private)]) == 0
    marker = private / "mine" / MARKER
    marker.write_text(json.dumps({**json.loads(marker.read_text()), "host": "login02"}))
    finding = only(duplicates.check(subject("local", private, "mine")), "fail")
    assert "belongs to login02" in finding.found
