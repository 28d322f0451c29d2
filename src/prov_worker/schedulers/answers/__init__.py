"""What schedulers write, and what their programs answer: imported when asked for, and by no worker's start."""

from __future__ import annotations

from typing import NamedTuple


class JobWord(NamedTuple):
    """What a scheduler says of a job.

    Attributes:
        text: for people, with the job's id and the scheduler's own words.
        held: whether it waits to be released, and will not begin before.
        stuck: whether the scheduler itself holds it, as it could not be started: nobody will release it.
    """

    text: str
    held: bool = False
    stuck: bool = False
