def once(path):
    """Be killed at the first attempt; succeed at the second."""
    import os, signal
    if not os.path.exists(path):
        open(path, "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    return "done"
