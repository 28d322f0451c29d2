"""Priority of the process that writes crates: that of the workers until it does so, and lower from then on.

On a node whose processors are all busy a process of the lowest priority gets a hundredth of one (sched(7)): an agent
that began like this would not have begun when the tasks are over. So it starts as its workers did, and lowers itself
once it has written a crate. The process that samples stays as it is: beside 64 busy workers on two cores it takes three
samples in the time of one at a niceness of 5, and it needs two hundredths of a core for them
(``python -m benchmarks --only full``).
"""

from __future__ import annotations

import contextlib
import errno
import os

#: A quarter of a core beside workers that take all of them, if it needs so much: some hundred crates a second.
WRITING = 5
#: A tenth of a core: what it may take from quick tasks that follow one another for long.
IN_A_BURST = 10


class Priority:
    """Lowers the priority of this process, step by step.

    If the kernel groups sessions (``sched_autogroup_enabled``, sched(7)), niceness counts only within a session. So
    the session is made nice in the same way, if it is this process's own. The kernel takes such a change only every
    tenth of a second from users without rights, all of them together: it is tried again at each call until it is done.
    """

    def __init__(self) -> None:
        self._of_process = self._of_session = 0

    def lower(self, nice: int) -> bool:
        """Lower it, unless that is done.

        Args:
            nice: what is added to the niceness that the process was started with; less than before does nothing.

        Returns:
            Whether it is done.
        """
        if nice > self._of_process:
            with contextlib.suppress(OSError):
                os.nice(nice - self._of_process)
            self._of_process = nice
        if nice > self._of_session and _lower_session(nice):
            self._of_session = nice
        return nice <= self._of_session


def _lower_session(nice: int) -> bool:
    try:
        if os.getsid(0) == os.getpid():
            with open("/proc/self/autogroup", "w") as file:
                file.write(str(nice))
    except OSError as error:
        return error.errno != errno.EAGAIN
    return True
