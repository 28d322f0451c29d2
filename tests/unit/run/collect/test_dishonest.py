"""Crates from a machine that is not an honest one: it can make its own crates wrong, and nothing else."""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
from pathlib import Path

import pytest

from prov_worker.crate import vocabulary as v
from prov_worker.crate.sources import find_crates
from prov_worker.errors import InputError
from prov_worker.run.collect import bounded, remote
from prov_worker.run.collect.remote import Place
from prov_worker.run.collect.rsync import Collected, Options, collect
from prov_worker.run.collect.transfer import damaged
from prov_worker.testing import CrateFactory
from prov_worker.testing import task_id as task

pytestmark = pytest.mark.skipif(shutil.which("rsync") is None, reason="no rsync (on Debian: apt-get install rsync)")

NAME = f"{task(1)}.crate"


def state(*directories: Path) -> dict[str, str]:
    """Everything in directories: kind, and content or aim."""
    entries = {}
    for path in (path for directory in directories for path in sorted(directory.rglob("*"))):
        if path.is_symlink():
            entries[str(path)] = f"-> {os.readlink(path)}"
        else:
            entries[str(path)] = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "directory"
    return entries


def metadata_sha256(crate: Path) -> str:
    return hashlib.sha256((crate / v.METADATA_FILE).read_bytes()).hexdigest()


@pytest.fixture
def there(crates: CrateFactory) -> Path:
    """Crates of the other machine."""
    for number in (1, 2):
        crates.add(number)
    return crates.directory


def collect_listing(there: Path, home: Path, lines: list[str]) -> Collected:
    """Collect from a machine that answers the first question with these lines, and all others by its programs."""
    ssh = home.parent / "dishonest"
    (home.parent / "listing").write_text("".join(f"{line}\n" for line in lines))
    ssh.write_text(
        f"#!/bin/sh\nshift\ncase $* in *maxdepth*) cat {shlex.quote(str(home.parent / 'listing'))} ;; "
        '*) exec sh -c "$*" ;; esac\n'
    )
    ssh.chmod(0o755)
    return collect([f"host:{there}"], home, Options(ssh=str(ssh)))


@pytest.mark.parametrize(
    "listed",
    [
        "/{archive}/" + NAME,
        "../archive/" + NAME,
        "./" + NAME,
        "a//" + NAME,
        "-x/" + NAME,
        "--delete.crate",
        "a/../" + NAME,
    ],
)
def test_a_name_that_was_not_asked_for_is_refused(there: Path, tmp_path: Path, listed: str) -> None:
    archive, home = tmp_path / "archive", tmp_path / "home"
    shutil.copytree(there / NAME, archive / NAME)
    home.mkdir()
    before = state(archive)
    name = listed.format(archive=str(archive).lstrip("/"))
    lines = [f"./{name}", f"{metadata_sha256(there / NAME)}  ./{name}/{v.METADATA_FILE}"]
    # another content under the name, and an attempt with the content that is there: reason to rename what is there
    lines += [f"{'0' * 64}  ./{name}/{v.METADATA_FILE}"]
    attempt = name.replace(".crate", ".attempt-1.crate")
    lines += [f"{metadata_sha256(there / NAME)}  ./{attempt}/{v.METADATA_FILE}"]
    lines += [f"{metadata_sha256(there / f'{task(2)}.crate')}  ./{task(2)}.crate/{v.METADATA_FILE}"]
    done = collect_listing(there, home, lines)
    assert {problem.message for problem in done.problems} == {"leads out of the directory; refused"}
    assert (done.new, done.known) == ([f"{task(2)}.crate"], 0), "the honest part is collected"
    assert state(archive) == before
    assert [path.name for path in home.iterdir()] == done.new


def test_links_in_the_destination_are_not_followed(there: Path, tmp_path: Path) -> None:
    archive, home = tmp_path / "archive", tmp_path / "home"
    shutil.copytree(there / NAME, archive / NAME)
    home.mkdir()
    (home / "site").symlink_to(archive)
    (home / NAME).symlink_to(archive / NAME)
    (home / f"{task(2)}.crate").mkdir()
    (home / f"{task(2)}.crate" / v.METADATA_FILE).symlink_to(there / f"{task(2)}.crate" / v.METADATA_FILE)
    before = state(archive, home)
    sha = metadata_sha256(there / NAME)
    lines = [f"{sha}  ./{name}/{v.METADATA_FILE}" for name in (f"site/{NAME}", f"site/{task(3)}.crate", NAME)]
    lines += [f"{metadata_sha256(there / f'{task(2)}.crate')}  ./{task(2)}.crate/{v.METADATA_FILE}"]
    done = collect_listing(there, home, lines)
    assert (done.new, done.known, len(done.problems)) == ([], 0, 4)
    assert state(archive, home) == before


def test_what_comes_must_be_what_was_listed(there: Path, tmp_path: Path) -> None:
    archive, home = tmp_path / "archive", tmp_path / "home"
    shutil.copytree(there / NAME, archive / NAME)
    before = state(archive)
    done = collect_listing(there, home, [f"{'0' * 64}  ./{NAME}/{v.METADATA_FILE}"])
    assert [problem.message for problem in done.problems] == ["changed while it was collected; collect again"]
    assert state(archive) == before
    assert list(home.iterdir()) == []


def test_an_answer_without_end_is_not_read_to_its_end(
    there: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "MAX_LISTING_BYTES", 1 << 20)
    ssh = tmp_path / "endless"
    ssh.write_text("#!/bin/sh\nexec yes ./x.crate\n")
    ssh.chmod(0o755)
    (problem,) = collect([f"host:{there}"], tmp_path / "home", Options(ssh=str(ssh))).problems
    assert problem.message == "its answer is longer than 1,048,576 bytes"


def test_messages_without_end_are_cut() -> None:
    done = bounded.run(["sh", "-c", "yes long | head -c 1000000 >&2; echo end >&2; cat"], b"given", 1000)
    assert (done.status, done.output) == (0, b"given")
    assert len(done.errors) <= 1 << 16
    assert done.errors.endswith(b"end\n")


def test_metadata_of_200_gb_is_not_read(there: Path, tmp_path: Path) -> None:
    huge = there / NAME / v.METADATA_FILE
    os.truncate(huge, 200 << 30)
    listing = Place.parse(str(there)).crates()
    assert listing.bare == [NAME]
    assert list(listing.crates) == [f"{task(2)}.crate"]


def test_the_staging_directory_is_no_link(there: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (tmp_path / "elsewhere").mkdir()
    (home / ".collect").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="not a directory of yours"):
        collect([str(there)], home)
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_what_a_transfer_brought_is_compared_without_following_links(there: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / Path(v.HARDWARE_FILE).name).write_text("secret")
    shutil.rmtree(there / NAME / v.DATA_DIR)
    (there / NAME / v.DATA_DIR).symlink_to(tmp_path / "secret")  # a link on the way to a file of the crate
    shutil.copytree(there / f"{task(2)}.crate", tmp_path / "archive" / "away.crate")
    (there / "away.crate").symlink_to(tmp_path / "archive" / "away.crate")
    count, problems = damaged(there)
    assert count == len(list(find_crates(there))) == 3
    assert sorted(Path(problem.where).name for problem in problems) == sorted([NAME, "away.crate"])
    assert not any(hashlib.sha256(b"secret").hexdigest() in problem.message for problem in problems)
