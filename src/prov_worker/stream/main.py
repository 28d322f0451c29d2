"""The sender that an agent starts: a process of its own, within limits, that ends with the agent.

It reads one line from standard input, its configuration, and sends until that is closed: then it sends what is left,
for some seconds. What is wrong goes to standard error, which is the agent's log.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import signal
import sys
import threading

from prov_worker.agent.log import JsonLines
from prov_worker.stream.sender import Sender
from prov_worker.stream_url import StreamUrl

log = logging.getLogger(__name__)

#: After the agent's end.
END_S = 10.0
_MAX_DATA_BYTES = 1 << 30
_NICE = 5


def main() -> None:
    """Send until standard input is closed; exit status 0."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # it ends with its agent
    os.umask(0o077)
    os.nice(_NICE)
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    most = _MAX_DATA_BYTES if hard == resource.RLIM_INFINITY else min(_MAX_DATA_BYTES, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (most, hard))
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    configuration = json.loads(sys.stdin.readline())
    urls = [StreamUrl(text, number) for text, number in configuration["urls"]]
    sender = Sender(configuration["crate_dir"], urls, log.warning)
    sender.start()
    closed = threading.Event()
    threading.Thread(target=_wait_for_end, args=(closed,), daemon=True).start()
    while sender.is_alive and not closed.wait(1.0):
        pass
    sender.end(END_S)
    logging.shutdown()
    os._exit(0)  # a sink may hang in a call that nothing interrupts


def _wait_for_end(closed: threading.Event) -> None:
    while sys.stdin.read(4096):
        pass
    closed.set()
