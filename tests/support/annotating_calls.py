"""Functions that tests send to workers, and that speak to the recorder: by their names, as those of ``calls.py``.

Each imports what it needs: its source may be all that arrives.
"""

from __future__ import annotations

from typing import Any


def annotate_and_die(path: str, times: int) -> None:
    """Say what the task reads and is about, then die; ``times`` calls before it say the same and live."""
    import os
    import signal

    import prov_worker

    prov_worker.used(path)
    prov_worker.used(path)
    prov_worker.annotate(model="linear", api_token="s3cr3t-s3cr3t")
    prov_worker.annotate(model="cubic")
    prov_worker.generated(path + ".out")
    if times == 0:
        os.kill(os.getpid(), signal.SIGKILL)


def note_past_a_time_limit(kind: str) -> str:
    """Note things until a signal's handler raises, which it does while the recorder works most of the time."""
    import signal
    import time

    import prov_worker

    class LimitError(Exception):
        pass

    raised: type[Exception] = LimitError if kind == "own" else TimeoutError

    def stop(*_: Any) -> None:
        raise raised("the time is over")

    signal.signal(signal.SIGALRM, stop)
    calm = 0
    for _ in range(20):
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        until = time.monotonic() + 5
        try:
            while time.monotonic() < until:
                prov_worker.annotate(model="x" * 900)
                prov_worker.used(f"/nowhere/{time.monotonic_ns()}")
                prov_worker.generated("/nowhere/it")
            calm += 1
            break
        except raised:
            continue
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    return "swallowed" if calm else "passed on"


def note_for(seconds: float) -> str:
    """Note things for so long."""
    import time

    import prov_worker

    until = time.monotonic() + seconds
    while time.monotonic() < until:
        prov_worker.annotate(model="x" * 900)
    return "ran past its limit"


def note_what_has_no_text() -> str:
    """Note objects whose own text fails."""
    import prov_worker

    class Odd:
        def __repr__(self) -> str:
            raise ValueError

        def __fspath__(self) -> str:
            raise OSError

    prov_worker.annotate(model=Odd())
    prov_worker.used(Odd())
    return "went on"


def replace_clocks() -> str:
    """Replace what tells the time, as programs do that test others at other dates."""
    import time

    import prov_worker

    for name in ("time_ns", "monotonic_ns", "monotonic", "time"):
        setattr(time, name, lambda: 7)
    prov_worker.annotate(clocks="replaced")
    return "replaced"


def roll() -> str:
    """Leave a file and a number that are others each time."""
    import os
    import random

    import prov_worker

    with open("rolled.dat", "wb") as file:
        file.write(os.urandom(100))
    prov_worker.annotate(loss=random.random(), epochs=3)
    return "rolled"


def read_used(path: str) -> int:
    """Say that a file is used, and return its size."""
    import prov_worker

    prov_worker.used(path)
    with open(path, "rb") as file:
        return len(file.read())
