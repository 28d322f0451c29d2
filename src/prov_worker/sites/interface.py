"""Network interfaces of this host, one of which the option ``interface`` names."""

from __future__ import annotations

import socket


def names() -> list[str]:
    """All of this host, in order of their names."""
    return sorted(name for _, name in socket.if_nameindex())


def problem(interface: str) -> str | None:
    """What is wrong with the option on this host; None where nothing is, or none is named."""
    if not interface or interface in names():
        return None
    return f"{interface} is not on this host (there are {', '.join(names())})"
