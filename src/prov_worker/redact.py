"""Remove secrets from text before it is written anywhere.

Three nets, in this order: the values of this process's own environment variables whose names say that they are secret,
``name = value`` pairs whose name says so, and shapes that are secrets wherever they stand (bearer headers, private
keys, passwords in addresses, access tokens). A net that catches too much costs a word of a message; one that catches
too little leaks a credential into a published crate, so the nets are wide.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Mapping

MARK = "[redacted]"

_WORDS = (
    r"(?:passw(?:or)?d|passphrase|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credential|"
    r"authorization|auth[_-]?key|cookie|session[_-]?key)"
)
#: The same words spelled out: a worker that starts looks for them in the names of its environment without compiling.
_NAME_WORDS = (
    *("passwd", "password", "passphrase", "secret", "token", "credential", "authorization", "cookie"),
    *(f"{kind}{between}key" for kind in ("api", "access", "private", "auth", "session") for between in ("", "_", "-")),
)
#: What may stand between a name and its value: ``=``, ``: ``, ``=>``, ``: str =``, ``"] =``, an opening bracket.
_BETWEEN = r"\s{0,16}(?:=>?|:(?:\s{0,8}[A-Za-z_][\w.\[\]| ]{0,64}?=(?!=))?)\s{0,16}[(\[{]?\s{0,16}"
_QUOTED = (
    r"[A-Za-z]{0,2}(?:\"\"\"[\s\S]*?(?:\"\"\"|\Z)|'''[\s\S]*?(?:'''|\Z)"
    r"|'(?:[^'\\\n]|\\.)*(?:'|$)|\"(?:[^\"\\\n]|\\.)*(?:\"|$))"
)
#: Quotes that are escaped themselves, as in JSON within a string.
_ESCAPED = r"\\{1,8}['\"][^'\"\\\n]*(?:\\{1,8}['\"])?"
_BARE = r"[^\s,;(){}\[\]'\"]+(?:\([^()\n]{0,1000}\)?)?"

#: Cheap test that lets ordinary text pass without compiling, or running, any pattern; in small letters.
_HINTS = (
    *("passw", "passphrase", "secret", "token", "key", "credential", "authoriz", "cookie", "bearer", "basic", "://"),
    *("eyj", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "akia", "xox"),
)
_OF_GLOBUS_AUTH = r"(?<![A-Za-z0-9])Ag[A-Za-z0-9]{45,}"
_SHORTEST_SECRET = 6
#: A secret that a cut goes through is no longer than this.
_MARGIN = 4096


@functools.cache
def _shapes() -> tuple[tuple[re.Pattern[str], str], ...]:
    """Return patterns and what to put in the place of what they find; compiled when they are needed first.

    None repeats without a bound before the word that it looks for: text of any length takes a time that grows with its
    length alone, because all of this runs on a task's path.
    """
    return (
        (re.compile(r"-----BEGIN [A-Z ]{0,32}PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]{0,32}KEY-----|\Z)"), MARK),
        (re.compile(r"(?i)\b(bearer|basic)\s{1,8}[A-Za-z0-9+/._~=-]{8,}"), r"\1 " + MARK),
        (re.compile(r"(?<=://)[^\s/:@'\"]{0,256}:[^\s/@'\"]{1,256}(?=@)"), MARK),
        (
            # a pair in any of the usual spellings: NAME=value, name: 'value', "name": "value", NAME"] = value
            re.compile(
                rf"(?P<name>{_WORDS}[\w.-]{{0,64}}\\{{0,8}}['\"]?\]?)(?P<sep>{_BETWEEN})"
                rf"(?:{_QUOTED}|{_ESCAPED}|{_BARE})",
                re.IGNORECASE | re.MULTILINE,
            ),
            r"\g<name>\g<sep>" + MARK,
        ),
        (
            # ("name", "value") and name("value")
            re.compile(
                rf"(?P<name>{_WORDS}[\w.-]{{0,64}})(?P<sep>\\{{0,8}}['\"]\s{{0,8}},\s{{0,8}}|\(\s{{0,8}})(?:{_QUOTED}|{_ESCAPED})",
                re.IGNORECASE | re.MULTILINE,
            ),
            r"\g<name>\g<sep>" + MARK,
        ),
        (re.compile(rf"(--[\w.-]{{0,64}}?{_WORDS}[\w.-]{{0,64}}\s{{1,8}})[^\s-]\S*", re.IGNORECASE), r"\1" + MARK),
        (re.compile(r"(?<![\w-])eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?"), MARK),  # JSON web token
        (
            re.compile(
                r"(?<![A-Za-z0-9])(?:gh[pousr]_[A-Za-z0-9]{20,}|AKIA[A-Z0-9]{12,}|xox[abprs]-[A-Za-z0-9-]{10,})"
            ),
            MARK,
        ),
        (re.compile(_OF_GLOBUS_AUTH), MARK),  # Globus Auth access and refresh tokens
    )


def secret_values(environ: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """Return values of variables whose names say that they are secret, longest first; short ones are left out.

    Args:
        environ: defaults to this process's environment.
    """
    environ = os.environ if environ is None else environ
    values = {v for k, v in environ.items() if len(v) >= _SHORTEST_SECRET and is_secret_name(k)}
    return tuple(sorted(values, key=len, reverse=True))


def redact(text: str, secrets: tuple[str, ...] | None = None) -> str:
    """Return text with every secret replaced by :data:`MARK`.

    Args:
        text: anything; unchanged if nothing is found.
        secrets: literal secrets to remove besides the shapes; None takes :func:`secret_values`.
    """
    for secret in secret_values() if secrets is None else secrets:
        if secret in text:
            text = text.replace(secret, MARK)
    small = text.casefold()
    if not small.isascii():
        # U+0130 and U+0131 match an "i" that ignores case, and stay other letters here
        small = small.replace("\u0131", "i").replace("\u0307", "")
    if any(hint in small for hint in _HINTS) or ("Ag" in text and re.search(_OF_GLOBUS_AUTH, text)):
        for pattern, replacement in _shapes():
            text = pattern.sub(replacement, text)
    return text


def redact_part(text: str, limit: int, secrets: tuple[str, ...] | None = None, *, tail: bool = False) -> str:
    """Return at most ``limit`` characters of a text, redacted; no half of a secret is left where it was cut.

    Args:
        text: anything.
        limit: most characters to give.
        secrets: as for :func:`redact`.
        tail: give the end of the text instead of its beginning.
    """
    if len(text) <= limit + 2 * _MARGIN:
        text = redact(text, secrets)
    elif tail:
        text = redact(text[-limit - 2 * _MARGIN :], secrets)[_MARGIN:]
    else:
        text = redact(text[: limit + 2 * _MARGIN], secrets)[:-_MARGIN]
    return text[-limit:] if tail else text[:limit]


def redact_beginning(text: str, limit: int, secrets: tuple[str, ...] | None = None) -> str:
    """Return what :func:`redact_part` does, and at its end how many characters are missing, if some are."""
    if len(text) <= limit + 2 * _MARGIN:
        text = redact(text, secrets)  # which may have made it short enough
        part = text[:limit]
    else:
        part = redact_part(text, limit, secrets)
    return part if len(text) <= limit else part + missing(len(text) - limit)


def missing(count: int) -> str:
    """Return what stands at the end of a text of which so many characters were cut off."""
    return f" … ({count} more character{'s' * (count != 1)})"


@functools.lru_cache(maxsize=4096)
def is_secret_name(name: str) -> bool:
    """Return whether a name (of a variable, a parameter, a key) says that its value is secret."""
    small = name.casefold()
    return any(word in small for word in _NAME_WORDS)
