"""Network interfaces of this host, one of which the option ``interface`` names."""

from __future__ import annotations

import socket
from pathlib import Path

_DEVICES = Path("/sys/class/net")
_FEW = 8


def names() -> list[str]:
    """Return all of this host, in order of their names."""
    return sorted(name for _, name in socket.if_nameindex())


def problem(interface: str) -> str | None:
    """Return what is wrong with the option on this host; None if nothing is, or none is named."""
    if not interface or interface in names():
        return None
    here = names()
    # A host of virtual machines or containers has dozens, of which few lead anywhere.
    shown = here if len(here) <= _FEW else [*likely()[: _FEW - 1], "lo"]
    more = f" and {len(here) - len(shown)} more" if len(here) > len(shown) else ""
    return f"{interface} is not on this host (there are {', '.join(shown)}{more})"


def likely() -> list[str]:
    """Return those that may lead to other machines, devices first: no loopback, nothing of virtual machines."""
    devices = {name: _DEVICES / name for name in names() if name != "lo"}
    outward = [name for name, about in devices.items() if not (about / "bridge").exists() and not _of_a_guest(about)]
    return sorted(outward, key=lambda name: not (devices[name] / "device").exists())


def _of_a_guest(about: Path) -> bool:
    """Return whether it is a port of a bridge, as the host's end of a container's interface is, or a tap."""
    return (about / "brport").exists() or (about / "tun_flags").exists()
