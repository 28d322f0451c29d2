"""The engines' own decisions, without an interchange."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from globus_compute_endpoint.engines import GlobusComputeEngine, GlobusMPIEngine

from prov_worker.globus.engine import ProvenanceEngine, ProvenanceMPIEngine
from prov_worker.globus.remote_errors import entered_helper, is_missing_package_error


@pytest.mark.parametrize("name", ["start", "submit", "_submit", "_handle_task_exception", "shutdown"])
@pytest.mark.parametrize(
    "ours, stock", [(ProvenanceEngine, GlobusComputeEngine), (ProvenanceMPIEngine, GlobusMPIEngine)]
)
def test_overrides_take_what_the_stock_methods_take(ours: type, stock: type, name: str) -> None:
    mine, theirs = inspect.signature(getattr(ours, name)), inspect.signature(getattr(stock, name))
    assert [(p.name, p.kind) for p in mine.parameters.values()] == [
        (p.name, p.kind) for p in theirs.parameters.values()
    ]


def raised(code: str, function: str, error: Exception) -> Exception:
    """An exception with ``function`` in its traceback, as one that comes back from a worker."""
    namespace: dict[str, Any] = {"error": error}
    exec(f"def {function}():\n    {code}", namespace)
    try:
        namespace[function]()
    except Exception as caught:
        return caught
    raise AssertionError(code)


def missing() -> ImportError:
    return ModuleNotFoundError("No module named 'prov_worker'", name="prov_worker")


@pytest.mark.parametrize(
    "error, lacks",
    [
        (missing(), True),
        (ImportError("cannot import name", name="prov_worker.recorder"), True),
        (raised("raise error", "import_module", SyntaxError("match")), True),
        (raised("raise error", "worker", AttributeError("module has no attribute 'execute_task'")), True),
        (raised("raise error", "worker", TypeError("execute_task() got an unexpected keyword argument")), True),
        # The user's function may have begun: never again.
        (raised("raise error", "execute_task", missing()), False),
        (raised("raise error", "execute_task", TypeError("execute_task() missing 1 argument")), False),
        (ModuleNotFoundError("No module named 'numpy'", name="numpy"), False),
        (raised("raise error", "worker", ValueError("WorkerLost")), False),
    ],
)
def test_only_a_task_that_cannot_have_begun_is_sent_again(error: Exception, lacks: bool) -> None:
    assert is_missing_package_error(error) is lacks


def test_a_helper_in_the_traceback_means_that_the_worker_lives() -> None:
    assert entered_helper(raised("raise error", "execute_task", OSError("disk full")))
    assert not entered_helper(raised("raise error", "result_thread", OSError("lost")))
