"""Event files of TensorBoard: as PyTorch, tensorboardX and TensorBoard's own writer made them, cut, damaged, growing.

``data/torch`` and ``data/hparams`` are PyTorch 2.13's, ``data/tensorboardx`` tensorboardX 2.6's; ``data/tensor`` has
the tensors of TensorFlow 2, written by TensorBoard 2.21.
"""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from prov_worker.capture.reading.clock import Deadline
from prov_worker.capture.reading.crc32c import crc32c, masked
from prov_worker.capture.reading.event_file import Events, read_events
from prov_worker.capture.reading.event_runs import Writer, read_runs
from prov_worker.capture.reading.protobuf import fields

DATA = Path(__file__).parent / "data"
NAME = "events.out.tfevents.1795949077.node-1.12998.0"


def read(path: Path, events: Events | None = None) -> Events:
    return read_events(str(path), Deadline(), events)


def values(events: Events) -> dict[str, list[tuple[int, float]]]:
    return {tag: [(step, value) for step, value, _ in points] for tag, points in events.scalars.items()}


def test_checksums_are_those_of_the_standard() -> None:
    assert crc32c(b"123456789") == 0xE3069283  # RFC 3720, B.4
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(bytes(range(31, -1, -1))) == 0x113FDB5C
    assert masked(0) == 0xA282EAD8


def test_scalars_of_every_writer_are_read() -> None:
    torch = values(read(DATA / "torch.tfevents"))
    assert torch.keys() == {"loss", "neg", "new", "dbl"}
    assert torch["loss"] == [(step, pytest.approx(1 / (step + 1))) for step in range(20)]
    assert (torch["neg"], torch["new"], torch["dbl"]) == ([(-2, -3.5)], [(5, 2.25)], [(1, 1e300)])
    assert values(read(DATA / "tensorboardx.tfevents")) == {"acc": [(0, 0.5), (1, 1.5), (2, 2.5)]}
    tensor = read(DATA / "tensor.tfevents")
    assert values(tensor) == {"loss": [(0, 1.0), (1, 0.5), (2, 0.25), (3, 0.125)]}
    assert [time_ns for _, _, time_ns in tensor.scalars["loss"]] == [1_000_500_000_000 + 10**9 * n for n in range(4)]


def test_hyperparameters_and_the_end_of_a_session_are_read() -> None:
    events = read(DATA / "hparams.tfevents")
    assert events.parameters == {"lr": "0.1", "name": "adam", "flag": "1", "n": "3"}
    assert events.status == "FINISHED"
    assert events.notes == []


def test_a_file_that_grows_is_read_on_from_where_it_ended(tmp_path: Path) -> None:
    whole = (DATA / "torch.tfevents").read_bytes()
    path = tmp_path / "events"
    for cut in range(0, len(whole), 997):
        path.write_bytes(whole[:cut])
        events = read(path)
        assert events.notes in ([], ["it ends within an event: it was still being written, or was cut"])
        events.notes.clear()
        path.write_bytes(whole)
        assert values(read(path, events)) == values(read(DATA / "torch.tfevents"))


def test_what_is_damaged_is_left_out_and_named(tmp_path: Path) -> None:
    whole = bytearray((DATA / "tensorboardx.tfevents").read_bytes())
    path = tmp_path / "events"
    last = len(whole) - 10
    for at, expected, note in (
        (last, [(0, 0.5), (1, 1.5)], "a damaged event after"),
        (3, [], "damaged after 0 bytes"),
    ):
        damaged = bytearray(whole)
        damaged[at] ^= 1
        path.write_bytes(damaged)
        events = read(path)
        assert values(events).get("acc", []) == expected
        assert note in events.notes[0]


def record(message: bytes) -> bytes:
    length = struct.pack("<Q", len(message))
    return length + struct.pack("<I", masked(crc32c(length))) + message + struct.pack("<I", masked(crc32c(message)))


def test_events_that_make_no_sense_hide_no_others(tmp_path: Path) -> None:
    path = tmp_path / "events"
    good = (DATA / "tensorboardx.tfevents").read_bytes()
    odd = [
        b"\x07",
        b"\x09\x00",
        b"\x2a\x7f",
        b"\xff" * 20,
        b"\x2a\x04\x0a\x02\x42\x7f",
        b"\x09" + struct.pack("<d", float("nan")),
    ]
    unknown = b"\xfa\x07\x01x" + b"\xf8\x07\x05"  # fields 127 of both kinds
    path.write_bytes(b"".join(map(record, [*odd, unknown])) + good)
    events = read(path)
    assert values(events)["acc"] == [(0, 0.5), (1, 1.5), (2, 2.5)]
    assert 4 <= len(events.notes) <= len(odd)
    path.write_bytes(struct.pack("<Q", 1 << 60) + struct.pack("<I", masked(crc32c(struct.pack("<Q", 1 << 60)))))
    assert "more than can be read" in read(path).notes[0]
    with pytest.raises(ValueError, match="wire type 7"):
        list(fields(b"\x07"))


def test_runs_are_the_directories_of_a_sandbox(tmp_path: Path) -> None:
    for directory, name in (("", "torch"), ("trial", "hparams"), ("gone", "tensorboardx")):
        (tmp_path / directory).mkdir(exist_ok=True)
        (tmp_path / directory / NAME).write_bytes((DATA / f"{name}.tfevents").read_bytes())
    (tmp_path / "gone" / NAME).unlink()
    (tmp_path / "gone" / NAME).symlink_to("/etc/passwd")
    training = read_runs([str(tmp_path)], [str(tmp_path / "nowhere")], Writer("node-1", 1, 0, 0))
    main, trial = training.runs
    assert (main.name, main.id, main.source) == (".", str(tmp_path), str(tmp_path))
    assert (trial.name, trial.status, trial.parameters["lr"]) == ("trial", "FINISHED", "0.1")
    assert [metric.count for metric in main.metrics] == [20, 1, 1, 1]
    assert (main.start_ns or 0) < (main.end_ns or 0)
    assert "nowhere: not read" in training.absent[0]


@pytest.mark.parametrize(
    ("name", "wrote"),
    [
        (NAME, True),
        ("events.out.tfevents.1795949077.node-1", True),
        ("events.out.tfevents.1795949077.node-1.12998.0.v2", True),
        ("events.out.tfevents.1795949077.node-1.12999.0", False),
        ("events.out.tfevents.1795949077.node-2.12998.0", False),
        ("events.out.tfevents.1795949000.node-1.12998.0", False),
        ("events.out.tfevents", False),
    ],
)
def test_files_of_a_shared_directory_are_those_that_the_worker_made_in_time(
    tmp_path: Path, name: str, wrote: bool
) -> None:
    (tmp_path / name).write_bytes((DATA / "torch.tfevents").read_bytes())
    writer = Writer("node-1", 12998, 1795949070 * 10**9, 1795949090 * 10**9)
    assert bool(read_runs([], [str(tmp_path)], writer).runs) is wrote
