"""Run a program whose output comes from another machine: no more of it is kept than was agreed on."""

from __future__ import annotations

import os
import selectors
import subprocess
import tempfile
from collections.abc import Sequence
from typing import IO, NamedTuple

#: Messages at the end of a program's standard error that are kept.
_MESSAGE_BYTES = 64 << 10
_CHUNK_BYTES = 64 << 10


class Output(NamedTuple):
    """How a program ended.

    Attributes:
        status: its exit status; negative for a signal.
        output: its standard output.
        errors: the end of its standard error.
    """

    status: int
    output: bytes
    errors: bytes


class TooMuchError(Exception):
    """A program wrote more than was agreed on, and was ended."""


def run(command: Sequence[str], given: bytes, most_bytes: int) -> Output:
    """Run a program to its end.

    It stays in this terminal's session: ssh may ask for a password.

    Args:
        command: the program and its arguments.
        given: its standard input.
        most_bytes: of its standard output.

    Raises:
        OSError: it cannot be started.
        TooMuchError: it wrote more.
    """
    with tempfile.TemporaryFile() as file:
        file.write(given)
        file.seek(0)
        process = subprocess.Popen(command, stdin=file, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0)
    with process:
        try:
            output, errors = _read(process.stdout, process.stderr, most_bytes)
        except BaseException:
            process.kill()
            raise
    return Output(process.returncode, output, errors)


def _read(stdout: IO[bytes] | None, stderr: IO[bytes] | None, most_bytes: int) -> tuple[bytes, bytes]:
    output, errors = bytearray(), bytearray()
    with selectors.DefaultSelector() as selector:
        for stream, kept in ((stdout, output), (stderr, errors)):
            if stream is not None:
                selector.register(stream.fileno(), selectors.EVENT_READ, kept)
        while selector.get_map():
            for key, _ in selector.select():
                chunk = os.read(key.fd, _CHUNK_BYTES)
                if not chunk:
                    selector.unregister(key.fd)
                key.data.extend(chunk)
            if len(output) > most_bytes:
                raise TooMuchError
            del errors[:-_MESSAGE_BYTES]
    return bytes(output), bytes(errors)
