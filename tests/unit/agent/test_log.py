from __future__ import annotations

import io
import json
import logging
import os
from collections.abc import Iterator

import pytest

from prov_worker.agent.log import JsonLines, parse


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    log = logging.getLogger("prov_worker.agent.test_log")
    log.addHandler(handler)
    yield stream
    log.removeHandler(handler)


def test_a_record_is_one_line_that_a_program_reads(lines: io.StringIO) -> None:
    logging.getLogger("prov_worker.agent.test_log").warning("%s: cannot be read: %s", "/a\nb", "näh")
    (line,) = lines.getvalue().splitlines()
    fields = parse(line)
    assert fields is not None
    assert (fields["level"], fields["pid"]) == ("WARNING", os.getpid())
    assert (fields["kind"], fields["text"]) == ("%s: cannot be read: %s", "/a\nb: cannot be read: näh")
    assert fields["time"].endswith("+00:00")
    assert "error" not in fields


def test_an_exception_has_its_error_and_its_traceback(lines: io.StringIO) -> None:
    try:
        {}["x"]
    except KeyError:
        logging.getLogger("prov_worker.agent.test_log").exception("failed")
    (line,) = lines.getvalue().splitlines()
    fields = json.loads(line)
    assert fields["error"] == "KeyError: 'x'"
    assert fields["traceback"].startswith("Traceback (most recent call last):\n")


@pytest.mark.parametrize("line", ["", "Traceback (most recent call last):", "{", "[]", "7", '{"level": 3}'])
def test_other_lines(line: str) -> None:
    assert parse(line) is None
