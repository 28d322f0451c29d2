"""What recording costs and what it yields: every figure paired with its alternative, in one run.

``python -m benchmarks`` (or ``make bench``) prints a table and writes ``benchmarks/results.json``.
"""
