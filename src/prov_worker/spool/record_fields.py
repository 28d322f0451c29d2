"""Parts of a task's record from the fields of journal lines; :mod:`prov_worker.spool.records` describes the fields."""

from __future__ import annotations

import re
from typing import Any

from prov_worker.model import Command, Function, Part, Usage, Value
from prov_worker.sandbox import Listed

_IO = {name: re.compile(rf"^{name}: (\d+)$", re.MULTILINE) for name in ("rchar", "wchar")}


def function_of(line: dict[str, Any], function_id: str | None) -> Function:
    """Return the function of a line, with the id by which a task named it."""
    return Function(
        name=line.get("name") or "unknown",
        module=line.get("module"),
        id=function_id,
        doc=line.get("doc"),
        sha256=line.get("sha256"),
        sha256_of=line.get("of"),
        source=line.get("source"),
        strategy=line.get("strategy"),
        size_bytes=line.get("size"),
        kind=line.get("kind"),
        python=line.get("python"),
        payload_sha256=line.get("payload"),
    )


def command_of(function: dict[str, Any], ended: dict[str, Any] | None) -> Command | None:
    """Return the shell command of a function and how it ended; None if it is none."""
    if function.get("command") is None and ended is None:
        return None
    ended = ended or {}
    return Command(
        function.get("command"),
        ended.get("limit", function.get("limit")),
        ended.get("run"),
        ended.get("launcher"),
        ended.get("status"),
    )


def part_of(fields: dict[str, Any] | None) -> Part | None:
    """Return what a task is a part of."""
    if not fields:
        return None
    return Part(
        fields["library"], fields["key"], fields.get("of"), fields.get("needs") or [], fields.get("steps") or []
    )


def files_of(listed: dict[str, list[int]] | None) -> dict[str, Listed] | None:
    """Return the files that were listed in a sandbox, by path."""
    return None if listed is None else {path: Listed(*entry) for path, entry in listed.items()}


def values_of(described: list[list[Any]] | None) -> list[Value]:
    """Return arguments or results as they were described."""
    return [Value(*value) for value in described or ()]


def usage_of(numbers: list[Any] | None, io: str | None) -> Usage:
    """Return what a task used; ``io`` is the text of ``/proc/self/io`` before and after."""
    if not numbers:
        return Usage()
    usage = Usage.from_journal(numbers)
    read_chars, written_chars = _IO["rchar"].findall(io or ""), _IO["wchar"].findall(io or "")
    if len(read_chars) == len(written_chars) == 2:
        usage.read_chars = int(read_chars[1]) - int(read_chars[0])
        usage.written_chars = int(written_chars[1]) - int(written_chars[0])
    return usage
