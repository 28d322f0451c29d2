"""Fail if more places of the code share four or more lines than are allowed (pylint's duplicate-code).

    python scripts/duplicates.py

Docstrings and signatures count, as they do for a reader. Imports do not: what a module uses is named at its head, and
two heads are not one thing said twice. The limits may be lowered, not raised.
"""

from __future__ import annotations

import subprocess
import sys

#: Directory and number of pairs that are allowed in it.
LIMITS = {"src": 0, "tests": 0}
OPTIONS = (
    "--disable=all",
    "--enable=duplicate-code",
    "--min-similarity-lines=4",
    "--ignore-imports=yes",
    "--ignore-docstrings=no",
    "--ignore-signatures=no",
    # Files of earlier releases, as they were written.
    "--ignore-paths=^tests/data/.*$",
    "--recursive=y",
    "--score=n",
)


def main() -> int:
    """Count pairs; print them if there are too many."""
    status = 0
    for directory, limit in LIMITS.items():
        done = subprocess.run(
            [sys.executable, "-m", "pylint", *OPTIONS, directory],
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        if done.stderr:
            sys.stderr.write(done.stderr)
        pairs = done.stdout.count("R0801")
        if pairs > limit:
            sys.stdout.write(done.stdout)
            print(f"duplicates: {directory}: {pairs} pairs of places share lines; {limit} are allowed", file=sys.stderr)
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
