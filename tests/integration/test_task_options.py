"""Options of a task that a client sends to our engines, in its specification of resources."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import functions
import pytest

from prov_worker import __version__
from prov_worker.crate.reader import StepCrate
from prov_worker.crate.sources import source_of
from prov_worker.crate.summary_reader import open_step
from prov_worker.globus.answers import read_message
from prov_worker.globus.call_packing import pack_arguments
from prov_worker.globus.embedded import EmbeddedEndpoint, TaskFailedError, TaskFuture
from prov_worker.jobs import Ledger
from prov_worker.jobs.matching import matches
from prov_worker.jobs.store import Store
from prov_worker.processes import is_running
from support import calls

pytestmark = pytest.mark.xdist_group("task_options")
LIMIT_S = 180


@pytest.fixture(scope="module")
def crates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("options") / "crates"


@pytest.fixture(scope="module")
def endpoint(crates: Path) -> Iterator[EmbeddedEndpoint]:
    with EmbeddedEndpoint(
        workers=2, provenance={"crate_dir": str(crates), "plots": "none"}, heartbeat_period_s=1
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
    with pytest.raises(TaskFailedError, match="^resource_specification: prov_worker: rum: unknown key; there is run, "):
        refused.result(LIMIT_S)
    assert asking(endpoint, {"run": "fit-7"}, functions.add, 1, 1).result(LIMIT_S) == 2
    assert not (crates / f"{refused.task_id}.crate").exists()


def test_a_time_limit_ends_a_task_and_no_other(
    endpoint: EmbeddedEndpoint, crates: Path, wait_for: Callable[..., None], tmp_path: Path
) -> None:
    """One that sleeps, and a command that would; the client learns it, and so does who reads the crates."""
    from globus_compute_sdk import ShellFunction

    other = endpoint.submit(calls.sleep, 3.0)
    late = asking(endpoint, {"time_limit": 0.5, "run": "fit-9"}, calls.sleep, 600.0)
    with pytest.raises(TaskFailedError, match=r"^time limit of 0\.5 s: worker process \d+ on .* was ended$"):
        late.result(LIMIT_S)
    command = asking(endpoint, {"time_limit": 1}, ShellFunction(f"echo $$ > {tmp_path}/pid; exec sleep 600"))
    quick = asking(endpoint, {"time_limit": 60}, functions.add, 1, 1)
    with pytest.raises(TaskFailedError, match="^time limit of 1 s"):
        command.result(LIMIT_S)
    assert (quick.result(LIMIT_S), other.result(LIMIT_S)) == (2, 3.0)
    wait_for(lambda: not is_running(int((tmp_path / "pid").read_text())), "the end of the command")
    answer = read_message(late.packed_result or b"")
    assert (answer.outcome, answer.by_worker, answer.code) == ("time_limit", False, "TASK_TIME_LIMIT")
    paths = [crates / f"{future.task_id}.crate" for future in (late, command, other)]
    wait_for(lambda: all(path.exists() for path in paths), "the crates")
    steps = [open_step(source_of(path))[0] for path in paths]
    assert [step.failure_kind for step in steps] == ["time_limit", "time_limit", None]
    assert (steps[0].error or "").startswith("time limit of 0.5 s: worker process ")
    assert steps[0].annotations == {"run": "fit-9"}
    assert not list(crates.glob("*.attempt-*"))


def test_tasks_are_cancelled_at_the_engines_word(
    endpoint: EmbeddedEndpoint, crates: Path, wait_for: Callable[..., None]
) -> None:
    """Running and queued ones; what has ended, and what the engine does not know, has ended."""
    ended = endpoint.submit(functions.add, 1, 1)
    assert ended.result(LIMIT_S) == 2
    running = [endpoint.submit(calls.sleep, 600.0) for _ in range(2)]
    queued = endpoint.submit(calls.sleep, 600.0)
    behind = endpoint.submit(functions.add, 2, 2)
    futures = [*running, queued, ended]
    request = {"cancel": [str(future.task_id) for future in futures], "by": "alice@login1"}
    answer = asking(endpoint, request, functions.add).result(LIMIT_S)
    assert answer["prov_worker"] == __version__
    outcomes = [answer["cancel"][str(future.task_id)][0] for future in futures]
    assert outcomes[:2] == ["cancelled", "cancelled"]
    assert outcomes[2] in ("cancelled", "asked")
    assert outcomes[3] == "ended"
    for future in (*running, queued):
        with pytest.raises(TaskFailedError, match=r"^cancelled by alice@login1: worker process \d+ on .* was ended$"):
            future.result(LIMIT_S)
        assert read_message(future.packed_result or b"").outcome == "cancelled"
    assert behind.result(LIMIT_S) == 4
    path = crates / f"{queued.task_id}.crate"
    wait_for(path.exists, "the crate")
    assert open_step(source_of(path))[0].failure_kind == "cancelled"
    assert asking(endpoint, {"about": True}, functions.add).result(LIMIT_S) == {"prov_worker": __version__}


def test_the_engine_knows_which_tasks_run(
    endpoint: EmbeddedEndpoint, tmp_path: Path, wait_for: Callable[..., None]
) -> None:
    """By what the agents of its nodes have written down last."""
    running = [endpoint.submit(calls.wait_for_file, str(tmp_path / "go")) for _ in range(2)]
    queued = endpoint.submit(functions.add, 1, 1)
    ids = [str(future.task_id) for future in (queued, *running)]
    question = {"running": [*ids, str(uuid.uuid4())]}
    wait_for(lambda: asking(endpoint, question, functions.add).result(LIMIT_S)["running"] == ids[1:], "both")
    (tmp_path / "go").touch()
    assert [future.result(LIMIT_S) for future in (*running, queued)][2] == 2
    wait_for(lambda: asking(endpoint, question, functions.add).result(LIMIT_S)["running"] == [], "their end")


def test_crates_tell_whose_task_is_whose(
    endpoint: EmbeddedEndpoint, crates: Path, tmp_path: Path, wait_for: Callable[..., None]
) -> None:
    """Jobs of a request that had no answer: those with digests, and as many of alike ones as there are tasks."""
    add, repeat = uuid.uuid4(), uuid.uuid4()
    sent: list[tuple[uuid.UUID, Callable[..., Any], tuple[Any, ...], dict[str, Any]]] = [
        (add, functions.add, (1, 2), {}),
        (add, functions.add, (1,), {"right": 2}),
        (add, functions.add, ([1, "a"], [2.5]), {}),
        (repeat, functions.repeat, ("ä", 2), {}),
        (repeat, functions.repeat, ("ä", 2), {}),
        (add, functions.add, (uuid.UUID(int=1).__class__, None), {}),  # a class has no digest
    ]
    futures = [
        endpoint.submit_as(uuid.uuid4(), function, args, kwargs, function_id=function_id)
        for function_id, function, args, kwargs in sent[:-2]
    ]
    tasks = [str(future.task_id) for future in futures]
    wait_for(lambda: all((crates / f"{task}.crate").exists() for task in tasks), "the crates")
    store = Store(tmp_path / "jobs.jsonl", {"group": "g"})
    for number, (function_id, _, args, kwargs) in enumerate(sent, 1):
        line = {"job": number, "name": "f", "function": str(function_id), "sha256": "", "at": 1.0}
        store.append([{**line, "payload": pack_arguments(args, kwargs)}])
    store.close()
    ledger = Ledger.read(tmp_path / "jobs.jsonl")
    pairs = matches(ledger.jobs.values(), [*tasks, str(uuid.uuid4())], crates, ledger.payload)
    told_apart = {job.id: tasks.index(task) + 1 for job, task in pairs}
    # (1, 2) by position and by name are alike: the same call
    assert told_apart in ({1: 1, 2: 2, 3: 3, 4: 4}, {1: 2, 2: 1, 3: 3, 4: 4})
    assert matches(ledger.jobs.values(), tasks, tmp_path / "none", ledger.payload) == []


@pytest.mark.parametrize(
    "request_, problem",
    [
        ({"cancel": [], "by": "a"}, "cancel: is not a list of 1 to 500 ids of tasks"),
        ({"cancel": ["x"], "by": "a"}, "cancel: is not a list of ids of tasks"),
        ({"cancel": [str(uuid.UUID(int=1))]}, "by: is not a name of 1 to 200 printable characters"),
        ({"cancel": [str(uuid.UUID(int=1))], "by": "a", "run": "x"}, "run: not together with cancel"),
        ({"about": True, "time_limit": 3}, "time_limit: not together with about"),
    ],
)
def test_requests_that_are_not_allowed(endpoint: EmbeddedEndpoint, request_: Any, problem: str) -> None:
    with pytest.raises(TaskFailedError, match=f"^resource_specification: prov_worker: {problem}"):
        asking(endpoint, request_, functions.add).result(LIMIT_S)


def test_a_stock_engine_refuses_them() -> None:
    """What a client sees of an endpoint that is not ours; other tasks are not hurt."""
    with EmbeddedEndpoint(engine="GlobusComputeEngine", workers=1) as stock:
        with pytest.raises(TaskFailedError, match="Task resource specification only accepts these types of resources"):
            asking(stock, {"run": "fit-7"}, functions.add, 1, 1).result(LIMIT_S)
        assert stock.submit(functions.add, 1, 1).result(LIMIT_S) == 2
