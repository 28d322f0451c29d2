"""``prov-worker stream``: events of tasks to queues and databases."""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from prov_worker.cli.common import terminal
from prov_worker.cli.common.examples import examples
from prov_worker.errors import InputError
from prov_worker.humanize import plural

if TYPE_CHECKING:
    from prov_worker.stream.sender import Sender
    from prov_worker.stream_url import StreamUrl

_LOOK_S = 0.2
#: After an interruption.
_END_S = 5.0


@examples(
    "prov-worker stream crates jsonl:-",
    "prov-worker stream crates sqlite:live.sqlite postgresql://me@db.example.org/prov",
)
@click.command("stream")
@click.argument("directory", type=terminal.PATH, metavar="DIR")
@click.argument("urls", nargs=-1, required=True, metavar="URL...")
@click.option("--once", is_flag=True, help="Send what is there, and end: for cron.")
@click.option("--timeout", default=60.0, show_default=True, metavar="S", help="With --once: seconds it may take.")
@click.option("-n", "--dry-run", is_flag=True, help="Check addresses and count what waits; connect to nothing.")
@click.option("--json", "as_json", is_flag=True, help="What was sent, or waits, as JSON.")
def command(directory: str, urls: tuple[str, ...], once: bool, timeout: float, dry_run: bool, as_json: bool) -> int:
    """Send events of the tasks whose crates are in DIR to each URL, until it is interrupted.

    A URL has no password: that is in the variable PROV_WORKER_STREAM_PASSWORD_<n>, for the n-th URL, or in a private
    file, ?password_file=PATH. Exit code 1 if events are left, as a sink did not take them.
    """
    from prov_worker.spool.paths import is_crate_dir
    from prov_worker.stream.sender import Sender
    from prov_worker.stream_url import stream_urls

    if not is_crate_dir(str(Path(directory).resolve())):
        raise InputError(f"{directory}: no such directory")
    try:
        addresses = stream_urls(urls)
    except ValueError as error:
        raise InputError(f"URL: {error}") from None
    for url in addresses:
        _check_path(url)
    to_stdout = any(url.text == "jsonl:-" for url in addresses)
    if to_stdout and as_json:
        raise click.UsageError("--json and jsonl:- both write to standard output.")
    sender = Sender(str(Path(directory).resolve()), addresses, _say, strict=True)
    if not dry_run:
        _send(sender, timeout if once else None)
    rows = [_row(stream, dry_run=dry_run) for stream in sender.streams]
    if as_json:
        terminal.print_json({"directory": directory, "sinks": rows})
    else:
        for row in rows:
            sent = "" if dry_run else f"{plural(row['sent'], 'event')} sent, "
            text = f"{row['url']}: {sent}{plural(row['waiting'], 'event')} waiting"
            click.echo(terminal.line(f"{text}: {row['problem']}" if row["problem"] else text), err=to_stdout)
    return 1 if not dry_run and any(row["waiting"] or row["problem"] for row in rows) else 0


def _check_path(url: StreamUrl) -> None:
    """Refuse a path at which no file can be: to wait for one is of no use.

    Raises:
        InputError: it is a directory, or there is no directory for it.
    """
    from prov_worker.files import need_file_path
    from prov_worker.stream_url import PATHS

    if url.sink in PATHS and url.path != "-":
        need_file_path(Path(url.path).expanduser())


def _send(sender: Sender, once_s: float | None) -> None:
    """Send until a signal comes; with ``once_s``, what is there now, for at most so many seconds."""
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # as nohup leaves it
            signal.signal(number, lambda *_: ended.set())
    sender.ask()
    if once_s is not None:
        with terminal.counted("sending events") as show:
            for stream in sender.streams:
                stream.end(once_s)
            sender.start()
            until = time.monotonic() + once_s
            while sender.is_alive and not ended.wait(_LOOK_S) and time.monotonic() < until:
                sent = sum(stream.lane.sent for stream in sender.streams)
                show(sent, sent + sum(stream.lane.waiting() for stream in sender.streams))
        sender.end(_LOOK_S)
        return
    sender.start()
    while sender.is_alive and not ended.wait(_LOOK_S):
        sender.ask()
    sender.end(_END_S)


def _row(stream: Any, *, dry_run: bool) -> dict[str, Any]:
    url: StreamUrl = stream.lane.url
    row = {"url": url.text, "sent": stream.lane.sent, "waiting": stream.lane.waiting()}
    return {**row, "odd_lines": stream.lane.odd, "problem": None if dry_run else stream.problem or None}


def _say(text: str, *values: object) -> None:
    terminal.complain(text % values)
