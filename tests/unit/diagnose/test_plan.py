"""Plans, and what sites promise."""

from __future__ import annotations

from typing import Any

import pytest

from prov_worker.diagnose.checks import CHECKS
from prov_worker.diagnose.plan import make_plan, promise_of
from prov_worker.errors import InputError


def test_all_checks_in_the_order_in_which_they_are_read() -> None:
    names = ("connectivity", "environment", "parallel", "affinity", "gpu", "mpi", "crates")
    assert CHECKS.names() == make_plan([]).checks == names
    plan = make_plan(["gpu", "parallel"], ranks=8, nodes=2)
    assert plan.checks == ("parallel", "gpu")
    assert plan.resources == {"num_nodes": 2, "ranks_per_node": 4, "num_ranks": 8}
    assert (plan.ranks, make_plan([]).ranks) == (8, 2)


@pytest.mark.parametrize(
    ("checks", "options", "problem"),
    [
        (["gpus"], {}, "check: 'gpus': not one of connectivity, environment"),
        ([], {"tasks": 0}, "number of tasks: 0: must be at least 1"),
        ([], {"timeout_s": 0}, "timeout: 0: must be more than 0 seconds"),
        ([], {"timeout_s": float("nan")}, "timeout: nan: must be more than 0 seconds"),
        ([], {"ranks": 3, "nodes": 2}, "ranks: 3 cannot be shared out evenly among 2 nodes"),
        ([], {"site": "summit"}, "summit: no such site"),
        ([], {"site": "polaris", "options": {"affinity": "list:a"}}, "affinity: 'a' is not a CPU"),
    ],
)
def test_bad_input(checks: list[str], options: dict[str, Any], problem: str) -> None:
    with pytest.raises(InputError) as error:
        make_plan(checks, **options)
    assert problem in str(error.value)


def test_promises_of_sites() -> None:
    aurora = promise_of("aurora", {"nodes_per_block": 2})
    assert (aurora.workers, aurora.nodes, len(aurora.accelerators)) == (12, 2, 12)
    assert aurora.cpu_lists is not None
    assert aurora.cpu_lists[0] == (*range(1, 9), *range(105, 113))
    assert promise_of("perlmutter-gpu", {}).cpu_lists is not None
    local = promise_of("local", {"workers": 5, "not_an_option": 1})
    assert (local.workers, local.cpu_lists, local.accelerators) == (5, None, ())
    with_mpi = {"mpi": "mpiexec", "mpi_tasks": 2, "nodes_per_block": 6}
    assert promise_of("aurora", with_mpi).accelerators == ()
    for nodes, tasks in ((1, 2), (3, 2), (4, 1)):
        assert make_plan([], site="aurora", options=with_mpi, ranks=12, nodes=nodes).promised_tasks == tasks
    assert make_plan([], site="aurora", options={"nodes_per_block": 2}).promised_tasks == 24
    assert make_plan([]).promised_tasks is None
