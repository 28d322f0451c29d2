def add(left: int, right: int) -> int:
    """Return at once: a task far shorter than the sampling interval."""
    return left + right
