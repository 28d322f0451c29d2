"""The seal of a run crate: a list of all files by sha256, two lines that seal the list, and a signature over these.

- ``manifest-sha256.txt``: one line per file, ``<sha256>  <path>``, sorted by path, as ``sha256sum -c`` reads it. Not in
  it are itself, ``ro-crate-metadata.json`` and the seal.
- ``seal.txt``: the hashes of these two, as ``sha256sum -c`` reads them, below a line that names the format.
- the comment of a zip: a hash of all bytes before it, so that a changed byte between the files is found too.
- ``seal.txt.sig``: optional, detached, made and checked by ``ssh-keygen -Y`` (ssh-keygen(1), PROTOCOL.sshsig).

Without a signature the seal shows that something changed, but not who changed it: whoever can write the files can seal
them again.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from prov_worker.crate import vocabulary as v
from prov_worker.errors import InputError, ProvWorkerError

NAMESPACE = "prov-worker-run"
#: Begin of a zip's comment, before the hex sha256 of all bytes before that.
ZIP_MARK = b"prov-worker run zip, sha256 of what is before: "
_HEX = 64
HEADER = "# prov-worker run seal, version 1"
#: Files that the manifest leaves out.
UNLISTED = frozenset((v.METADATA_FILE, v.MANIFEST_FILE, v.SEAL_FILE, v.SIGNATURE_FILE))
_SEAL = re.compile(
    rf"{re.escape(HEADER)}\n([0-9a-f]{{64}})  {re.escape(v.METADATA_FILE)}\n"
    rf"([0-9a-f]{{64}})  {re.escape(v.MANIFEST_FILE)}\n".encode()
)
_BEGIN, _END = "-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"
_COLUMNS = 70


class SigningError(ProvWorkerError):
    """``ssh-keygen`` refused to sign."""


def manifest_line(digest: str, path: str) -> str:
    """Return a line of the manifest."""
    return f"{digest}  {path}\n"


def seal_text(metadata_sha256: str, manifest_sha256: str) -> str:
    """Return content of ``seal.txt``."""
    lines = [manifest_line(metadata_sha256, v.METADATA_FILE), manifest_line(manifest_sha256, v.MANIFEST_FILE)]
    return f"{HEADER}\n" + "".join(lines)


def parse_seal(data: bytes) -> dict[str, str]:
    """Return sha256 of each of the two files that a seal names.

    Raises:
        ValueError: not byte for byte what :func:`seal_text` writes: a line less, more, twice, of another algorithm, in
            other letters or with other ends could be read in more than one way.
    """
    match = _SEAL.fullmatch(data)
    if match is None:
        raise ValueError(f"expected the header, {v.METADATA_FILE} and {v.MANIFEST_FILE}, a line each, and nothing else")
    return {v.METADATA_FILE: match[1].decode(), v.MANIFEST_FILE: match[2].decode()}


def seal_zip(path: Path) -> None:
    """Seal a zip whose comment is :data:`ZIP_MARK` and 64 bytes that are written now."""
    with path.open("r+b") as stream:
        digest = _digest_before(stream, os.fstat(stream.fileno()).st_size - _HEX)
        stream.write(digest.encode())


def zip_problem(path: Path, comment: bytes) -> str | None:
    """Return what is wrong with the bytes of a zip; None for one that is as sealed, or that another program has made.

    Args:
        path: the zip.
        comment: its comment.
    """
    with path.open("rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        stream.seek(max(size - _HEX - len(ZIP_MARK), 0))
        tail = stream.read()
        # A mark of which a byte was changed is still one.
        like = sum(byte == other for byte, other in zip(tail, ZIP_MARK, strict=False))
        if like <= len(ZIP_MARK) // 2 and not comment.startswith(ZIP_MARK):
            return None
        stream.seek(0)
        digest = _digest_before(stream, size - _HEX)
    if tail == ZIP_MARK + digest.encode():
        return None
    return f"bytes between its files are not as sealed: the sha256 is {digest}"


def _digest_before(stream: IO[bytes], end: int) -> str:
    digest, left = hashlib.sha256(), end
    while left > 0 and (block := stream.read(min(left, 1 << 20))):
        digest.update(block)
        left -= len(block)
    return digest.hexdigest()


def sign(crate: Path, key: Path) -> Path:
    """Sign ``seal.txt`` with a user's ssh key; ``ssh-keygen`` asks the agent or the terminal for a passphrase.

    Args:
        crate: directory of the run crate.
        key: private key, or public key whose private half an agent holds.

    Returns:
        Path of the signature.

    Raises:
        InputError: there is no such key.
        SigningError: ssh-keygen is missing or refused.
    """
    if not key.is_file():
        raise InputError(f"{key}: no such key")
    seal = crate / v.SEAL_FILE
    signature = crate / v.SIGNATURE_FILE
    signature.unlink(missing_ok=True)
    _keygen(["-Y", "sign", "-f", str(key), "-n", NAMESPACE, str(seal)])
    return signature


def _keygen(arguments: list[str], stdin: bytes | None = None) -> str:
    program = shutil.which("ssh-keygen")
    if program is None:
        raise SigningError("ssh-keygen was not found; signatures need OpenSSH 8.1 or later")
    done = subprocess.run([program, *arguments], input=stdin, capture_output=True, env={**os.environ, "LC_ALL": "C"})
    if done.returncode != 0:
        output = (done.stderr + done.stdout).decode("utf-8", "replace")
        lines = [line.strip() for line in output.splitlines() if line.strip()]
        raise SigningError(f"ssh-keygen: {lines[-1] if lines else f'exit status {done.returncode}'}")
    return done.stdout.decode("utf-8", "replace")


def check_signature(seal: bytes, signature: Path, allowed_signers: Path | None) -> tuple[str | None, str | None]:
    """Check a signature.

    Args:
        seal: content of ``seal.txt``.
        signature: file with the signature.
        allowed_signers: list of principals and their keys, as ssh-keygen(1) describes it; None checks only that the
            signature belongs to the seal, whoever made it.

    Returns:
        Who signed, and what is wrong; one of both is None. Without a list the first is the key's fingerprint.

    Raises:
        SigningError: ssh-keygen is missing.
        InputError: the list cannot be read.
    """
    if shutil.which("ssh-keygen") is None:
        raise SigningError("ssh-keygen was not found; signatures need OpenSSH 8.1 or later")
    if not _canonical(signature):
        return None, "not in the form that ssh-keygen writes"
    try:
        output = _keygen(["-Y", "check-novalidate", "-n", NAMESPACE, "-s", str(signature)], seal)
    except SigningError as error:
        return None, str(error)
    if allowed_signers is None:
        return output.strip().rpartition(" ")[2] or "unknown key", None
    if not allowed_signers.is_file():
        raise InputError(f"{allowed_signers}: no such file")
    try:
        principals = _keygen(["-Y", "find-principals", "-s", str(signature), "-f", str(allowed_signers)])
    except SigningError:
        return None, f"the key is not among the allowed signers in {allowed_signers}"
    problem = "no principal"
    for principal in principals.splitlines():
        try:
            _keygen(
                ["-Y", "verify", "-f", str(allowed_signers), "-I", principal, "-n", NAMESPACE, "-s", str(signature)],
                seal,
            )
        except SigningError as error:
            problem = str(error)
        else:
            return principal, None
    return None, problem


def _canonical(signature: Path) -> bool:
    """Return whether a signature is as ssh-keygen writes it: else some of its bytes could change unnoticed."""
    try:
        text = signature.read_bytes().decode("ascii")
        lines = text.splitlines()
        body = base64.b64decode("".join(lines[1:-1]), validate=True)
    except (OSError, ValueError):
        return False
    encoded = base64.b64encode(body).decode()
    wrapped = [encoded[at : at + _COLUMNS] for at in range(0, len(encoded), _COLUMNS)]
    return text == "\n".join([_BEGIN, *wrapped, _END]) + "\n"


def parse_manifest(lines: Iterable[str]) -> Iterable[tuple[str, str]]:
    """Yield path and sha256 of each line.

    Raises:
        ValueError: a line has another form.
    """
    for number, line in enumerate(lines, 1):
        digest, mark, path = line[:64], line[64:66], line[66:]
        if mark != "  " or not path.endswith("\n") or len(path) < 2 or not set(digest) <= set("0123456789abcdef"):
            raise ValueError(f"line {number}: expected a sha256, two spaces and a path")
        yield path[:-1], digest
