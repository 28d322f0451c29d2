"""Run a program of the host to its end, within a limit of time."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path
    from typing import IO

LIMIT_S = 20.0
_MAX_BYTES = 8 * 1024 * 1024


class Result(NamedTuple):
    """How a program ended, and what it wrote.

    Attributes:
        status: its exit status; None if it was ended at the limit, or could not be started.
        output: what it wrote to standard output.
        errors: what it wrote to standard error, or why it did not run.
    """

    status: int | None
    output: str
    errors: str

    @property
    def message(self) -> str:
        """What it wrote about an error, as one line."""
        return " ".join((self.errors.strip() or self.output.strip() or f"exit status {self.status}").split())[-300:]


def find(name: str, path: str | None = None) -> str | None:
    """Return the path of a program; None if there is none of that name.

    Args:
        name: of the program.
        path: directories to look in, as in PATH; None takes those of PATH.
    """
    import shutil

    return shutil.which(name, path=path)


def run(
    arguments: Sequence[str],
    *,
    limit_s: float = LIMIT_S,
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
) -> Result:
    """Run a program to its end, or to the limit.

    It leads a process group, which is ended with it. Its output goes through files: a child that it leaves behind could
    hold a pipe open for ever.
    """
    # Imported here: workers import this module, and run no programs.
    import contextlib
    import signal
    import subprocess
    import tempfile

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
            return Result(None, "", f"{arguments[0]}: {error.strerror or error}")
        try:
            process.wait(limit_s)
        except subprocess.TimeoutExpired:
            return Result(None, text(output), f"no answer within {limit_s:g} s")
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(5)
        return Result(process.returncode, text(output), text(errors))
