"""Runs a command, once, and writes down how it ended, whatever becomes of the trigger: a process of its own.

    python keeper.py PREFIX COMMAND PATH

``PREFIX.began`` is made by a link, which only the first can make: a second keeper of the same attempt ends at once.
``PREFIX.ended`` has the exit status, or minus the number of the signal. Standard library only, and nothing of this
package: it runs without site-packages, to begin soon.
"""

import os
import sys


def main(prefix: str, command: str, path: str) -> int:
    """Run the command with PATH as ``$1``; its output goes to ``PREFIX.log``."""
    with open("/proc/self/stat", "rb") as stat:
        start = stat.read().rpartition(b") ")[2].split()[19].decode()
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as boot:
        identity = f"{os.getpid()} {start} {boot.read().strip()}\n"
    own = f"{prefix}.{os.getpid()}"
    _write(own, identity)
    try:
        os.link(own, f"{prefix}.began")
    except FileExistsError:
        return 0
    finally:
        os.unlink(own)
    log = os.open(f"{prefix}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_DUP2, log, 1),
        (os.POSIX_SPAWN_DUP2, log, 2),
    ]
    child = os.posix_spawn("/bin/sh", ["sh", "-c", command, "sh", path], os.environ, file_actions=actions)
    _, status = os.waitpid(child, 0)
    _write(own, f"{os.waitstatus_to_exitcode(status)}\n")
    os.rename(own, f"{prefix}.ended")
    return 0


def _write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.write(descriptor, text.encode())
    os.fsync(descriptor)
    os.close(descriptor)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:4]))
