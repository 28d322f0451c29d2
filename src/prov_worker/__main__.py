"""``prov-worker`` and ``python -m prov_worker``."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code.

    0: done. 1: done, with findings or failures. 2: bad input or usage. 130: interrupted.
    """
    try:
        return _main(arguments)
    except KeyboardInterrupt:  # while modules are imported
        sys.stderr.write("prov-worker: interrupted\n")
        return 130


def _main(arguments: Sequence[str] | None) -> int:
    try:
        import click  # noqa: F401
        import rich  # noqa: F401
    except ImportError as error:
        sys.stderr.write(
            f"prov-worker: the command line needs click and rich ({error}); "
            "install them with: pip install 'prov-worker[cli]'\n"
        )
        return 2
    from prov_worker.cli.main import run

    return run(arguments)


if __name__ == "__main__":
    sys.exit(main())
