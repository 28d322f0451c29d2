"""Reading the small files of /proc, /sys and /etc, any of which may be missing or refuse."""

from __future__ import annotations

from pathlib import Path

_MAX_BYTES = 16 * 1024 * 1024


def read_text(path: Path) -> str | None:
    """Return content without surrounding white space, at most 16 MiB; None if the file cannot be read."""
    try:
        with open(path, "rb") as file:
            return file.read(_MAX_BYTES).decode("utf-8", "replace").strip()
    except (OSError, ValueError):
        return None


def read_int(path: Path) -> int | None:
    """Return an integer, decimal or with a prefix such as ``0x``; None if there is none."""
    return parse_int(read_text(path))


def parse_int(text: str | None) -> int | None:
    """Return an integer, decimal or with a prefix such as ``0x``; None if the text is none."""
    try:
        return int(text, 0) if text else None
    except ValueError:
        return None


def numbered(directory: Path, prefix: str) -> list[Path]:
    """Return entries named ``<prefix><number>``, by number; empty if there is no such directory."""
    try:
        entries = [entry for entry in directory.iterdir() if entry.name[len(prefix) :].isdigit()]
    except OSError:
        return []
    return sorted(
        (entry for entry in entries if entry.name.startswith(prefix)), key=lambda entry: int(entry.name[len(prefix) :])
    )


def read_numa_node(sys: Path, pci: str | None) -> int | None:
    """Return the NUMA node of a PCI device; None if it has none, or is not known.

    Args:
        sys: root of sysfs.
        pci: address such as ``0000:07:00.0``.
    """
    node = read_int(sys / "bus/pci/devices" / pci / "numa_node") if pci else None
    return node if node is not None and node >= 0 else None
