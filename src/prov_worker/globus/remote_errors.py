"""What an exception that came back from an executor says about where it was raised.

Parsl's worker (``parsl/executors/high_throughput/process_worker_pool.py``) imports the module of the function that it
was asked to call, gets the function and calls it; an exception on the way comes back with its traceback (by tblib).
The stock helper turns whatever the user's function raises into a result: what comes back as an exception was raised
around it, by the executor for a worker that is gone, or before the helper began.
"""

from __future__ import annotations

from collections.abc import Iterator

_HELPER = "execute_task"


def _functions(error: BaseException) -> Iterator[str]:
    """Yield names of the functions in an exception's traceback, outermost first."""
    traceback = error.__traceback__
    while traceback is not None:
        yield traceback.tb_frame.f_code.co_name
        traceback = traceback.tb_next


def entered_helper(error: BaseException) -> bool:
    """Return whether the exception was raised inside a worker's helper: the worker lives, and has recorded it."""
    return _HELPER in _functions(error)


def is_missing_package_error(error: BaseException) -> bool:
    """Return whether the exception says that the worker could not load or call the recording helper.

    Then the user's function cannot have begun, and the same attempt may be sent again. True for a package that is
    missing, that does not load there (an interpreter too old for it), or that is of another, incompatible version.
    """
    functions = list(_functions(error))
    if _HELPER in functions:
        return False
    if isinstance(error, ImportError) and (error.name or "").partition(".")[0] == "prov_worker":
        return True
    if "import_module" in functions:
        return True
    return isinstance(error, (AttributeError, TypeError)) and f"{_HELPER}" in str(error) and bool(functions)
