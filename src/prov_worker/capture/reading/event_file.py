"""An event file of TensorBoard: scalars and hyperparameters, by the standard library alone.

A file is a row of TFRecords (tensorflow.org, "TFRecord and tf.train.Example"): length (8 bytes), its checksum (4),
an ``Event`` message, its checksum (4). Messages are ``tensorflow/core/util/event.proto`` and ``summary.proto``, and
``tensorboard/plugins/hparams/plugin_data.proto``. A scalar is a ``simple_value`` or a tensor without dimensions.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from prov_worker.capture.reading import protobuf as p
from prov_worker.capture.reading.clock import Deadline
from prov_worker.capture.reading.crc32c import crc32c, crc32c_of_length, masked
from prov_worker.humanize import plural

_HEAD = struct.Struct("<QI")
_TAIL = struct.Struct("<I")
_DOUBLE, _FLOAT = struct.Struct("<d"), struct.Struct("<f")
_BLOCK_BYTES = 8 << 20
#: A larger record holds no scalar: it is passed over.
MAX_RECORD_BYTES = 16 << 20
#: Most of one file that is read, and most points of all its scalars.
MAX_FILE_BYTES = 512 << 20
MAX_POINTS = 2_000_000
_SCALARS, _HPARAMS = b"scalars", b"hparams"
#: ``DataType`` of a tensor: how its content is unpacked, and which field has single values.
_TENSORS = {1: ("f", 5), 2: ("d", 6), 3: ("i", 7), 9: ("q", 10), 19: ("e", 13), 4: ("B", 7), 6: ("b", 7), 5: ("h", 7)}
_STATUS = {1: "FINISHED", 2: "FAILED", 3: "RUNNING"}


@dataclass(slots=True)
class Events:
    """What an event file says.

    Attributes:
        scalars: points of each tag: step, value and time (ns since the epoch).
        parameters: hyperparameters by name.
        status: of the session, if it says one.
        first_ns, last_ns: times of the first and the last event.
        notes: what is damaged.
        read_bytes: how far it was read: a file that grows goes on there.
    """

    scalars: dict[str, list[tuple[int, float, int]]] = field(default_factory=dict)
    parameters: dict[str, str] = field(default_factory=dict)
    status: str | None = None
    first_ns: int | None = None
    last_ns: int | None = None
    notes: list[str] = field(default_factory=list)
    read_bytes: int = 0


def read_events(path: str, deadline: Deadline, events: Events | None = None) -> Events:
    """Read an event file, or the rest of one that was read before.

    A record that is not whole ends it, as in a file that grows; a damaged one as well, with a note.

    Args:
        path: of the file.
        deadline: for all of it.
        events: what was read of it before, which is added to.

    Raises:
        OSError: it cannot be read.
        TimeoutError: it took too long.
    """
    events = Events() if events is None else events
    plugins: dict[str, bytes] = {}
    series: dict[bytes, list[tuple[int, float, int]]] = {}
    count = sum(map(len, events.scalars.values()))
    for record in _records(path, deadline, events):
        try:
            count += _take_plain(record, events, series) or _take(record, events, plugins)
        except (ValueError, struct.error, OverflowError) as error:
            events.notes.append(f"an event that cannot be understood: {error}")
        if count > MAX_POINTS:
            events.notes.append(f"more than {MAX_POINTS} values: what follows was not read")
            break
    return events


def _records(path: str, deadline: Deadline, events: Events) -> Iterator[bytes]:
    head, tail = _HEAD.unpack_from, _TAIL.unpack_from
    with open(path, "rb") as file:
        file.seek(events.read_bytes)
        data, at = b"", 0
        while True:
            while len(data) - at >= _HEAD.size:
                length, checksum = head(data, at)
                if masked(crc32c_of_length(data[at : at + 8])) != checksum:
                    events.notes.append(f"damaged after {plural(events.read_bytes, 'byte')}: what follows was not read")
                    return
                end = at + _HEAD.size + length + _TAIL.size
                if end > len(data):
                    break
                record = data[at + 12 : end - 4]
                if masked(crc32c(record)) != tail(data, end - 4)[0]:
                    events.notes.append(f"a damaged event after {plural(events.read_bytes, 'byte')} was left out")
                else:
                    yield record
                events.read_bytes += end - at
                at = end
            else:
                length = 0
            deadline.check()
            if length > MAX_RECORD_BYTES or events.read_bytes > MAX_FILE_BYTES:
                events.notes.append(f"more than can be read after {plural(events.read_bytes, 'byte')}")
                return
            block = file.read(max(_BLOCK_BYTES, length - len(data) + at))
            if not block:
                if at < len(data):
                    events.notes.append("it ends within an event: it was still being written, or was cut")
                return
            data, at = data[at:] + block, 0


def _take_plain(record: bytes, events: Events, series: dict[bytes, list[tuple[int, float, int]]]) -> bool:
    """Take an event that is one ``simple_value`` alone, as most are; false if it is anything else.

    What :func:`_take` would find, at fixed places: time, step, tag, value, each after its key.
    """
    size = len(record)
    if size < 24 or record[0] != 0x09:
        return False
    at, step = 9, 0
    if record[9] == 0x10:
        step = record[10]
        at = 11
        shift = 7
        step &= 0x7F
        while record[at - 1] > 0x7F:
            if at - 10 > 8 or at >= size:
                return False
            step |= (record[at] & 0x7F) << shift
            shift += 7
            at += 1
    tag_at = at + 6
    if (
        size < tag_at
        or record[at] != 0x2A
        or record[at + 1] != size - at - 2
        or record[at + 2] != 0x0A
        or record[at + 3] != size - at - 4
        or record[at + 4] != 0x0A
    ):
        return False
    end = tag_at + record[at + 5]
    if end + 5 != size or record[end] != 0x15 or size - at > 0x7F:
        return False
    (wall_s,) = _DOUBLE.unpack_from(record, 1)
    if not 0 < wall_s < 1e10:
        return False
    time_ns = int(wall_s * 1e9)
    events.last_ns = time_ns
    tag = record[tag_at:end]
    points = series.get(tag)
    if points is None:
        events.first_ns = events.first_ns or time_ns
        points = series[tag] = events.scalars.setdefault(tag.decode("utf-8", "replace"), [])
    points.append((step, _FLOAT.unpack_from(record, end + 1)[0], time_ns))
    return True


def _take(record: bytes, events: Events, plugins: dict[str, bytes]) -> int:
    """Take an event; returns how many scalars it has."""
    wall_s, step, summary = 0.0, 0, None
    for number, _, value in p.fields(record):
        if number == 1:
            wall_s = p.double(value)
        elif number == 2:
            step = p.signed(value)
        elif number == 5:
            summary = value
    time_ns = int(wall_s * 1e9) if math.isfinite(wall_s) and 0 <= wall_s < 1e10 else 0
    if time_ns:
        events.first_ns = events.first_ns or time_ns
        events.last_ns = time_ns
    count = 0
    if isinstance(summary, bytes):
        for number, _, value in p.fields(summary):
            if number == 1 and isinstance(value, bytes):
                scalar = _value(value, events, plugins)
                if scalar is not None:
                    events.scalars.setdefault(scalar[0], []).append((step, scalar[1], time_ns))
                    count += 1
    return count


def _value(message: bytes, events: Events, plugins: dict[str, bytes]) -> tuple[str, float] | None:
    tag, simple, tensor = "", None, None
    for number, kind, value in p.fields(message):
        if number == 1:
            tag = value.decode("utf-8", "replace")
        elif number == 2 and kind == p.FOUR:
            simple = p.single(value)
        elif number == 8:
            tensor = value
        elif number == 9:
            plugin, content = _plugin(value)
            plugins[tag] = plugin
            if plugin == _HPARAMS:
                _hyperparameters(content, events)
    if simple is not None:
        return tag, simple
    # the first value of a tag alone says whose it is
    if isinstance(tensor, bytes) and plugins.get(tag, b"") in (_SCALARS, b""):
        scalar = _scalar_of(tensor)
        return None if scalar is None else (tag, scalar)
    return None


def _plugin(metadata: bytes) -> tuple[bytes, bytes]:
    name = content = b""
    for number, _, value in p.fields(metadata):
        if number == 1:
            for inner, _, data in p.fields(value):
                if inner == 1:
                    name = bytes(data)
                elif inner == 2:
                    content = bytes(data)
    return name, content


def _scalar_of(tensor: bytes) -> float | None:
    """Return the number in a tensor without dimensions; None for any other tensor."""
    kind, content = 0, b""
    values: dict[int, Any] = {}
    for number, _, value in p.fields(tensor):
        if number == 1:
            kind = int(value)
        elif number == 2:
            if any(inner == 2 for inner, _, _ in p.fields(value)):
                return None
        elif number == 4:
            content = bytes(value)
        else:
            values[number] = value
    shape = _TENSORS.get(kind)
    if shape is None:
        return None
    form, single = shape
    if content:
        return float(struct.unpack("<" + form, content)[0])
    data = values.get(single)
    if data is None:
        return 0.0  # a zero is not written
    if isinstance(data, int):
        return float(p.signed(data))
    if form == "f":
        return p.single(data[:4])
    if form == "d":
        return p.double(data[:8])
    packed, _ = p.varint(data, 0)
    return float(struct.unpack("<e", struct.pack("<H", packed))[0]) if form == "e" else float(p.signed(packed))


def _hyperparameters(content: bytes, events: Events) -> None:
    for number, _, value in p.fields(content):
        if number == 3:
            for inner, _, data in p.fields(value):
                if inner == 1:
                    entry = {name: part for name, _, part in p.fields(data)}
                    key = bytes(entry.get(1, b"")).decode("utf-8", "replace")
                    events.parameters[key] = _text_of(bytes(entry.get(2, b"")))
        elif number == 4:
            for inner, _, data in p.fields(value):
                if inner == 1:
                    events.status = _STATUS.get(int(data))


def _text_of(value: bytes) -> str:
    """Return text of a ``google.protobuf.Value``."""
    for number, _, data in p.fields(value):
        if number == 2:
            text = repr(p.double(data))
            return text.removesuffix(".0")
        if number == 3:
            return bytes(data).decode("utf-8", "replace")
        if number == 4:
            return "true" if data else "false"
    return ""
