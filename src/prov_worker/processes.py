"""Processes of this node, as ``/proc`` shows them (proc(5)): start, state, and whether one runs in a container.

A process id alone says nothing for long: it is given to another process once its own is gone. Id and start together
name a process until the next boot.
"""

from __future__ import annotations

import os

#: States of a process that runs no more: a zombie, a dead one, and one that is gone.
_ENDED = ("Z", "X", "")


#: The first name space of clocks (Linux, include/linux/proc_ns.h: PROC_TIME_INIT_INO).
_HOST_CLOCKS = f"time:[{0xEFFFFFFA}]"


def process_start(pid: int) -> int:
    """Return the start of a process in clock ticks since boot, field 22 of ``/proc/PID/stat``; 0 if it is gone."""
    fields = _stat_fields(pid)
    return int(fields[19]) if len(fields) > 19 else 0


def process_state(pid: int) -> str:
    """Return the state letter of a process, such as ``R`` or ``Z``; empty if it is gone."""
    fields = _stat_fields(pid)
    return fields[0].decode() if fields else ""


def is_running(pid: int, start: int | None = None) -> bool:
    """Return whether a process runs still; a zombie, which nobody has waited for, does not.

    Args:
        pid: its id, as this process sees it.
        start: its start, as of :func:`process_start`; None takes whichever process has the id now.
    """
    return (start is None or process_start(pid) == start) and process_state(pid) not in _ENDED


def runs_in_container(pid: int, start: int) -> bool:
    """Return whether a process runs in a name space of processes below this one (pid_namespaces(7)).

    Args:
        pid: its id in that name space; here it has another one.
        start: its start, which is the same in all name spaces.
    """
    try:
        numbers = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return False
    for number in numbers:
        if not is_running(number, start):
            continue
        try:
            with open(f"/proc/{number}/status") as file:
                ids = next((line.split()[1:] for line in file if line.startswith("NSpid:")), [])
        except OSError:
            continue
        if len(ids) > 1 and ids[-1] == str(pid):
            return True
    return False


def host_name() -> str:
    """Return this node's name as the product writes it: as uname(2) gives it, with its domain if it has one.

    What stands before the first dot would not do: some nodes are named by their address, and two clusters may differ
    in the domain alone.
    """
    return os.uname().nodename.replace("/", "_") or "localhost"


def boot_id() -> str:
    """Return what tells this boot of the machine from others; empty if the kernel does not say."""
    try:
        with open("/proc/sys/kernel/random/boot_id", "rb") as file:
            return file.read().decode("utf-8", "replace").strip()  # another codec would have to be imported
    except OSError:
        return ""


def pid_namespace() -> str:
    """Return the name space in which this process sees process ids (namespaces(7)); empty if it is not known.

    With it that of its clocks, unless it is the host's (time_namespaces(7)): by them processes have started at
    other times, and the monotonic clock cannot be compared with that of others.
    """
    try:
        processes = os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""
    try:
        clocks = os.readlink("/proc/self/ns/time")
    except OSError:
        return processes  # before Linux 5.6
    return processes if clocks == _HOST_CLOCKS else f"{processes} {clocks}"


def _stat_fields(pid: int) -> list[bytes]:
    """Return fields of ``/proc/PID/stat`` from the third on; the second, the name, may hold spaces and brackets."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            data = file.read()
    except OSError:
        return []
    return data[data.rindex(b")") + 2 :].split()
