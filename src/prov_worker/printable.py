"""Text of tasks, crates and other machines as it may go to a terminal, a log or a spreadsheet."""

from __future__ import annotations

import logging
import re
import unicodedata
from typing import Any

#: Control and format characters, ends of lines and paragraphs.
_STEERING = ("Cc", "Cf", "Zl", "Zp")
#: A cell that begins with one of these is a formula to a spreadsheet: OWASP, "CSV Injection"; also in full width.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")


def plain(text: object) -> str:
    """Return text as it may go to a terminal: what would steer it, as an escape sequence does, is shown."""
    string = str(text)
    if string.isprintable():
        return string
    return "".join(
        character.encode("unicode_escape").decode()
        if unicodedata.category(character) in _STEERING and character not in "\n\t"
        else character
        for character in string
    )


def line(text: object) -> str:
    """Return text as :func:`plain` does, on one line: nothing in the names it holds passes for a line of ours."""
    return plain(text).replace("\n", "\\n").replace("\t", "\\t")


def cell(value: Any) -> Any:
    """Return a value as it may go into a spreadsheet: text is a :func:`line`, and one that would run is quoted.

    Other values are returned as they are.
    """
    if not isinstance(value, str):
        return value
    runs = value.lstrip(" ").startswith(_FORMULA) and _NUMBER.fullmatch(value) is None
    return f"'{line(value)}" if runs else line(value)


class LineFormatter(logging.Formatter):
    """Formats a record of a log as one line; of an exception each line is indented, and so is none of ours."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name of its base class
        """Return the line of a record, its exception left out."""
        return line(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802
        """Return an exception as indented lines."""
        return "  " + plain(super().formatException(ei)).replace("\n", "\n  ")


def is_text(name: str) -> bool:
    """Return whether a name has a form in UTF-8; those of files are bytes, and not always."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
