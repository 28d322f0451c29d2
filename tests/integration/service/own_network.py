"""A network of a test's own: stock software looks for a local service on port 5000 alone, and tests run in parallel.

Linux keeps the network namespace by thread; processes and threads inherit it from the thread that starts them. So the
thread of the tests moves into a new one, and back again.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_CLONE_NEWNET = 0x40000000
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 0x1
_libc = ctypes.CDLL(None, use_errno=True)


def _loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = bytearray(struct.pack("16sh22x", b"lo", 0))
        fcntl.ioctl(control, _SIOCGIFFLAGS, request)
        flags = struct.unpack_from("h", request, 16)[0] | _IFF_UP
        struct.pack_into("h", request, 16, flags)
        fcntl.ioctl(control, _SIOCSIFFLAGS, request)


@contextmanager
def own_network(lock: Path) -> Iterator[str]:
    """Port 5000 for this thread alone: in a network of its own where that can be made, else by a lock.

    Yields what it is, in a word.
    """
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if _libc.unshare(_CLONE_NEWNET) == 0:
            try:
                _loopback_up()
                yield "namespace"
            finally:
                if _libc.setns(before, _CLONE_NEWNET) != 0:
                    raise OSError(ctypes.get_errno(), "cannot leave the network namespace")
            return
        with lock.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield "lock"
    finally:
        os.close(before)
