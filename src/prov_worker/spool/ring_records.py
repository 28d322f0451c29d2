"""Records of a ring: packed by the worker, which has microseconds, and made lines of the journal by whoever drains it.

What has a place in a structure is a number or 16 bytes there; everything else follows as text, the very fields of the
line (:mod:`prov_worker.spool.records`) with a comma before each. Lines that are written once, of a worker or a
function, are in a record as they are. A line made of a record has its number as ``q``.
"""

from __future__ import annotations

import hashlib
import pickle
import struct

#: Kinds of records: a line as it is, one that begins a journal, one that later lines need; a task's start, its end,
#: both in one, both without counters, and what is left of both if there is little space.
LINE, FIRST, KEPT, START, END, WHOLE, SHORT, BRIEF = range(1, 9)
#: Kinds that tell of a task's end.
ENDS = (END, WHOLE, SHORT, BRIEF)
#: Flags: it ended well; its peak of memory rose; what children used is known; so are blocks; it returned None.
OK, ROSE, CHILDREN, BLOCKS, NONE = 1, 2, 4, 8, 16
#: Result of a function that returns nothing, as a journal has it.
NONE_RESULT = f'["return","NoneType",null,null,"{hashlib.sha256(pickle.dumps(None, 4)).hexdigest()}",null]'
_RESULTS = {0: "", NONE: f',"res":{NONE_RESULT}'}
#: Of a task without a function's id.
NO_ID = bytes(16)
#: kind, flags, -, attempt, wall clock at the start, task, function id, number of the function
PACK_START = struct.Struct("<BBHIq16s16sI")
#: kind, flags, -, attempt, wall and monotonic clock at the start, duration, task, function id, number of the function;
#: user and system s, those of children; peak kB, minor and major faults, voluntary and other switches, blocks read and
#: written
PACK_END = struct.Struct("<BBHIqqq16s16sIdddd7q")
#: the same without what was used
PACK_SHORT = struct.Struct("<BBHIqqq16s16sI")


def brief(body: bytes) -> bytes:
    """Return what is kept of an end if there is little space: which task it was, and how it ended."""
    _, flags, *fields = PACK_SHORT.unpack_from(body)
    return PACK_SHORT.pack(BRIEF, flags & OK, *fields)


def line_of(body: bytes, sequence: int | None) -> bytes:
    """Return the line of the journal that a record means, with its newline; empty if it means none.

    Args:
        body: the record.
        sequence: its number in the ring; None for a line without one.

    Raises:
        struct.error, UnicodeDecodeError: it is not a record.
    """
    kind = body[0]
    if kind in (LINE, FIRST, KEPT):
        text = body[1:].rstrip(b"\n").removesuffix(b"}").decode()
    elif kind == START:
        _, _, _, attempt, start_ns, task, function_id, number = PACK_START.unpack_from(body)
        text = _began("start", task, attempt, start_ns, function_id, number) + body[PACK_START.size :].decode()
    elif kind in (END, WHOLE):
        text = _ended(body)
    elif kind in (SHORT, BRIEF):
        _, flags, _, attempt, start_ns, mono_ns, duration, task, function_id, number = PACK_SHORT.unpack_from(body)
        text = _began("start", task, attempt, start_ns, function_id, number)
        text += f',"m":{mono_ns},"dur":{duration},"ok":{flags & OK}{_RESULTS[flags & NONE]}'
        text += body[PACK_SHORT.size :].decode() if kind == SHORT else ',"brief":1'
    else:
        return b""
    return f"{text}}}\n".encode() if sequence is None else f'{text},"q":{sequence}}}\n'.encode()


def start_line(task: bytes, attempt: int, start_ns: int, function_id: bytes, number: int, more: str) -> str:
    """Return a ``start`` line without its end; ``more`` are fields with a comma before each."""
    return _began("start", task, attempt, start_ns, function_id, number) + more


def _began(kind: str, task: bytes, attempt: int, start_ns: int, function_id: bytes, number: int) -> str:
    text = f'{{"t":"{kind}","task":"{uuid_text(task)}","n":{attempt},"ns":{start_ns}'
    if number:
        text += f',"k":{number}'
    if function_id != NO_ID:
        text += f',"fid":"{uuid_text(function_id)}"'
    return text


def _ended(body: bytes) -> str:
    (
        kind, flags, _, attempt, start_ns, mono_ns, duration, task, function_id, number,
        user, system, children_user, children_system,
        peak, minor, major, voluntary, involuntary, read, written,
    ) = PACK_END.unpack_from(body)  # fmt: skip
    whole = kind == WHOLE
    text = _began("start" if whole else "end", task, attempt, start_ns, function_id, number if whole else 0)
    children = f"{int(children_user * 1e6)},{int(children_system * 1e6)}" if flags & CHILDREN else "null,null"
    blocks = f"{read},{written}" if flags & BLOCKS else "null,null"
    text += (
        f',"m":{mono_ns},"dur":{duration},"ok":{flags & OK},"u":[{int(user * 1e6)},{int(system * 1e6)},{children},'
        f"0,{peak},{1 if flags & ROSE else 0},{minor},{major},{voluntary},{involuntary},{blocks}]"
    )
    return text + _RESULTS[flags & NONE] + body[PACK_END.size :].decode()


def uuid_text(data: bytes) -> str:
    """Return the text of a UUID."""
    text = data.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
