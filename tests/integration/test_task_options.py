"""Options of a task that a client sends to our engines, in its specification of resources."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import functions
import pytest

from prov_worker.crate.reader import StepCrate
from prov_worker.globus.embedded import EmbeddedEndpoint, TaskFailedError, TaskFuture

pytestmark = pytest.mark.xdist_group("task_options")
LIMIT_S = 180


@pytest.fixture(scope="module")
def crates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("options") / "crates"


@pytest.fixture(scope="module")
def endpoint(crates: Path) -> Iterator[EmbeddedEndpoint]:
    with EmbeddedEndpoint(
        workers=1, provenance={"crate_dir": str(crates), "plots": "none"}, heartbeat_period_s=1
    ) as started:
        yield started


def asking(endpoint: EmbeddedEndpoint, options: Any, function: Callable[..., Any], *args: Any) -> TaskFuture:
    return endpoint.submit_as(uuid.uuid4(), function, args, resource_specification={"prov_worker": options})


def test_a_run_is_in_the_crates_of_its_tasks(
    endpoint: EmbeddedEndpoint, crates: Path, wait_for: Callable[..., None]
) -> None:
    """Of quick tasks, of one that names another run itself, and of one whose worker dies."""
    quick = [asking(endpoint, {"run": "fit-7"}, functions.add, number, 1) for number in range(20)]
    itself = asking(endpoint, {"run": "fit-7"}, functions.in_run, "fit-8")
    other = endpoint.submit(functions.add, 1, 1)
    dying = asking(endpoint, {"run": "fit-7"}, functions.die)
    assert [future.result(LIMIT_S) for future in quick] == list(range(1, 21))
    assert (itself.result(LIMIT_S), other.result(LIMIT_S)) == ("fit-8", 2)
    with pytest.raises(TaskFailedError, match="WorkerLost"):
        dying.result(LIMIT_S)
    futures = [*quick, itself, other, dying]
    paths = [crates / f"{future.task_id}.crate" for future in futures]
    wait_for(lambda: all(path.exists() for path in paths), "the crates")
    runs = [StepCrate.open(path).annotations.get("run") for path in paths]
    assert runs == [*["fit-7"] * 20, "fit-8", None, "fit-7"]


def test_what_is_not_allowed_is_the_tasks_error_and_nothing_runs(endpoint: EmbeddedEndpoint, crates: Path) -> None:
    refused = asking(endpoint, {"rum": "x"}, functions.add, 1, 1)
    with pytest.raises(TaskFailedError, match="^resource_specification: prov_worker: rum: unknown key; there is run"):
        refused.result(LIMIT_S)
    assert asking(endpoint, {"run": "fit-7"}, functions.add, 1, 1).result(LIMIT_S) == 2
    assert not (crates / f"{refused.task_id}.crate").exists()


def test_a_stock_engine_refuses_them() -> None:
    """What a client sees of an endpoint that is not ours; other tasks are not hurt."""
    with EmbeddedEndpoint(engine="GlobusComputeEngine", workers=1) as stock:
        with pytest.raises(TaskFailedError, match="Task resource specification only accepts these types of resources"):
            asking(stock, {"run": "fit-7"}, functions.add, 1, 1).result(LIMIT_S)
        assert stock.submit(functions.add, 1, 1).result(LIMIT_S) == 2
