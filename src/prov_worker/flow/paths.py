"""Paths into the state of a run: ``$.input.source.id``, ``$.fit.details.results[0]``, ``$['a b']``.

A part that is not known in advance – a wildcard, a slice, a filter, ``..`` – ends what is known of a path
(https://goessner.net/articles/JsonPath/, which Flows' documentation names).
"""

from __future__ import annotations

import re
from typing import NamedTuple

from prov_worker.flow.source import Steps

_STEP = re.compile(
    r"""\.(?P<name>[^\s.\[\]'"*()?@$]+) | \[(?P<index>-?\d+)\] | \['(?P<single>(?:[^'\\]|\\.)*)'\]"""
    r"""| \["(?P<double>(?:[^"\\]|\\.)*)"\]""",
    re.VERBOSE,
)
_OPEN = re.compile(r"\.\.|\.?\*|\[[^\]]*\]")
_ESCAPE = re.compile(r"\\(.)")


class Path(NamedTuple):
    """A path that was parsed.

    Attributes:
        steps: keys and indices, as far as they are known.
        whole: whether the path ends with them.
    """

    steps: Steps
    whole: bool


def parse(text: str) -> Path | None:
    """Return the parts of a path; None if it is not a path."""
    if not text.startswith("$"):
        return None
    steps: list[str | int] = []
    position = 1
    while position < len(text):
        match = _STEP.match(text, position)
        if match is None:
            return Path(tuple(steps), False) if _OPEN.match(text, position) else None
        if match["name"] is not None:
            steps.append(match["name"])
        elif match["index"] is not None:
            steps.append(int(match["index"]))
        else:
            steps.append(_ESCAPE.sub(r"\1", match["single"] if match["single"] is not None else match["double"]))
        position = match.end()
    return Path(tuple(steps), True)


def parse_reference(text: str) -> Steps | None:
    """Return the steps of a path that a result is written to; None if it is none.

    Only names and indices may stand in it: the States Language's "Reference Path"
    (https://states-language.net/spec.html#ref-paths).
    """
    path = parse(text)
    return path.steps if path is not None and path.whole else None
