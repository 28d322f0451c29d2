"""Two users of one machine, with accounts of their own, who share a crate directory."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.accounts import ALICE, MALLORY, PYTHON, Place, User, place_of, product_image
from support.crate_dir import wait_until
from support.marks import WORKER_IMAGE
from support.programs import Programs
from support.pseudo_terminal import PseudoTerminal

pytestmark = [pytest.mark.timeout(600), *WORKER_IMAGE, pytest.mark.root]  # the first limit holds

TASK = "7a171870-b038-4174-84e1-29cdcc42f72c"
STEP = """
import sys, prov_worker
@prov_worker.step
def work(paths):
    prov_worker.annotate(by="alice")
    for path in paths:
        prov_worker.used(path)
    return len(paths)
print(work(sys.argv[1:]))
"""
LONG_STEP = """
import time, prov_worker
@prov_worker.step
def prepare():
    time.sleep(0.3)
@prov_worker.step
def simulate(seconds):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        sum(range(1000))
prepare()
simulate(600)
"""
#: Leaves what another node would have left that was lost while two tasks ran, and has the agent here hang.
FAULTS = """
import json, os, signal, sys, time
from prov_worker.spool.live import live_files, read_live, write_live
from prov_worker.spool.paths import runtime_dir

(path,) = live_files(sys.argv[1])
lost = read_live(path) | {"host": "nid002", "place": "0" * 12, "written": time.time() - 300, "workers": 2, "ended": []}
task = lost["tasks"][0]
lost["tasks"] = [task | {"task": task["task"][::-1], "pid": 4711}, task | {"task": "0" * 8 + task["task"], "pid": 4712}]
write_live(os.path.join(os.path.dirname(path), f"nid002~{'0' * 12}.live"), lost)
about = json.load(open(os.path.join(runtime_dir(sys.argv[1]), "agent.json")))
for key in ("pid", "finaliser"):
    os.kill(about[key], signal.SIGSTOP)
"""


def step(user: User, crates: Path, *paths: str) -> subprocess.CompletedProcess[str]:
    """Let a user run a step, which has its source in a file."""
    settings = {"PROV_WORKER": "1", "PROV_WORKER_CRATE_DIR": str(crates), "PROV_WORKER_PLOTS": "none"}
    user.shell(f"cat >{user.home}/work.py <<'END'{STEP}END", crates)
    return user.run(PYTHON, user.home / "work.py", *paths, **settings)


def recover(user: User, crates: Path) -> subprocess.CompletedProcess[str]:
    return user.run("prov-worker", "recover", crates, "--take-over")


@pytest.fixture(scope="module")
def worker() -> str:
    return product_image("worker")


@pytest.fixture
def place(worker: str) -> Iterator[Place]:
    with place_of(worker) as started:
        yield started


@pytest.fixture
def alice(place: Place) -> User:
    return place.user(ALICE, "alice")


@pytest.fixture
def mallory(place: Place) -> User:
    return place.user(MALLORY, "mallory")


@pytest.fixture
def crates(place: Place) -> Path:
    """Both may write there, and neither may take away what is the other's."""
    directory = place.directory / "crates"
    directory.mkdir()
    directory.chmod(0o1777)
    return directory


def published(crates: Path) -> list[Path]:
    return sorted(crates.glob("*.crate/ro-crate-metadata.json"))


def journal_lines(task: str = TASK) -> str:
    start = {"t": "start", "task": task, "n": 1, "ns": 1795908732630398704, "k": 1, "args": []}
    lines = [
        {"t": "worker", "v": 1, "host": "node1", "pid": 4194000, "settings": {"plots": "none"}},
        {"t": "function", "k": 1, "name": "launch_missiles"},
        start,
        {**start, "t": "end", "m": 5, "dur": 1_000_000, "ok": 1, "u": []},
    ]
    return "".join(json.dumps(line) + "\n" for line in lines)


def forge(person: User, journal: Path) -> None:
    draft = person.home / "journal"
    draft.write_text(journal_lines())
    draft.chmod(0o644)
    os.chown(draft, person.uid, person.uid)
    person.shell(
        f"mkdir -p -m 0700 {journal.parent}; cp {draft} {journal}; touch -d '1 hour ago' {journal}", journal.parents[1]
    )


@pytest.mark.parametrize("first", ["directories", "links"])
def test_what_somebody_else_put_there_first_is_not_used(crates: Path, alice: User, mallory: User, first: str) -> None:
    """Journals would be the other's to read and remove, or be written wherever a link leads."""
    secret = alice.home / "secret"
    secret.mkdir(mode=0o700)
    os.chown(secret, ALICE, ALICE)
    for name in (".spool", f".spool-{ALICE}"):
        mallory.shell(f"mkdir -m 0777 {name}" if first == "directories" else f"ln -s {secret} {name}", crates)
    done = step(alice, crates)
    assert done.stdout == "0\n", done.stderr
    wait_until(lambda: published(crates), "the crate")
    assert [path.stat().st_uid for path in published(crates)] == [ALICE]
    assert list(secret.iterdir()) == []
    for name in (".spool", f".spool-{ALICE}"):
        assert list((crates / name).iterdir()) == []
    (own,) = [path for path in crates.glob(".spool*") if path.lstat().st_uid == ALICE]
    assert own.stat().st_mode & 0o777 == 0o700


def test_a_forged_journal_makes_no_crate_in_another_name(crates: Path, alice: User, mallory: User) -> None:
    mallory.shell("mkdir -m 0777 .spool", crates)
    forge(mallory, crates / ".spool" / "node1-4194000-12345.jsonl")
    (crates / ".spool").chmod(0o777)
    step(alice, crates)
    wait_until(lambda: published(crates), "the crate")
    done = recover(alice, crates)
    assert f"the spool of user {MALLORY}, for that user to recover" in done.stdout + done.stderr
    assert len(published(crates)) == 1
    assert not (crates / f"{TASK}.crate").exists()


def test_root_finishes_no_records_of_a_user(crates: Path, alice: User) -> None:
    forge(alice, crates / ".spool" / "node1-4194000-12345.jsonl")
    refused = recover(User(0, alice.home, alice.container), crates)
    assert (refused.returncode, "run `prov-worker recover` as that user" in refused.stderr) == (2, True), refused.stderr
    assert published(crates) == []
    assert recover(alice, crates).returncode == 0
    assert [path.stat().st_uid for path in published(crates)] == [ALICE]


@pytest.mark.long
def test_a_fifo_in_the_place_of_a_crate_stops_nobody(crates: Path, alice: User, mallory: User) -> None:
    mallory.shell(f"mkdir -m 0755 {TASK}.crate; mkfifo -m 0666 {TASK}.crate/ro-crate-metadata.json", crates)
    forge(alice, crates / ".spool" / "node1-4194000-12345.jsonl")
    done = recover(alice, crates)
    assert done.returncode in (0, 1), done.stderr
    kept = list((crates / ".spool").glob("*.jsonl"))
    others = [path for path in crates.glob("*.crate") if path.stat().st_uid == ALICE]
    assert kept or others, "the record is kept, or has a crate under another name"


def test_a_journal_that_cannot_be_read_is_named_and_kept(crates: Path, alice: User) -> None:
    journal = crates / ".spool" / "node1-4194000-12345.jsonl"
    forge(alice, journal)
    journal.chmod(0)
    done = recover(alice, crates)
    assert (done.returncode, "cannot be read" in done.stdout + done.stderr) == (1, True), done.stderr
    assert journal.exists()
    journal.chmod(0o600)
    assert recover(alice, crates).returncode == 0
    assert [path.parent.name for path in published(crates)] == [f"{TASK}.crate"]


def test_files_that_a_task_names_do_not_hold_its_crate_up(crates: Path, alice: User, mallory: User) -> None:
    """Files without end, another user's private one, and one that is a FIFO."""
    mallory.shell("mkfifo -m 0666 pipe; echo private >note; chmod 0600 note", crates)
    done = step(alice, crates, "/proc/self/pagemap", "/dev/zero", str(crates / "pipe"), str(crates / "note"))
    assert done.stdout == "4\n", done.stderr
    wait_until(lambda: published(crates), "the crate")
    graph = json.loads(published(crates)[0].read_text())["@graph"]
    assert not [
        entity for entity in graph if "sha256" in entity and str(entity.get("name", "")).endswith(("note", "pipe"))
    ]


@pytest.mark.long
def test_each_sees_what_runs_of_their_own_also_if_agents_hang_or_are_gone(
    crates: Path, alice: User, mallory: User, programs: Programs
) -> None:
    settings = {"PROV_WORKER": "1", "PROV_WORKER_CRATE_DIR": str(crates), "PROV_WORKER_PLOTS": "none"}
    alice.shell(f"cat >{alice.home}/work.py <<'END'{LONG_STEP}END", crates)
    programs.start(alice.command(PYTHON, alice.home / "work.py", **settings))
    wait_until(lambda: "simulate" in "".join(map(Path.read_text, crates.glob(".spool*/*.live"))), "a live file")
    wait_until(lambda: published(crates), "the first crate")
    done = alice.run(PYTHON, "-c", FAULTS, crates)
    assert done.returncode == 0, done.stderr
    own = PseudoTerminal(alice.command("prov-worker", "top", crates, terminal=True), columns=120, rows=18)
    others = PseudoTerminal(mallory.command("prov-worker", "top", crates, terminal=True), columns=120, rows=18)
    try:
        lines = own.wait_until(lambda lines: any("nid002" in line for line in lines), "the node that is gone")
        text = "\n".join(lines)
        assert "2 nodes · 3 running" in text
        assert "2 without a sign" in text
        assert "the agent of this node does not answer" in text
        assert sum(" simulate " in line for line in lines) == 3, text
        seen = others.wait_until(lambda lines: any("is of user" in line for line in lines), "whose tasks these are")
        assert f"is of user {ALICE}, whose tasks only that user is shown" in "\n".join(seen)
        assert "simulate" not in "".join(seen)
    finally:
        own.close()
        others.close()
