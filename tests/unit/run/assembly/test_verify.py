from __future__ import annotations

import hashlib
import os
import random
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prov_worker.errors import InputError
from prov_worker.run.assembly.assemble import assemble
from prov_worker.run.assembly.model import Options
from prov_worker.run.assembly.seal import seal_text
from prov_worker.run.assembly.verify import verify

needs_ssh = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="needs ssh-keygen")


@pytest.fixture
def run(workflow_crates: Any, tmp_path: Path) -> Path:
    assemble([workflow_crates.directory], tmp_path / "RUN.crate", Options(copy=True))
    return tmp_path / "RUN.crate"


def kinds(run: Path, **options: Any) -> set[tuple[str, str]]:
    return {(change.kind, change.path) for change in verify(run, **options).changes}


def test_a_fresh_run_crate_is_as_sealed(run: Path) -> None:
    verdict = verify(run)
    assert verdict.changes == []
    assert verdict.files == sum(1 for path in run.rglob("*") if path.is_file()) - 3


def test_a_changed_byte_in_any_file_is_found(run: Path) -> None:
    rng = random.Random(6)
    for path in sorted(file for file in run.rglob("*") if file.is_file()):
        data = path.read_bytes()
        if not data:
            continue
        for at in {0, len(data) - 1, rng.randrange(len(data))}:
            changed = bytearray(data)
            changed[at] ^= 1 << rng.randrange(8)
            path.write_bytes(changed)
            assert verify(run).changes, f"byte {at} of {path}"
        path.write_bytes(data)
    assert verify(run).changes == []


def test_files_added_removed_and_exchanged_are_found(run: Path) -> None:
    crate = sorted((run / "steps").iterdir())[0]
    (crate / "more.txt").write_text("more")
    (run / "empty").mkdir()
    (crate / "data" / "hardware.json").unlink()
    (run / "README.md").unlink()
    (run / "README.md").symlink_to(crate / "more.txt")
    name = f"steps/{crate.name}"
    assert kinds(run) == {
        ("added", f"{name}/more.txt"),
        ("added", "empty"),
        ("removed", f"{name}/data/hardware.json"),
        ("changed", "README.md"),
    }


@pytest.mark.parametrize(
    "name", ["seal.txt", "manifest-sha256.txt", "ro-crate-metadata.json", "seal.txt.sig", "README.md"]
)
def test_a_pipe_in_a_file_s_place_is_not_waited_for(run: Path, name: str) -> None:
    (run / name).unlink(missing_ok=True)
    os.mkfifo(run / name)
    if name == "seal.txt":
        with pytest.raises(InputError, match="not a regular file"):
            verify(run)
    else:
        assert name in {change.path for change in verify(run).changes}


def test_what_may_not_be_read_is_named_and_the_rest_compared(run: Path) -> None:
    crate = sorted((run / "steps").iterdir())[0]
    (crate / "data").chmod(0)
    (run / "README.md").chmod(0)
    code = (
        "import sys; from pathlib import Path\n"
        "from prov_worker.run.assembly.verify import verify\n"
        "for one in verify(Path(sys.argv[1])).changes: print(one.kind, one.path)"
    )
    command = [sys.executable, "-c", code, str(run)]
    if os.geteuid() == 0:  # root reads everything, unless it lets that right go
        if shutil.which("setpriv") is None:
            pytest.skip("as root this needs setpriv (util-linux)")
        command = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *command]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    (crate / "data").chmod(0o755)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert f"unreadable steps/{crate.name}/data" in lines
    assert "unreadable README.md" in lines
    assert all(line.split()[1].startswith((f"steps/{crate.name}/data", "README.md")) for line in lines)


def test_a_removed_step_is_found(run: Path) -> None:
    crate = sorted((run / "steps").iterdir())[0]
    count = sum(1 for path in crate.rglob("*") if path.is_file())
    shutil.rmtree(crate)
    assert len(verify(run).changes) == count


@pytest.mark.parametrize("name", ["ro-crate-metadata.json", "manifest-sha256.txt"])
def test_a_missing_file_of_the_seal_is_found(run: Path, name: str) -> None:
    (run / name).unlink()
    assert ("removed", name) in kinds(run)


def test_without_a_seal_it_is_no_run_crate(run: Path) -> None:
    (run / "seal.txt").unlink()
    with pytest.raises(InputError, match="seal.txt is missing"):
        verify(run)
    with pytest.raises(InputError):
        verify(run / "nothing")


def reseal(run: Path) -> None:
    """Seal a changed run crate again, as anybody can who may write it."""
    names = ("ro-crate-metadata.json", "manifest-sha256.txt")
    digests = [hashlib.sha256((run / name).read_bytes()).hexdigest() for name in names]
    (run / "seal.txt").write_text(seal_text(*digests))


def lines(text: bytes) -> list[bytes]:
    return text.splitlines(keepends=True)


@pytest.mark.parametrize(
    "weaken",
    [
        lambda seal: b"",
        lambda seal: b"\n",
        lambda seal: b"zzz ../../../etc/passwd",
        lambda seal: b"zzz ../../../etc/passwd\n",
        lambda seal: random.Random(3).randbytes(100),
        lambda seal: seal[:100],
        lambda seal: seal[:-1],
        lambda seal: lines(seal)[0],
        lambda seal: b"".join(lines(seal)[1:]),
        lambda seal: b"".join(lines(seal)[:2]),
        lambda seal: lines(seal)[0] + lines(seal)[2],
        lambda seal: seal + lines(seal)[2],
        lambda seal: seal + b"\n",
        lambda seal: lines(seal)[0] + b"".join(lines(seal)[:0:-1]),
        lambda seal: seal.replace(b"\n", b"\r\n"),
        lambda seal: lines(seal)[0] + b"".join(line[:64].upper() + line[64:] for line in lines(seal)[1:]),
        lambda seal: lines(seal)[0] + b"".join(line[:40] + line[64:] for line in lines(seal)[1:]),
        lambda seal: lines(seal)[0] + b"".join(line[:64] + line[:64] + line[64:] for line in lines(seal)[1:]),
        lambda seal: lines(seal)[0] + b"".join(line.replace(b"  ", b" *") for line in lines(seal)[1:]),
        lambda seal: lines(seal)[0] + b"".join(line.replace(b"  ", b"  ./") for line in lines(seal)[1:]),
        lambda seal: seal.replace(b"version 1", b"version 0"),
        lambda seal: b"\xef\xbb\xbf" + seal,
        lambda seal: seal + b" " * 5000,
        lambda seal: seal.replace(lines(seal)[1], b"d" * 40 + b"  README.md\n"),
    ],
)
def test_a_weakened_seal_hides_nothing(weaken: Callable[[bytes], bytes], run: Path, tmp_path: Path) -> None:
    seal = (run / "seal.txt").read_bytes()
    weakened = weaken(seal)
    assert weakened != seal
    (run / "seal.txt").write_bytes(weakened)
    assert kinds(run) == {("changed", "seal.txt")}
    # Now with what somebody would hide: a changed file, and the manifest as if it had been so.
    readme, manifest = run / "README.md", run / "manifest-sha256.txt"
    before = hashlib.sha256(readme.read_bytes()).hexdigest()
    readme.write_text("something else\n")
    manifest.write_text(manifest.read_text().replace(before, hashlib.sha256(readme.read_bytes()).hexdigest()))
    assert ("changed", "seal.txt") in kinds(run)
    with zipfile.ZipFile(tmp_path / "R.zip", "w") as archive:
        for path in run.rglob("*"):
            archive.write(path, path.relative_to(run))
    assert ("changed", "seal.txt") in kinds(tmp_path / "R.zip")


def test_a_manifest_that_can_be_read_in_two_ways_is_none(run: Path) -> None:
    manifest = run / "manifest-sha256.txt"
    whole = manifest.read_text()
    (line,) = (line for line in whole.splitlines(keepends=True) if line.endswith("  README.md\n"))
    for changed in (whole + line, f"{'0' * 64}  README.md\n" + whole, whole + "0" * 64 + "  seal.txt\n"):
        manifest.write_text(changed)
        reseal(run)
        assert kinds(run) - {("changed", "README.md")} in ({("changed", manifest.name)}, {("removed", "seal.txt")})
    for changed in (whole.upper(), whole.replace("\n", "\r\n"), whole[:-1], whole.replace("  ", " *")):
        manifest.write_bytes(changed.encode())
        reseal(run)
        assert ("changed", manifest.name) in kinds(run) or ("added", "README.md") in kinds(run)


def test_a_name_that_is_no_text_is_not_taken_for_one_that_was_sealed(run: Path) -> None:
    (run / "a\\udcff").write_text("x")
    manifest = run / "manifest-sha256.txt"
    manifest.write_text(manifest.read_text() + f"{hashlib.sha256(b'x').hexdigest()}  a\\udcff\n")
    reseal(run)
    assert verify(run).changes == []
    os.rename(run / "a\\udcff", run / "a\udcff")
    assert {kind for kind, _ in kinds(run)} == {"added", "removed"}


def test_without_a_signature_anybody_can_seal_it_again(run: Path) -> None:
    """What a seal cannot tell; the documentation says so."""
    manifest, readme = run / "manifest-sha256.txt", run / "README.md"
    before = hashlib.sha256(readme.read_bytes()).hexdigest()
    readme.write_text("something else\n")
    manifest.write_text(manifest.read_text().replace(before, hashlib.sha256(readme.read_bytes()).hexdigest()))
    reseal(run)
    assert verify(run).changes == []
    page = (Path(__file__).parents[4] / "docs" / "runs.md").read_text()
    assert "can seal it again" in " ".join(page.split())


def test_a_list_of_signers_that_is_not_there_is_named(run: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="signers: no such list"):
        verify(run, tmp_path / "signers")


def test_sha256sum_agrees(run: Path) -> None:
    if shutil.which("sha256sum") is None:
        pytest.skip("needs sha256sum")
    command = ["sha256sum", "--check", "--quiet", "seal.txt", "manifest-sha256.txt"]
    done = subprocess.run(command, cwd=run, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_zip_with_a_changed_added_and_removed_member(workflow_crates: Any, tmp_path: Path) -> None:
    assemble([workflow_crates.directory], tmp_path / "R.zip", Options(zip=True))
    with zipfile.ZipFile(tmp_path / "R.zip") as before, zipfile.ZipFile(tmp_path / "changed.zip", "w") as after:
        for name in before.namelist():
            if name == "README.md":
                after.writestr(name, "something else")
            elif name != "links.jsonl":
                after.writestr(name, before.read(name))
        after.writestr("added.txt", "x")
    assert kinds(tmp_path / "changed.zip") == {
        ("changed", "README.md"),
        ("removed", "links.jsonl"),
        ("added", "added.txt"),
    }


def test_a_directory_in_a_zip_hides_nothing(run: Path, tmp_path: Path) -> None:
    def pack(*more: tuple[str, bytes]) -> Path:
        with zipfile.ZipFile(tmp_path / "R.zip", "w") as archive:
            for path in run.rglob("*"):  # with members for directories, as other programs make them
                archive.write(path, path.relative_to(run))
            for name, data in more:
                archive.writestr(zipfile.ZipInfo(name), data)
        return tmp_path / "R.zip"

    assert kinds(pack()) == set()
    assert kinds(pack(("empty/", b""))) == {("added", "empty")}
    assert kinds(pack(("hidden/", b"payload"))) == {("added", "hidden/")}


def test_a_changed_byte_anywhere_in_a_zip_is_found(workflow_crates: Any, tmp_path: Path) -> None:
    zipped = tmp_path / "R.zip"
    assemble([workflow_crates.directory], zipped, Options(zip=True))
    assert verify(zipped).changes == []
    data, rng = zipped.read_bytes(), random.Random(6)
    ends = [*range(64), *range(len(data) - 200, len(data))]
    for at in (*ends, *(rng.randrange(len(data)) for _ in range(400))):
        changed = bytearray(data)
        changed[at] ^= 1 << rng.randrange(8)
        zipped.write_bytes(changed)
        try:
            difference = bool(verify(zipped).changes)
        except InputError:
            difference = True
        assert difference, f"byte {at} of {len(data)}"
    for changed in (b"x" + data, data + b"x", data + bytes(1000)):
        zipped.write_bytes(changed)
        assert [change.path for change in verify(zipped).changes] == ["R.zip"]


def test_a_zip_of_an_unknown_version_is_refused(workflow_crates: Any, tmp_path: Path) -> None:
    zipped = tmp_path / "R.zip"
    assemble([workflow_crates.directory], zipped, Options(zip=True))
    data = bytearray(zipped.read_bytes())
    data[data.rindex(b"PK\1\2") + 6] = 148  # of its directory: 14.8
    zipped.write_bytes(data)
    with pytest.raises(InputError, match=r"R\.zip: not a readable zip file: zip file version 14\.8"):
        verify(zipped)


@pytest.fixture
def keys(tmp_path: Path) -> Callable[[str], Path]:
    def make(name: str) -> Path:
        path = tmp_path / name
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(path)], check=True)
        return path

    return make


def allow(path: Path, principal: str, key: Path) -> Path:
    path.write_text(f"{principal} {key.with_suffix('.pub').read_text()}")
    return path


@needs_ssh
def test_a_signature_by_an_allowed_signer(workflow_crates: Any, keys: Callable[[str], Path], tmp_path: Path) -> None:
    key, other = keys("alice"), keys("mallory")
    run = tmp_path / "R.crate"
    assert assemble([workflow_crates.directory], run, Options(sign=key)).signed
    signers = allow(tmp_path / "signers", "alice@example.org", key)
    verdict = verify(run, signers)
    assert (verdict.changes, verdict.signer, verdict.trusted) == ([], "alice@example.org", True)
    verdict = verify(run)
    assert (verdict.changes, verdict.trusted) == ([], False)
    assert (verdict.signer or "").startswith("SHA256:")
    strangers = allow(tmp_path / "strangers", "mallory@example.org", other)
    assert kinds(run, allowed_signers=strangers) == {("signature", "seal.txt.sig")}


@needs_ssh
def test_a_crate_sealed_anew_by_another_does_not_keep_the_signature(
    workflow_crates: Any, keys: Callable[[str], Path], tmp_path: Path
) -> None:
    key = keys("alice")
    signers = allow(tmp_path / "signers", "alice@example.org", key)
    assemble([workflow_crates.directory], tmp_path / "good.crate", Options(sign=key))
    workflow_crates.add(9, "forged", offset_s=30)
    assemble([workflow_crates.directory], tmp_path / "bad.crate")
    assert kinds(tmp_path / "bad.crate", allowed_signers=signers) == {("signature", "seal.txt.sig")}
    shutil.copy(tmp_path / "good.crate/seal.txt.sig", tmp_path / "bad.crate")
    assert kinds(tmp_path / "bad.crate", allowed_signers=signers) == {("signature", "seal.txt.sig")}


@needs_ssh
def test_every_byte_of_a_signature_counts(workflow_crates: Any, keys: Callable[[str], Path], tmp_path: Path) -> None:
    run = tmp_path / "R.crate"
    key = keys("alice")
    assemble([workflow_crates.directory], run, Options(sign=key))
    signers = allow(tmp_path / "signers", "alice@example.org", key)
    path = run / "seal.txt.sig"
    data = path.read_bytes()
    for at in [*range(0, len(data), 29), len(data) - 1]:
        changed = bytearray(data)
        changed[at] ^= 1
        path.write_bytes(changed)
        assert verify(run).changes, f"byte {at}"
        assert verify(run, signers).changes, f"byte {at}"
