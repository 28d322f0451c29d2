def die(seconds: float) -> None:
    """Work for a while, then be killed as the kernel's out-of-memory killer does it."""
    import os
    import signal
    import time

    end = time.monotonic() + seconds
    while time.monotonic() < end:
        sum(range(10_000))
    os.kill(os.getpid(), signal.SIGKILL)
