"""Keep a task's serialised call, if settings ask for it, so that the step can be run again from its crate.

The bytes are kept as they came: nothing in them can be redacted. So a call is not kept if what is known of it beside
the bytes had to be redacted: its source, or the name or the text of an argument.
"""

from __future__ import annotations

from json.encoder import encode_basestring_ascii as quote

from prov_worker.redact import MARK

#: Largest call that is kept, in characters: one more would be felt.
LIMIT = 1 << 20


def field(packed: str, *, redacted: bool, arguments: str) -> str:
    """Return the field of a ``start`` line that has the call, or says why it has not; with a comma before it.

    Args:
        packed: the call: function, arguments and keyword arguments, each after its length; empty if it came unpacked.
        redacted: whether something was taken out of the function's source.
        arguments: what the line says of the arguments.
    """
    if not packed:
        reason = "it did not come as one: it is not a task of Globus Compute"
    elif len(packed) > LIMIT:
        reason = f"larger than {LIMIT} characters: {len(packed)}"
    elif redacted:
        reason = "a secret was taken out of the function's source"
    elif MARK in arguments:
        reason = "an argument is a secret, by its name or its text"
    else:
        return f',"call":{quote(packed)}'
    return f',"nocall":{quote(reason)}'
