"""Remove secrets from text before it is written anywhere.

Three nets, in this order: the values of this process's own environment variables whose names say that they are secret,
``name = value`` pairs whose name says so, and shapes that are secrets wherever they stand (bearer headers, private
keys, passwords in addresses, access tokens). A net that catches too much costs a word of a message; one that catches
too little leaks a credential into a published crate, so the nets are wide.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

MARK = "[redacted]"

_HIDDEN = (
    r"[\w.-]*(?:passw(?:or)?d|passphrase|passwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credential|"
    r"authorization|auth[_-]?key|cookie|session[_-]?key)[\w.-]*"
)
_NAME = re.compile(_HIDDEN, re.IGNORECASE)

_SHAPES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL), MARK),
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9+/._~=-]{8,}"), r"\1 " + MARK),
    (re.compile(r"(?<=://)[^\s/:@'\"]+:[^\s/@'\"]+(?=@)"), MARK),
    (
        # a pair in any of the usual spellings: NAME=value, name: 'value', "name": "value", --name value
        re.compile(
            rf"(?P<name>(?P<q>['\"]?)(?:--)?{_HIDDEN}(?P=q))"
            r"(?P<sep>\s*(?:=>?|:)\s*)"
            r"(?P<value>b?'(?:[^'\\\n]|\\.)*'|b?\"(?:[^\"\\\n]|\\.)*\"|[^\s,;)}\]'\"]+)",
            re.IGNORECASE,
        ),
        r"\g<name>\g<sep>" + MARK,
    ),
    (re.compile(rf"(--{_HIDDEN}\s+)[^\s-][^\s]*", re.IGNORECASE), r"\1" + MARK),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"), MARK),  # JSON web token
    (re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{20,}|AKIA[A-Z0-9]{12,}|xox[abprs]-[A-Za-z0-9-]{10,})"), MARK),
    (re.compile(r"\bAg[A-Za-z0-9]{45,}\b"), MARK),  # Globus Auth access and refresh tokens
)

#: Cheap test that lets ordinary text pass without running every pattern.
_HINT = re.compile(
    r"(?i)passw|passphrase|secret|token|key|credential|authoriz|cookie|bearer|basic\s|://|eyJ|gh[pousr]_|AKIA|xox|\bAg"
)
_SHORTEST_SECRET = 6


def secret_values(environ: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """Values of variables whose names say that they are secret, longest first; short ones are left out.

    Args:
        environ: defaults to this process's environment.
    """
    environ = os.environ if environ is None else environ
    found = {v for k, v in environ.items() if len(v) >= _SHORTEST_SECRET and _NAME.fullmatch(k)}
    return tuple(sorted(found, key=len, reverse=True))


def redact(text: str, secrets: tuple[str, ...] | None = None) -> str:
    """Text with every secret replaced by :data:`MARK`.

    Args:
        text: anything; unchanged where nothing is found.
        secrets: literal secrets to remove besides the shapes; None takes :func:`secret_values`.
    """
    for secret in secret_values() if secrets is None else secrets:
        if secret in text:
            text = text.replace(secret, MARK)
    if _HINT.search(text):
        for pattern, replacement in _SHAPES:
            text = pattern.sub(replacement, text)
    return text


def is_secret_name(name: str) -> bool:
    """Whether a name (of a variable, a parameter, a key) says that its value is secret."""
    return _NAME.fullmatch(name) is not None
