"""One property of one entity of a metadata document that may have gigabytes, whatever the order of its entities."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

_CHUNK = 1 << 16
#: Characters that are read at most: what stands farther behind is not found.
_MOST = 256 << 20
_SPACE = re.compile(r"[ \t\r\n]*")


def property_of(document: Path, identifier: str, key: str) -> Any:
    """Return the value of a property, reading no more of the document than it takes.

    Args:
        document: the metadata file.
        identifier: ``@id`` of the entity.
        key: the property, other than ``@id``.

    Returns:
        None if there is no such entity or property, or the document cannot be read so far.
    """
    try:
        with open(document, encoding="utf-8-sig") as stream:
            for entity in _entities(_Scanner(stream)):
                seen: dict[str, Any] = {}
                for name, scanner in entity:
                    value = scanner.value()
                    if name in ("@id", key):
                        seen[name] = value
                    if seen.get("@id") == identifier and key in seen:
                        return seen[key]
                if seen.get("@id") == identifier:
                    return None
    except (OSError, ValueError, RecursionError):
        pass
    return None


class _Scanner:
    """Takes JSON text in pieces."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._text = ""
        self._at = 0
        self._read = 0
        self._decoder = json.JSONDecoder()

    def _more(self) -> bool:
        """Read on, ever more at a time; whether there was more."""
        piece = self._stream.read(max(_CHUNK, len(self._text) - self._at))
        self._read += len(piece)
        if self._read > _MOST:
            raise ValueError("too far behind")
        self._text, self._at = self._text[self._at :] + piece, 0
        return bool(piece)

    def peek(self) -> str:
        """Return the next character that is not a space; empty at the end."""
        while True:
            match = _SPACE.match(self._text, self._at)
            self._at = match.end() if match is not None else self._at
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def take(self, character: str) -> None:
        """Go past a character that must come next.

        Raises:
            ValueError: another one comes.
        """
        if self.peek() != character:
            raise ValueError(f"expected {character}")
        self._at += 1

    def value(self) -> Any:
        """Return the next value.

        Raises:
            ValueError: none comes.
        """
        self.peek()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._at)
            except ValueError:
                if not self._more():
                    raise
                continue
            if end == len(self._text) and self._more():
                continue  # a number may go on
            self._at = end
            return value

    def members(self) -> Iterator[str]:
        """Yield the keys of an object; whoever takes one takes its value too."""
        self.take("{")
        while self.peek() != "}":
            key = self.value()
            self.take(":")
            yield str(key)
            if self.peek() == ",":
                self.take(",")
        self.take("}")


def _entities(scanner: _Scanner) -> Iterator[Iterator[tuple[str, _Scanner]]]:
    """Yield the entities of the document, each as its keys, before whose values the scanner stands."""
    for key in scanner.members():
        if key != "@graph":
            scanner.value()
            continue
        scanner.take("[")
        while scanner.peek() == "{":
            yield ((name, scanner) for name in scanner.members())
            if scanner.peek() == ",":
                scanner.take(",")
        scanner.take("]")
