"""Crates that come home: from directories here, and by ssh from a server that the test starts."""

from __future__ import annotations

import contextlib
import getpass
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from prov_worker.cli.main import run as cli
from prov_worker.crate import vocabulary as v
from prov_worker.crate.sources import find_crates
from prov_worker.errors import InputError
from prov_worker.model import Failure
from prov_worker.run.collect.rsync import Collected, Options, collect
from prov_worker.testing import CrateFactory
from prov_worker.testing import task_id as task
from support.programs import Programs

pytestmark = [
    pytest.mark.skipif(shutil.which("rsync") is None, reason="no rsync (on Debian: apt-get install rsync)"),
    pytest.mark.timeout(600),
]

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def content(directory: Path) -> dict[str, str]:
    """Every file of every crate, by hash."""
    return {
        str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(directory.rglob("*"))
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(directory).parts)
    }


@pytest.fixture
def source(crates: CrateFactory) -> CrateFactory:
    for number in range(6):
        crates.add(number, sampled=number < 3)
    (crates.directory / ".spool").mkdir(exist_ok=True)
    (crates.directory / ".spool" / "host-1-2.jsonl").write_text("{}\n")
    shutil.copytree(crates.directory / f"{task(0)}.crate", crates.directory / f".{task(9)}.crate")
    return crates


def published(directory: Path) -> list[str]:
    return [path.name for path in find_crates(directory)]


def names(collected: Collected) -> set[str]:
    return set(collected.new)


def test_published_crates_come_whole_and_nothing_else_does(source: CrateFactory, tmp_path: Path) -> None:
    home = tmp_path / "home"
    done = collect([str(source.directory)], home)
    assert names(done) == {f"{task(number)}.crate" for number in range(6)}
    assert done.problems == []
    assert content(home) == content(source.directory)
    assert {path.name for path in home.iterdir()} == names(done), "no staging is left, no spool, no crate in the making"


def test_a_destination_may_be_relative(source: CrateFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = collect([source.directory.name], Path("home"))
    assert done.problems == []
    assert content(tmp_path / "home") == content(source.directory)


def test_a_second_time_nothing_comes_and_what_is_new_comes_later(source: CrateFactory, tmp_path: Path) -> None:
    home = tmp_path / "home"
    collect([str(source.directory)], home)
    again = collect([str(source.directory)], home)
    assert (again.new, again.known) == ([], 6)
    source.add(7)
    assert collect([str(source.directory)], home).new == [f"{task(7)}.crate"]


def test_endpoints_stay_apart(source: CrateFactory, make_crates: Callable[..., CrateFactory], tmp_path: Path) -> None:
    user = tmp_path / "provenance"
    user.mkdir()
    shutil.copytree(source.directory, user / "polaris")
    make_crates(user / "aurora").add(1)
    done = collect([str(user)], tmp_path / "home")
    assert len(done.new) == 7
    assert f"aurora/{task(1)}.crate" in done.new
    assert content(tmp_path / "home") == content(user)


def test_a_dry_run_changes_nothing(source: CrateFactory, tmp_path: Path) -> None:
    done = collect([str(source.directory)], tmp_path / "home", Options(dry_run=True, move=True))
    assert len(done.new) == 6
    assert not (tmp_path / "home").exists()
    assert len(published(source.directory)) == 6


def test_a_crate_that_differs_at_home_is_named_and_both_are_kept(
    source: CrateFactory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home"
    collect([str(source.directory)], home)
    metadata = home / f"{task(2)}.crate" / v.METADATA_FILE
    metadata.write_text(metadata.read_text().replace("work", "play"))
    before = content(home)
    assert cli(["run", "collect", str(source.directory), str(home), "--move"]) == 1
    assert f"{task(2)}.crate: differs from" in capsys.readouterr().err
    assert content(home) == before
    assert published(source.directory) == [f"{task(2)}.crate"], "the others were moved"


def test_a_later_attempt_takes_the_tasks_name(crates: CrateFactory, tmp_path: Path) -> None:
    home = tmp_path / "home"
    crates.add(1, attempt=1, error="the node was lost")
    collect([str(crates.directory)], home)
    crates.add(1, attempt=2, offset_s=5)
    assert set(published(crates.directory)) == {
        f"{task(1)}.crate",
        f"{task(1)}.attempt-1.crate",
    }
    done = collect([str(crates.directory)], home)
    assert (done.new, done.known, done.problems) == ([f"{task(1)}.crate"], 1, [])
    assert content(home) == content(crates.directory)


LOST = Failure("lost", "the node is gone")


def test_a_crate_that_was_replaced_by_the_end_of_its_task_comes_anew(crates: CrateFactory, tmp_path: Path) -> None:
    home = tmp_path / "home"
    crate = crates.add(1, failure=LOST)
    before = (crate / v.METADATA_FILE).read_bytes()
    assert collect([str(crates.directory)], home).problems == []
    assert crates.add(1) == crate
    done = collect([str(crates.directory)], home)
    assert (done.new, done.known, done.problems) == ([crate.name], 0, [])
    assert content(home) == content(crates.directory)
    assert (home / ".replaced" / crate.name / v.METADATA_FILE).read_bytes() == before
    assert published(home) == [crate.name], "what was replaced is counted no more"
    done = collect([str(crates.directory)], home)
    assert (done.new, done.known, done.problems) == ([], 1, [])


def test_a_verdict_gives_way_to_no_other_verdict(crates: CrateFactory, tmp_path: Path) -> None:
    home = tmp_path / "home"
    crate = crates.add(1, failure=LOST)
    collect([str(crates.directory)], home)
    before = content(home)
    metadata = crate / v.METADATA_FILE
    metadata.write_text(metadata.read_text() + " ")
    done = collect([str(crates.directory)], home)
    assert [problem.message for problem in done.problems] == [f"differs from {home / crate.name}, which is kept"]
    assert content(home) == before


def test_a_crate_that_is_damaged_at_its_source_does_not_come(source: CrateFactory, tmp_path: Path) -> None:
    file = source.directory / f"{task(1)}.crate" / "data" / "cpu_usage.json"
    file.write_bytes(file.read_bytes()[:-1] + b" ")
    done = collect([str(source.directory)], tmp_path / "home", Options(move=True))
    assert len(done.new) == 5
    (problem,) = done.problems
    assert f"{task(1)}.crate" in problem.where
    assert "cpu_usage.json" in problem.message
    assert published(source.directory) == [f"{task(1)}.crate"]
    assert not (tmp_path / "home" / f"{task(1)}.crate").exists()


def test_a_crate_with_bad_metadata_is_named_once(source: CrateFactory, tmp_path: Path) -> None:
    bad = source.directory / f"{task(1)}.crate"
    (bad / v.METADATA_FILE).write_text("{")
    (problem,) = collect([str(source.directory)], tmp_path / "home").problems
    assert problem.where == str(bad)
    assert problem.message.startswith(f"{v.METADATA_FILE}: invalid JSON: ")
    assert ".collect" not in str(problem)


def test_a_crate_without_metadata_is_named(source: CrateFactory, tmp_path: Path) -> None:
    bad = source.directory / f"{task(1)}.crate"
    (bad / v.METADATA_FILE).unlink()
    (source.directory / "site" / "bare.crate" / "inner.crate").mkdir(parents=True)
    done = collect([str(source.directory)], tmp_path / "home", Options(move=True))
    assert (len(done.new), done.moved) == (5, 5)
    assert [str(problem) for problem in done.problems] == [
        f"{bad}: not a crate: no {v.METADATA_FILE}, or one of over 33,554,432 bytes",
        f"{source.directory}/site/bare.crate: not a crate: no {v.METADATA_FILE}, or one of over 33,554,432 bytes",
    ]
    assert bad.is_dir()


def test_a_crate_that_is_not_named_as_one_is_named(source: CrateFactory, tmp_path: Path) -> None:
    """A flow that collects crates may drop the suffix; nothing of them may stay behind in silence."""
    bare = source.directory / task(1)
    (source.directory / f"{task(1)}.crate").rename(bare)
    deep = source.directory / "site" / task(8)
    shutil.copytree(bare, deep)
    shutil.copytree(bare, source.directory / f"{task(2)}.crate" / "nested")
    done = collect([str(source.directory)], tmp_path / "home")
    assert len(done.new) == 5
    reason = "a crate whose name does not end in .crate; not collected: rename it"
    assert [str(problem) for problem in done.problems] == [f"{bare}: {reason}", f"{deep}: {reason}"]


def test_what_rsync_says_of_a_noisy_shell_reaches_the_user(source: CrateFactory, tmp_path: Path) -> None:
    """Start-up files of the other machine print a line: rsync takes it for its protocol, and says what to look at."""
    ssh = tmp_path / "ssh.sh"
    ssh.write_text('#!/bin/sh\necho "Welcome" >&2\nshift\necho "Modules loaded."\nexec sh -c "$*"\n')
    ssh.chmod(0o755)
    (problem,) = collect([f"login:{source.directory}"], tmp_path / "home", Options(ssh=str(ssh))).problems
    assert "protocol version mismatch -- is your shell clean?" in problem.message
    assert "\n" not in problem.message


def test_of_many_lines_of_a_program_the_first_and_the_last_are_shown(source: CrateFactory, tmp_path: Path) -> None:
    ssh = tmp_path / "ssh.sh"
    ssh.write_text("#!/bin/sh\nfor line in $(seq 1000); do echo line $line >&2; done\nexit 7\n")
    ssh.chmod(0o755)
    (problem,) = collect([f"login:{source.directory}"], tmp_path / "home", Options(ssh=str(ssh))).problems
    assert problem.message.startswith("line 1 | line 2 |")
    assert problem.message.endswith("| line 1000")
    assert len(problem.message) < 200


@pytest.mark.parametrize(
    "sources, target, line",
    [
        (["crates"], "crates/sub", "crates: holds the destination crates/sub"),
        (["crates/sub"], "crates", "crates/sub: lies in the destination crates"),
        (["link"], "crates/sub", "link: holds the destination crates/sub"),
        (["crates", "crates/sub"], "home", "crates/sub: lies in crates; its crates would come twice"),
        (["crates/sub", "crates"], "home", "crates/sub: lies in crates; its crates would come twice"),
    ],
)
def test_directories_within_each_other_are_refused(
    source: CrateFactory,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    sources: list[str],
    target: str,
    line: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (source.directory / "sub").mkdir()
    (tmp_path / "link").symlink_to(source.directory)
    before = sorted(tmp_path.rglob("*"))
    assert cli(["run", "collect", *sources, target]) == 2
    assert line in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "arguments, line",
    [
        (["nowhere"], "nowhere: no such directory"),
        (["-oProxyCommand=x:dir"], "no host name begins with a dash"),
        (["--ssh", "'", "host:dir"], "--ssh"),
        (["{home}"], "is the destination itself"),
    ],
)
def test_bad_input_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], line: str
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    given = [argument.format(home=home) for argument in arguments]
    options, sources = (given[:2], given[2:]) if given[0].startswith("--") else ([], given)
    assert cli(["run", "collect", *options, "--", *sources, str(home)]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert line in lines[0]


def test_one_collection_at_a_time(source: CrateFactory, tmp_path: Path) -> None:
    import fcntl

    home = tmp_path / "home"
    (home / ".collect").mkdir(parents=True)
    with (home / ".collect" / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(InputError, match="another collection"):
            collect([str(source.directory)], home)
    assert len(collect([str(source.directory)], home).new) == 6


@dataclass
class Server:
    """An ssh server on a port of its own, for this user and one key."""

    port: int
    ssh: str
    log: Path

    def source(self, directory: Path) -> str:
        return f"{getpass.getuser()}@127.0.0.1:{directory}"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    if SSHD is None or None in map(shutil.which, ("ssh", "ssh-keygen")):
        pytest.skip("no ssh server or no client of it (on Debian: apt-get install openssh-server openssh-client)")
    where = tmp_path_factory.mktemp("sshd")
    where.chmod(0o700)
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", where / name], check=True)
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (where / "config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {where}/host\nAuthorizedKeysFile {where}/user.pub\n"
        f"PidFile {where}/pid\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nMaxStartups 50\n"
    )
    log = where / "log"
    process = subprocess.Popen([SSHD, "-D", "-f", where / "config", "-E", log])
    ssh = (
        f"ssh -F none -p {port} -i {where}/user -o StrictHostKeyChecking=no -o UserKnownHostsFile={where}/known "
        "-o LogLevel=ERROR -o BatchMode=yes"
    )
    deadline = time.monotonic() + 90
    while subprocess.run([*ssh.split(), "127.0.0.1", "true"], capture_output=True, check=False).returncode:
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)
    yield Server(port, ssh, log)
    # Those of clients that were killed too.
    for session in psutil.Process(process.pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            session.kill()
    process.terminate()
    process.wait(60)


def test_crates_come_by_ssh_with_one_login(server: Server, source: CrateFactory, tmp_path: Path) -> None:
    before = server.log.read_text().count("Accepted")
    done = collect([server.source(source.directory)], tmp_path / "home", Options(ssh=server.ssh))
    assert len(done.new) == 6
    assert content(tmp_path / "home") == content(source.directory)
    assert server.log.read_text().count("Accepted") - before == 1


def test_what_cannot_be_reached_is_named_and_the_rest_is_collected(
    server: Server, source: CrateFactory, tmp_path: Path
) -> None:
    missing = server.source(tmp_path / "nowhere")
    refused = f"127.0.0.1:{source.directory}"
    options = Options(ssh=server.ssh)
    done = collect([missing, server.source(source.directory)], tmp_path / "home", options)
    assert len(done.new) == 6
    (problem,) = done.problems
    assert problem.where == missing
    assert "nowhere" in problem.message
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        ssh = server.ssh.replace(f"-p {server.port}", f"-p {closed.getsockname()[1]}")
        (problem,) = collect([refused], tmp_path / "other", Options(ssh=ssh)).problems
    assert "refused" in problem.message


@pytest.mark.slow
@pytest.mark.faults
@pytest.mark.parametrize("count", [1_000, pytest.param(10_000, marks=pytest.mark.long)])
def test_crates_come_home_though_the_collection_is_killed_twice(
    server: Server, programs: Programs, tmp_path: Path, count: int
) -> None:
    crates = CrateFactory(tmp_path / "crates")
    first = crates.add(0, sampled=True)
    for number in range(1, count):
        # as the writer makes them, but for the work: the same crate with another task's id in it
        copy = crates.directory / f"{task(number)}.crate"
        shutil.copytree(first, copy)
        metadata = copy / v.METADATA_FILE
        metadata.write_text(metadata.read_text().replace(task(0), task(number)))
    home = tmp_path / "home"
    command = [sys.executable, "-m", "prov_worker", "run", "collect", "--json", "--ssh", server.ssh]
    command += [server.source(crates.directory), str(home)]

    def start() -> subprocess.Popen[str]:
        return programs.start(command, stdout=subprocess.PIPE, text=True, start_new_session=True)

    def arrived() -> int:
        return len(list(home.glob("*.crate"))) if home.is_dir() else 0

    for at, whole_group in ((count * 15 // 100, True), (count * 55 // 100, False)):
        running = start()
        while arrived() < at:
            assert running.poll() is None, "it ended before it was killed"
            time.sleep(0.01)
        if whole_group:
            os.killpg(running.pid, signal.SIGKILL)
        else:
            running.kill()  # its rsync lives on for a moment
        running.communicate()
        half = arrived()
        assert at <= half < count
        for path in list(home.glob("*.crate"))[::50]:
            assert content(path) == content(crates.directory / path.name), "what is there is whole"
    last = start()
    result: dict[str, Any] = json.loads(last.communicate()[0])
    assert last.returncode == 0
    assert result["problems"] == []
    assert result["known"] == half
    assert len(result["new"]) == count - half
    assert content(home) == content(crates.directory)
    assert [path.name for path in home.iterdir() if not path.name.endswith(".crate")] == []


def test_bills_of_materials_come_with_their_crates(billed: Callable[..., CrateFactory], tmp_path: Path) -> None:
    source, target = tmp_path / "endpoints", tmp_path / "home"
    billed(source / "one", b"{}").add(1)
    billed(source / "two", b"[]").add(2)
    bills = {path.relative_to(source): path.read_bytes() for path in source.glob("*/.software/*")}
    false, foreign = source / "one/.software" / f"{'0' * 64}.cdx.json", source / "two/.software/notes.txt"
    false.write_bytes(b"{}")
    foreign.write_bytes(b"x")
    done = collect([str(source)], target)
    assert (len(done.new), done.software) == (2, 2)
    assert [problem.message for problem in done.problems] == [
        "did not come, or is not what its name says; nothing of it was kept"
    ]
    assert {path.relative_to(target): path.read_bytes() for path in target.rglob("*.cdx.json")} == bills
    false.unlink()
    again = collect([str(source)], target)
    assert (again.new, again.known, again.software, again.problems) == ([], 2, 0, [])


def test_a_bill_is_not_put_where_a_link_leads(billed: Callable[..., CrateFactory], tmp_path: Path) -> None:
    billed(tmp_path / "there", b"{}").add(1)
    target, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    elsewhere.mkdir()
    target.mkdir()
    (target / ".software").symlink_to(elsewhere)
    done = collect([str(tmp_path / "there")], target)
    assert (len(done.new), done.software) == (1, 0)
    assert "leads elsewhere by a link" in done.problems[0].message
    assert list(elsewhere.iterdir()) == []
