"""Ids of functions, as records have them."""

from __future__ import annotations

from json.encoder import encode_basestring_ascii as quote
from uuid import UUID

from prov_worker.interruptions import is_own
from prov_worker.spool.ring_records import NO_ID, uuid_text

_MAX_FUNCTIONS = 1000


class FunctionIds(dict[str | None, tuple[bytes, str]]):
    """By the text of an id: its 16 bytes, or, if it is not a UUID as usual, a field of the line. A bounded number."""

    def __init__(self) -> None:
        super().__init__({None: (NO_ID, "")})

    def __missing__(self, text: str | None) -> tuple[bytes, str]:
        packed = (NO_ID, f',"fid":{quote(text or "")}')
        try:
            data = UUID(text).bytes
            if uuid_text(data) == text:
                packed = (data, "")
        except ValueError as error:
            if not is_own(error):
                raise
        if len(self) < _MAX_FUNCTIONS:
            self[text] = packed
        return packed
