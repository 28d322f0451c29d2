"""What a function prints reaches its stream, and its end is kept."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from prov_worker.recorder import output
from prov_worker.recorder.commands import TAIL


class Stream(io.StringIO):
    """A stream with attributes of its own, as ``sys.stdout`` is one."""


@contextlib.contextmanager
def streams() -> Iterator[tuple[Stream, Stream]]:
    """Streams of this test's own in the place of pytest's."""
    out, err = Stream(), Stream()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        yield out, err


def test_both_streams_are_kept_and_get_everything() -> None:
    with streams() as (out, err):
        handler = logging.StreamHandler(sys.stderr)  # holds the stream from before
        output.begin(False)
        print("one", 2)
        sys.stdout.writelines(["three\n"])
        handler.emit(logging.LogRecord("n", logging.INFO, "", 0, "token=hunter2", None, None))
        kept = output.end(False)
        print("after")
        assert output.end(False) is None
    assert json.loads(kept or "") == ["one 2\nthree\n", "token=[redacted]\n"]
    assert (out.getvalue(), err.getvalue()) == ("one 2\nthree\nafter\n", "token=hunter2\n")


def test_a_second_task_has_its_own_output_and_silence_has_none() -> None:
    with streams():
        output.begin(False)
        assert output.end(False) is None
        output.begin(False)
        print("second")
        assert json.loads(output.end(False) or "") == ["second\n", ""]


def test_the_end_is_kept_of_much() -> None:
    with streams() as (out, _):
        output.begin(False)
        for number in range(40_000):
            print(f"line {number}")
        print("x" * 1_000_000)
        print("last")
        kept = json.loads(output.end(False) or "")[0]
    assert len(kept) == TAIL
    assert out.getvalue()[-TAIL:] == kept


def test_threads_keep_apart() -> None:
    results: dict[int, str | None] = {}
    barrier = threading.Barrier(2)

    def run(number: int) -> None:
        output.begin(True)
        barrier.wait(30)
        print(f"from {number}")
        barrier.wait(30)
        results[number] = output.end(True)

    with streams():
        threads = [threading.Thread(target=run, args=(number,)) for number in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert {number: json.loads(text or "")[0] for number, text in results.items()} == {0: "from 0\n", 1: "from 1\n"}


@pytest.mark.parametrize("stream", [None, io.BytesIO()])
def test_a_stream_that_cannot_be_heard_is_left_alone(monkeypatch: pytest.MonkeyPatch, stream: object) -> None:
    monkeypatch.setattr(sys, "stdout", stream)
    output.begin(False)
    assert output.end(False) is None


def test_the_streams_of_a_process_are_heard() -> None:
    code = (
        "import sys\nfrom prov_worker.recorder import output\noutput.begin(False)\nprint('a')\n"
        "print('b', file=sys.stderr)\nkept = output.end(False)\nprint(kept)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ('a\n["a\\n", "b\\n"]\n', "b\n")
