"""Two users of one machine, with accounts of their own, who share a crate directory."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.commands import run_program
from support.containers import LABEL, ROOT, docker, need_image
from support.crate_dir import wait_until
from support.marks import WORKER_IMAGE

pytestmark = [pytest.mark.timeout(600), *WORKER_IMAGE, pytest.mark.root]  # the first limit holds

ALICE, MALLORY = 61_001, 61_002
TASK = "7a171870-b038-4174-84e1-29cdcc42f72c"
PYTHON = "/opt/prov/bin/python"
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


@dataclass
class User:
    """One who has nothing but an account in the container, and a home."""

    uid: int
    home: Path
    container: str

    def run(self, *command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
        variables = {"HOME": str(self.home), "TMPDIR": str(self.home), **environment}
        options = [f"--env={name}={value}" for name, value in variables.items()]
        return run_program(
            *("docker", "exec", f"--user={self.uid}:{self.uid}", f"--workdir={self.home}", *options, self.container),
            *("timeout", "100", *command),
        )

    def shell(self, text: str, crates: Path) -> None:
        done = self.run("sh", "-ec", f"cd {crates}; {text}")
        assert done.returncode == 0, done.stderr

    def step(self, crates: Path, *paths: str) -> subprocess.CompletedProcess[str]:
        settings = {"PROV_WORKER": "1", "PROV_WORKER_CRATE_DIR": str(crates), "PROV_WORKER_PLOTS": "none"}
        # A step has its source in a file.
        self.shell(f"cat >{self.home}/work.py <<'END'{STEP}END", crates)
        return self.run(PYTHON, self.home / "work.py", *paths, **settings)

    def recover(self, crates: Path) -> subprocess.CompletedProcess[str]:
        return self.run("prov-worker", "recover", crates, "--take-over")


@pytest.fixture(scope="module")
def image() -> str:
    """The product's own image for workers, by its id: without a name it goes when Docker is tidied up."""
    need_image("debian:bookworm-slim")
    return docker("build", "--quiet", "--label", LABEL, "--target", "worker", str(ROOT)).strip()


@pytest.fixture
def place(image: str) -> Iterator[tuple[Path, str]]:
    """A directory that a container sees under its own name, and the container."""
    if os.geteuid() != 0:
        pytest.skip("needs root, who makes directories of other users")
    directory = Path(tempfile.mkdtemp(prefix="two-users-", dir="/tmp"))
    directory.chmod(0o755)
    options = [
        "--detach",
        "--rm",
        "--label",
        LABEL,
        "--network=none",
        "--user=0:0",
        f"--volume={directory}:{directory}",
    ]
    container = docker("run", *options, image, "sleep", "infinity").strip()
    yield directory, container
    docker("rm", "--force", container, check=False)
    shutil.rmtree(directory, ignore_errors=True)


def user(place: tuple[Path, str], uid: int, name: str) -> User:
    directory, container = place
    docker("exec", container, "useradd", f"--uid={uid}", f"--home-dir={directory / name}", name)
    home = directory / name
    home.mkdir(mode=0o700)
    os.chown(home, uid, uid)
    return User(uid, home, container)


@pytest.fixture
def alice(place: tuple[Path, str]) -> User:
    return user(place, ALICE, "alice")


@pytest.fixture
def mallory(place: tuple[Path, str]) -> User:
    return user(place, MALLORY, "mallory")


@pytest.fixture
def crates(place: tuple[Path, str]) -> Path:
    """Both may write there, and neither may take away what is the other's."""
    directory = place[0] / "crates"
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
    done = alice.step(crates)
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
    alice.step(crates)
    wait_until(lambda: published(crates), "the crate")
    done = alice.recover(crates)
    assert f"the spool of user {MALLORY}, for that user to recover" in done.stdout + done.stderr
    assert len(published(crates)) == 1
    assert not (crates / f"{TASK}.crate").exists()


def test_root_finishes_no_records_of_a_user(crates: Path, alice: User) -> None:
    forge(alice, crates / ".spool" / "node1-4194000-12345.jsonl")
    refused = User(0, alice.home, alice.container).recover(crates)
    assert (refused.returncode, "run `prov-worker recover` as that user" in refused.stderr) == (2, True), refused.stderr
    assert published(crates) == []
    assert alice.recover(crates).returncode == 0
    assert [path.stat().st_uid for path in published(crates)] == [ALICE]


@pytest.mark.long
def test_a_fifo_in_the_place_of_a_crate_stops_nobody(crates: Path, alice: User, mallory: User) -> None:
    mallory.shell(f"mkdir -m 0755 {TASK}.crate; mkfifo -m 0666 {TASK}.crate/ro-crate-metadata.json", crates)
    forge(alice, crates / ".spool" / "node1-4194000-12345.jsonl")
    done = alice.recover(crates)
    assert done.returncode in (0, 1), done.stderr
    kept = list((crates / ".spool").glob("*.jsonl"))
    others = [path for path in crates.glob("*.crate") if path.stat().st_uid == ALICE]
    assert kept or others, "the record is kept, or has a crate under another name"


def test_a_journal_that_cannot_be_read_is_named_and_kept(crates: Path, alice: User) -> None:
    journal = crates / ".spool" / "node1-4194000-12345.jsonl"
    forge(alice, journal)
    journal.chmod(0)
    done = alice.recover(crates)
    assert (done.returncode, "cannot be read" in done.stdout + done.stderr) == (1, True), done.stderr
    assert journal.exists()
    journal.chmod(0o600)
    assert alice.recover(crates).returncode == 0
    assert [path.parent.name for path in published(crates)] == [f"{TASK}.crate"]


def test_files_that_a_task_names_do_not_hold_its_crate_up(crates: Path, alice: User, mallory: User) -> None:
    """Files without end, another user's private one, and one that is a FIFO."""
    mallory.shell("mkfifo -m 0666 pipe; echo private >note; chmod 0600 note", crates)
    done = alice.step(crates, "/proc/self/pagemap", "/dev/zero", str(crates / "pipe"), str(crates / "note"))
    assert done.stdout == "4\n", done.stderr
    wait_until(lambda: published(crates), "the crate")
    graph = json.loads(published(crates)[0].read_text())["@graph"]
    assert not [
        entity for entity in graph if "sha256" in entity and str(entity.get("name", "")).endswith(("note", "pipe"))
    ]
