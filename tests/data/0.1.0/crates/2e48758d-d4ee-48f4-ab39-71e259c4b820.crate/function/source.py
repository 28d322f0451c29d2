def divide(left: float, right: float) -> float:
    """Divide; raises for zero."""
    return left / right
