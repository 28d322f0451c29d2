"""Errors that a person can mend, each with the exit code that a command ends with.

Everything raised here is shown as one line without a traceback. Code on a task's path raises none of it: there,
errors are counted and logged (see :mod:`prov_worker.recorder`).
"""

from __future__ import annotations


class ProvWorkerError(Exception):
    """Base of every error that is shown to a person as one line."""

    exit_code = 1


class InputError(ProvWorkerError):
    """Bad input: an option, a file or a directory that the person named.

    The message names the file and, where there is one, the key.
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


class CrateError(InputError):
    """A path that is no step crate, or one whose metadata cannot be read."""


class SpoolError(InputError):
    """A spool directory, slot or journal that cannot be read."""
