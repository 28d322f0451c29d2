"""Errors that a person can repair, each with the exit code that a command ends with.

Everything raised here is shown as one line without a traceback. Code on a task's path raises none of it: there,
errors are counted and logged (see :mod:`prov_worker.recorder`).
"""

from __future__ import annotations

import os
from typing import Any


class ProvWorkerError(Exception):
    """Base of every error that is shown to a person as one line."""

    exit_code = 1


class InputError(ProvWorkerError):
    """Bad input: an option, a file or a directory that the person named.

    The message names the file and, if there is one, the key.
    """

    exit_code = 2


class MissingExtraError(InputError):
    """A package that an extra of prov-worker brings is not installed.

    Args:
        need: what needs which package, such as ``an index needs pyarrow``.
        extra: the extra that brings it.
        error: why it cannot be imported.
    """

    def __init__(self, need: str, extra: str, error: ImportError) -> None:
        super().__init__(f"{need} ({error}); install it with: pip install 'prov-worker[{extra}]'")


class SettingsError(InputError):
    """A setting with an unknown name, a wrong type or a value out of range.

    Args:
        key: where the setting stands, with its path, such as ``engine.provenance.poll_interval``.
        problem: what is wrong with it, without the key.
    """

    def __init__(self, key: str, problem: str) -> None:
        super().__init__(f"{key}: {problem}")
        self.key = key
        self.problem = problem


class BelowError(ValueError):
    """A value within an option's mapping is wrong.

    Args:
        key: of the value in the mapping.
        message: what is wrong with it.
    """

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


class CrateError(InputError):
    """A path that is not a step crate, or one whose metadata cannot be read.

    Args:
        where: path of the crate, or of its file.
        problem: what is wrong, without path and key.
        key: what is wrong in there: a key, an entity's id, a file of the crate; None for all of it.
    """

    def __init__(self, where: str | os.PathLike[str], problem: str, key: str | None = None) -> None:
        self.where = os.fspath(where)
        self.problem = problem
        self.key = key
        super().__init__(f"{self.where}: {self.reason}")

    @property
    def reason(self) -> str:
        """What is wrong, without the path."""
        return self.problem if self.key is None else f"{self.key}: {self.problem}"

    def within(self, outer: str) -> str:
        """Return what is wrong, with the path of the file below ``outer``, a crate or a directory."""
        return self.reason if self.where == outer else f"{self.where.removeprefix(f'{outer}/')}: {self.reason}"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.where, self.problem, self.key)


#: What odd content can provoke in code that reads it; a disk that is full, or a key that is pressed, is none of these.
ODD = (ArithmeticError, AttributeError, LookupError, MemoryError, RecursionError, TypeError, ValueError)


class blaming:  # noqa: N801 - read as a function; a class, as it is entered for each crate of many
    """Turn whatever odd content provokes into a CrateError that names the crate: one crate never stops the others.

    Args:
        where: path of the crate that is read in the block.

    Raises:
        CrateError: an error of the kinds that content can cause.
    """

    __slots__ = ("_where",)

    def __init__(self, where: str | os.PathLike[str]) -> None:
        self._where = where

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, ODD):
            text = " ".join(str(error).split())[:200]
            problem = f"cannot be taken: {type(error).__name__}{f': {text}' if text else ''}"
            raise CrateError(self._where, problem) from error


class SpoolError(InputError):
    """A spool directory, slot or journal that cannot be read."""
