"""The two ways in which a probe has no data."""

from __future__ import annotations


class NoData(Exception):  # noqa: N818 - an answer, not an error: nothing of this kind is here
    """The hardware, or the program that tells of it, is not here. The message says which."""


class ProbeError(Exception):
    """It should be here but could not be read. The message says what went wrong, in one line."""
