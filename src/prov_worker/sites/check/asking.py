"""Programs of the host that are asked, with a limit of time."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

LIMIT_S = 20.0
_MAX_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """What a program said.

    Attributes:
        status: its exit status; None where it was ended at the limit, or could not be started.
        output: what it wrote to standard output.
        errors: what it wrote to standard error, or why it did not run.
    """

    status: int | None
    output: str
    errors: str

    @property
    def told(self) -> str:
        """What it said about an error, as one line."""
        return " ".join((self.errors.strip() or self.output.strip() or f"exit status {self.status}").split())[-300:]


def there(program: str) -> str | None:
    """Path of a program; None where PATH has none of that name."""
    return shutil.which(program)


def ask(
    arguments: Sequence[str],
    *,
    limit_s: float = LIMIT_S,
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
) -> Answer:
    """Run a program to its end, or to the limit.

    It leads a process group, which is ended with it. What it says goes through files: a child that it leaves behind
    could hold a pipe open for ever.
    """
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:

        def text(file: IO[bytes]) -> str:
            file.seek(0)
            return file.read(_MAX_BYTES).decode("utf-8", "replace")

        try:
            process = subprocess.Popen(
                list(arguments),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                env=dict(environment) if environment is not None else None,
                cwd=directory,
                start_new_session=True,
            )
        except OSError as error:
            return Answer(None, "", f"{arguments[0]}: {error.strerror or error}")
        try:
            process.wait(limit_s)
        except subprocess.TimeoutExpired:
            return Answer(None, text(output), f"no answer within {limit_s:g} s")
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(5)
        return Answer(process.returncode, text(output), text(errors))
