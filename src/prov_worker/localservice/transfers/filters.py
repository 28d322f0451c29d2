"""Filters and orders of Transfer's lists: ``type:TRANSFER/label:~run*`` and ``request_time DESC,label``.

Source: https://docs.globus.org/api/transfer/overview/ ("Filtering", "Ordering").
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from prov_worker.localservice.transfers.submission import bad

#: Fields of which a range is meant: ``from,to``, of which one may be missing.
_TIMES = ("last_modified", "request_time", "completion_time")
_OPERATORS = ("!~", "~", "!", "=")


def kept(documents: Iterable[Mapping[str, Any]], filters: Sequence[str]) -> list[Mapping[str, Any]]:
    """Return the documents that one of some filters lets pass; all if there is none.

    Raises:
        TransferError: 400: a filter is none.
    """
    parsed = [_clauses(text) for text in filters if text]
    return [
        document
        for document in documents
        if not parsed or any(all(_passes(document, *clause) for clause in clauses) for clauses in parsed)
    ]


def ordered(documents: list[Mapping[str, Any]], orders: str | None) -> list[Mapping[str, Any]]:
    """Return documents in an order of fields.

    Raises:
        TransferError: 400: a field is none.
    """
    for order in reversed([part for part in (orders or "").split(",") if part.strip()]):
        name, _, direction = order.strip().partition(" ")
        if any(name not in document for document in documents):
            raise bad(f"orderby: there is no field {name[:80]!r}")
        missing = [document for document in documents if document[name] is None]
        present = [document for document in documents if document[name] is not None]
        # Sorting is stable: the first field, which is sorted by last, counts most.
        present.sort(key=lambda document: document[name], reverse=direction.strip().upper() == "DESC")
        documents = [*present, *missing]
    return documents


def _clauses(text: str) -> list[tuple[str, list[str]]]:
    clauses = []
    for part in text.split("/"):
        name, colon, values = part.partition(":")
        if not colon:
            raise bad(f"filter: {part[:80]!r}: expected FIELD:VALUE")
        clauses.append((name, values.split(",")))
    return clauses


def _passes(document: Mapping[str, Any], name: str, values: list[str]) -> bool:
    if name not in document:
        raise bad(f"filter: there is no field {name[:80]!r}")
    value = document[name]
    if name in _TIMES:
        first, last = (values[0], values[1]) if len(values) > 1 else (values[0], "")
        text = _time(str(value or ""))
        return (not first or text >= _time(first)) and (not last or (bool(text) and text <= _time(last)))
    if isinstance(value, bool) or value is None:
        value = "" if value is None else str(int(value))
    if isinstance(value, int) and values[0][:1] in ("<", ">"):
        return _compared(value, values)
    positive: list[bool] = []
    negative: list[bool] = []
    for pattern in values:
        operator = next((sign for sign in _OPERATORS if pattern.startswith(sign)), "")
        matches = _matches(str(value), pattern[len(operator) :], exact="~" not in operator)
        (negative if "!" in operator else positive).append(matches)
    return not any(negative) and (not positive or any(positive))


def _compared(value: int, values: list[str]) -> bool:
    for text in values:
        sign, number = text[:1], text[1:].lstrip("=")
        if sign not in ("<", ">") or not number.isdecimal():
            raise bad(f"filter: {text[:80]!r}: expected <NUMBER or >NUMBER")
        bound, equal = int(number), text[1:2] == "="
        if not (value < bound if sign == "<" else value > bound) and not (equal and value == bound):
            return False
    return True


def _matches(value: str, pattern: str, *, exact: bool) -> bool:
    if exact:
        return value == pattern
    # Without regard to case, and with no character but the star that means another.
    escaped = "".join(f"[{character}]" if character in "?[" else character for character in pattern.lower())
    return fnmatch.fnmatchcase(value.lower(), escaped)


def _time(text: str) -> str:
    """Return a time as text that compares: all are written alike."""
    return text.strip().replace("T", " ").removesuffix("+00:00").removesuffix("Z")
