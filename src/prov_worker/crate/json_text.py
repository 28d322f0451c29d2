"""JSON text that is safe to put into a crate: numbers, times, identifiers and strings of any origin."""

from __future__ import annotations

import hashlib
import json
import math
import re
import time
from collections.abc import Iterable
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from prov_worker.redact import missing

#: Longest text of one property, in characters. Sources and tracebacks are files and are not cut.
TEXT_LIMIT = 10_000
#: Longest part of an identifier or a file name that is taken from a name, in characters.
NAME_LIMIT = 120

#: Integers above are written as text: a reader that takes JSON numbers for doubles would change them.
_EXACT_INTEGER = 2**53
_UNSAFE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\Z")
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,119}\Z")
_WEB = re.compile(r"https?://[^\s<>\"{}|\\^`\x00-\x20]+\Z")

_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
#: Compact JSON of plain data; raises ValueError for NaN and infinities.
encode = _ENCODER.encode


def clean(value: Any, limit: int = TEXT_LIMIT) -> str:
    """Return text, cut at ``limit``, without control characters but tab and line ends, surrogates, noncharacters."""
    text: str = value if isinstance(value, str) else str(value)
    if len(text) > limit:
        text = text[:limit] + missing(len(text) - limit)
    if text.isascii() and text.isprintable():
        return text
    return _UNSAFE.sub("", text)


def one_line(text: Any, limit: int = 1000) -> str:
    """Return text as :func:`clean` does, with every run of white space as one space."""
    return " ".join(clean(text, limit).split())


def quoted(text: Any) -> str:
    """Return JSON string of cleaned text."""
    return encode(clean(text))


def scalar(value: Any) -> str:
    """Return JSON text of one value: finite numbers and booleans as such, everything else as a string."""
    if type(value) is str:
        return quoted(value)
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, int) and -_EXACT_INTEGER <= value <= _EXACT_INTEGER:
        return int.__repr__(value)
    if isinstance(value, float) and math.isfinite(value):
        return float.__repr__(value)
    return quoted(value)


def is_number(value: Any) -> bool:
    """Return whether a value is a finite number and no boolean."""
    try:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # an integer beyond every float
        return False


def finite(value: Any) -> Any:
    """Return plain JSON data: NaN and infinities become None, text is cleaned, keys and foreign objects become text."""
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {clean(key): finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [finite(item) for item in value]
    return clean(value, limit=1_000_000)


@lru_cache(maxsize=256)
def _seconds(whole: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole))


def utc(time_ns: int) -> str:
    """Return a time as the profiles take it, ``YYYY-MM-DDThh:mm:ss.mmm+00:00``, from nanoseconds since the Unix epoch.

    ``Z``, microseconds and other offsets miss recommendations of Process Run Crate 0.5.
    """
    whole, rest = divmod(time_ns, 1_000_000_000)
    return f"{_seconds(whole)}.{rest // 1_000_000:03d}+00:00"


def is_uuid(text: str) -> bool:
    """Return whether text is a UUID in its usual form."""
    return _UUID.match(text) is not None


def is_web(text: str) -> bool:
    """Return whether text can stand as an absolute http(s) identifier."""
    return _WEB.match(text) is not None


def urn(identifier: str) -> str:
    """Return ``urn:uuid:`` form of a UUID; any other identifier as it is."""
    return f"urn:uuid:{identifier}" if is_uuid(identifier) else clean(identifier)


def safe_name(name: str) -> str:
    """Return a name for use in identifiers and as a file name: plain names unchanged, others percent-encoded and cut.

    A cut name ends in a hash of the whole, so that two long names stay two.
    """
    if _PLAIN_NAME.match(name):
        return name
    encoded = quote(clean(name, limit=1_000_000), safe="") or "unnamed"
    if encoded.startswith("."):
        encoded = "%2E" + encoded[1:]
    if len(encoded) > NAME_LIMIT:
        digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:16]
        encoded = f"{encoded[: NAME_LIMIT - 20].rstrip('%')}-{digest}"
        # A percent sign that lost its digits would not decode.
        encoded = re.sub(r"%(?![0-9A-F]{2})[0-9A-F]?", "", encoded)
    return encoded


def path_id(path: str) -> str:
    """Return identifier of a file in a crate: its relative path, percent-encoded if RO-Crate asks for it."""
    return quote(clean(path, limit=4096), safe="/-._~!$&'()*+,;=:@")


def ranges(numbers: Iterable[int]) -> str:
    """Return numbers as in cpuset(7): ``0-3,8``."""
    parts: list[str] = []
    first = last = None
    for number in sorted(set(numbers)):
        if last is not None and number == last + 1:
            last = number
            continue
        if first is not None:
            parts.append(str(first) if first == last else f"{first}-{last}")
        first = last = number
    if first is not None:
        parts.append(str(first) if first == last else f"{first}-{last}")
    return ",".join(parts)
