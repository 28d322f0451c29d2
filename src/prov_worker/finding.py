"""What a check of a host or of an endpoint finds."""

from __future__ import annotations

from typing import NamedTuple

PASS, WARN, FAIL, SKIPPED = "pass", "warn", "fail", "skipped"


class Finding(NamedTuple):
    """One line of a preflight or of a diagnosis.

    Attributes:
        subject: what was looked at.
        status: ``pass``, ``warn`` (may work, or cannot be seen from here), ``fail`` (will not work) or ``skipped`` (was
            not looked at).
        found: what is there.
        remedy: what to do about it; empty if nothing is to be done.
    """

    subject: str
    status: str
    found: str
    remedy: str = ""


def passed(subject: str, observation: str) -> Finding:
    """Return a line about something that is as it should be."""
    return Finding(subject, PASS, observation)


def warned(subject: str, observation: str, remedy: str) -> Finding:
    """Return a line about something that may go wrong, or that cannot be seen from here."""
    return Finding(subject, WARN, observation, remedy)


def failed(subject: str, observation: str, remedy: str) -> Finding:
    """Return a line about something that will go wrong."""
    return Finding(subject, FAIL, observation, remedy)


def skipped(subject: str, observation: str, remedy: str = "") -> Finding:
    """Return a line about something that was not looked at, and why."""
    return Finding(subject, SKIPPED, observation, remedy)
