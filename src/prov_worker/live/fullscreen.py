"""A terminal taken over: the other screen, keys as they are pressed, and a new picture when something has changed."""

from __future__ import annotations

import codecs
import contextlib
import os
import select
import shutil
import signal
import sys
import termios
import threading
import time
import tty
from collections.abc import Callable, Iterator
from types import FrameType

from prov_worker.live.model import View
from prov_worker.live.screen import BAD, CHOSEN, FAINT, HEAD, PLAIN, TITLE, Line, Screen

#: ECMA-48; the other screen and the cursor are xterm's, which all terminals of today have.
_ENTER, _LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[0m\x1b[?25h\x1b[?1049l"
_STYLES = {PLAIN: "", TITLE: "\x1b[1m", HEAD: "\x1b[1;7m", CHOSEN: "\x1b[7m", BAD: "\x1b[31m", FAINT: "\x1b[2m"}
_SEQUENCES = {
    "[A": "up", "OA": "up", "[B": "down", "OB": "down", "[5~": "page-up", "[6~": "page-down",
    "[H": "home", "OH": "home", "[1~": "home", "[F": "end", "OF": "end", "[4~": "end",
}  # fmt: skip
_CONTROLS = {"\r": "enter", "\n": "enter", "\x7f": "backspace", "\x08": "backspace"}
#: What follows an escape within this is the rest of a key.
_ESCAPE_S = 0.05
_REDRAW_S = 1.0
#: After a look that is late by more than this the clock goes on without it; else each look would be drawn twice.
_LATE_S = 0.25


def can_take_over() -> bool:
    """Return whether there is a terminal that can show a full screen."""
    return sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM", "dumb") not in ("dumb", "")


def run(screen: Screen, look: Callable[[], View], interval_s: float) -> None:
    """Show a screen until it is closed.

    Looks are taken by another thread: a file system that hangs holds up what is seen, and no key.

    Args:
        screen: takes what is seen, and keys.
        look: gives what is seen.
        interval_s: pause between two looks.

    Raises:
        Exception: whatever ``look`` raises.
        KeyboardInterrupt: Ctrl-C.
    """
    with _taken_over() as (keys, wake):
        looks = _Looks(look, interval_s, wake)
        picture = ""
        pause_s = interval_s + _LATE_S if interval_s <= _REDRAW_S else _REDRAW_S
        while True:
            view = looks.latest()
            if view is not None:
                screen.show(view)
            text = paint(screen.lines(*_size()))
            if text != picture:
                sys.stdout.write(text)
                sys.stdout.flush()
                picture = text
            for key in keys.read(pause_s):
                if not screen.press(key):
                    return


def paint(lines: list[Line]) -> str:
    """Return what draws lines on a terminal, over what was there."""
    return "\x1b[H" + "\r\n".join(f"{_STYLES[line.style]}{line.text}\x1b[0m\x1b[K" for line in lines) + "\x1b[J"


def _size() -> tuple[int, int]:
    columns, rows = shutil.get_terminal_size()
    with contextlib.suppress(OSError):
        columns, rows = os.get_terminal_size(sys.stdout.fileno())
    return max(1, columns), max(1, rows)


class _Looks:
    """Looks, one after the other, by a thread that ends with the program."""

    def __init__(self, look: Callable[[], View], interval_s: float, wake: int) -> None:
        self._look, self._interval_s, self._wake = look, interval_s, wake
        self._view: View | None = None
        self._error: Exception | None = None
        threading.Thread(target=self._run, name="looks", daemon=True).start()

    def latest(self) -> View | None:
        """Return what was seen last; None before.

        Raises:
            Exception: what a look has raised.
        """
        if self._error is not None:
            raise self._error
        return self._view

    def _run(self) -> None:
        while self._error is None:
            try:
                self._view = self._look()
            except Exception as error:
                self._error = error
            with contextlib.suppress(OSError):  # the screen is closed
                os.write(self._wake, b"\0")
            time.sleep(self._interval_s)


class Keys:
    """Keys as they are pressed.

    Args:
        terminal: descriptor of the terminal.
        wake: descriptor that ends the wait for a key.
    """

    def __init__(self, terminal: int, wake: int) -> None:
        self._terminal, self._wake = terminal, wake
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def read(self, timeout_s: float) -> Iterator[str]:
        """Yield the keys that were pressed: none after a while, or if the wait was ended.

        Raises:
            EOFError: the terminal is gone.
        """
        ready, _, _ = select.select([self._terminal, self._wake], [], [], timeout_s)
        if self._wake in ready:
            os.read(self._wake, 4096)
        if self._terminal in ready:
            yield from self._keys(self._text())

    def _text(self) -> str:
        data = os.read(self._terminal, 1024)
        if not data:
            raise EOFError
        if data == b"\x1b" and select.select([self._terminal], [], [], _ESCAPE_S)[0]:
            data += os.read(self._terminal, 1024)
        return self._decoder.decode(data)

    def _keys(self, text: str) -> Iterator[str]:
        while text:
            if text[0] != "\x1b":
                yield _CONTROLS.get(text[0], text[0])
                text = text[1:]
                continue
            sequence = next((name for name in _SEQUENCES if text.startswith(name, 1)), None)
            if sequence is not None:
                yield _SEQUENCES[sequence]
                text = text[1 + len(sequence) :]
            elif text[1:2] in ("[", "O"):
                return  # a key that has no use here
            else:
                yield "escape"
                text = text[1:]


@contextlib.contextmanager
def _taken_over() -> Iterator[tuple[Keys, int]]:
    """Take the terminal over, and give it back as it was, whatever ends this."""
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    reading, writing = os.pipe()
    for descriptor in (reading, writing):
        os.set_blocking(descriptor, False)
    earlier = {number: signal.signal(number, _leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    earlier[signal.SIGWINCH] = signal.signal(signal.SIGWINCH, lambda *_: None)
    wakeup = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    try:
        tty.setcbreak(terminal)
        sys.stdout.write(_ENTER)
        sys.stdout.flush()
        yield Keys(terminal, reading), writing
    finally:
        signal.set_wakeup_fd(wakeup)
        for number, handler in earlier.items():
            signal.signal(number, handler)
        with contextlib.suppress(OSError, termios.error):  # the terminal may be what has gone
            sys.stdout.write(_LEAVE)
            sys.stdout.flush()
            termios.tcsetattr(terminal, termios.TCSADRAIN, before)
        os.close(reading)


def _leave(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
