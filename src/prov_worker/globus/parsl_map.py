"""Spreads reading over the workers of a Parsl executor: the engine that users of Globus Compute run already."""

from __future__ import annotations

import importlib
import os
import runpy
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prov_worker.errors import InputError, ProvWorkerError

#: Pieces on their way at once; more would only fill memory.
_MOST_WAITING = 256
#: Of an error that holds a job's whole output.
_LINE_CHARS = 600


@contextmanager
def over_parsl(config: str) -> Iterator[Callable[[Callable[[Any], Any], Iterable[Any]], Iterator[Any]]]:
    """Start Parsl, and give a function that calls another one with each of many arguments on its workers.

    The workers need this package and must see the same file system.

    Args:
        config: a Python file that sets ``config`` to a ``parsl.Config``, or ``module:attribute``.

    Raises:
        InputError: Parsl is missing, or the configuration is none.
        ProvWorkerError: a call failed on the workers, or there are none; raised by the function that is given.
    """
    try:
        import parsl
    except ImportError as error:
        raise InputError(
            f"--parsl needs parsl, which is not here ({error}); install it with: pip install parsl"
        ) from error
    parsl_config = _read(config)
    before = os.environ.get("PATH", "")
    # Executors start their programs by name: those of this environment come first.
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), before])
    try:
        try:
            kernel = parsl.load(parsl_config)
        except Exception as error:  # whatever an executor of the user's raises
            raise InputError(f"{config}: Parsl does not start with it: {_line(error)}") from error
        with kernel:
            yield lambda function, pieces: _map(kernel, function, pieces)
    finally:
        os.environ["PATH"] = before


def _map(kernel: Any, function: Callable[[Any], Any], pieces: Iterable[Any]) -> Iterator[Any]:
    from concurrent.futures import FIRST_COMPLETED, wait

    waiting: set[Any] = set()
    for piece in pieces:
        # Not as an app, a wrapper that goes whole: on Python 3.14, dill 0.3.9 sends a function by its name alone.
        waiting.add(kernel.submit(function, (piece,), "all", False, None, {}))
        if len(waiting) >= _MOST_WAITING:
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            yield from map(_result, done)
    while waiting:
        done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
        yield from map(_result, done)


def _result(future: Any) -> Any:
    try:
        return future.result()
    except Exception as error:  # Parsl's own, of a block that does not start, or what a worker lacks
        raise ProvWorkerError(f"--parsl: failed on the workers: {_line(error)}") from error


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:_LINE_CHARS]


def _read(config: str) -> Any:
    import parsl

    path = Path(config)
    if path.suffix == ".py" or path.exists():
        if not path.is_file():
            raise InputError(f"{config}: no such file")
        try:
            parsl_config = runpy.run_path(str(path)).get("config")
        except (Exception, SystemExit) as error:
            raise InputError(f"{config}: {type(error).__name__}: {error}") from error
        where = f"{config}: config"
    else:
        module, _, attribute = config.partition(":")
        try:
            parsl_config = getattr(importlib.import_module(module), attribute or "config")
        except (ImportError, AttributeError, ValueError) as error:
            raise InputError(f"{config}: {error}; expected a file, or module:attribute") from error
        where = config
    if callable(parsl_config) and not isinstance(parsl_config, parsl.Config):
        parsl_config = parsl_config()
    if not isinstance(parsl_config, parsl.Config):
        raise InputError(f"{where}: expected a parsl.Config, got {type(parsl_config).__name__}")
    return parsl_config
