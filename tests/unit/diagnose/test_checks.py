"""Each check judges what workers said: the right sentence for each fault, and none for a sound endpoint."""

from __future__ import annotations

from typing import Any

import pytest

from prov_worker.crate import vocabulary as v
from prov_worker.diagnose.plan import make_plan
from prov_worker.errors import ProvWorkerError
from prov_worker.globus.answers import Answer
from prov_worker.globus.endpoint_report import EndpointReport
from prov_worker.globus.task_client import NoRightsError, RefusedError
from support.diagnosis import BEGIN_NS, SECOND_NS, VERSIONS, environment, judged, lines, placement, sent

PYTHON = "/env/bin/python on nid001"
BY_SERVICE = "by the web service's clock, "
POLARIS = [
    [*range(24, 32), *range(56, 64)],
    [*range(16, 24), *range(48, 56)],
    [*range(8, 16), *range(40, 48)],
    [*range(8), *range(32, 40)],
]


def placed(cpus: list[list[int]], masks: list[str | None] | None = None, **changes: Any) -> list[Any]:
    """Workers of one node, one task each, all at once."""
    tasks = []
    for rank, mine in enumerate(cpus):
        mask = masks[rank] if masks else None
        given = {} if mask is None else {"CUDA_VISIBLE_DEVICES": mask, "ROCR_VISIBLE_DEVICES": mask}
        tasks.append(
            sent(rank=rank, stage=2, placement=placement(mine, **{"most": len(cpus), "masks": given, **changes}))
        )
    return [sent(), *tasks]


@pytest.mark.parametrize(
    ("report", "error", "line"),
    [
        (None, ProvWorkerError("it cannot be asked"), "fail web service: it cannot be asked"),
        (None, None, "fail web service: no answer in 1.50 s"),
        (None, NoRightsError("403 Forbidden"), "fail rights: no rights to use this endpoint: 403 Forbidden"),
        (
            EndpointReport(online=False, since=1_795_990_000.5),
            None,
            "fail endpoint: offline: heard of last at 2026-11-29 22:06:40 UTC",
        ),
        (EndpointReport(online=False), None, "fail endpoint: offline: the web service does not say since when"),
        (EndpointReport(online=True), RefusedError("refused: 422 no"), "fail task: refused: 422 no"),
        (EndpointReport(online=True), None, "fail task: not sent in 1.50 s"),
    ],
)
def test_what_keeps_a_task_from_its_worker(
    report: EndpointReport | None, error: ProvWorkerError | None, line: str
) -> None:
    diagnosis = judged("crates", [], report=report, error=error)
    assert line in lines(diagnosis)
    assert lines(diagnosis)[-1] == "skipped crates: no task of this endpoint has ended well"
    assert not diagnosis.ok


def test_a_task_that_nobody_takes() -> None:
    task = sent()
    task.answer, task.value = None, {}
    waiting = judged("connectivity", [task], over=True, late_report=EndpointReport(online=True))
    assert lines(waiting)[1] == "fail task: no worker answered in 1.50 s, and the endpoint is online"
    assert "worker_init must reach an environment with globus-compute-endpoint" in waiting.findings[1][1].remedy
    left = judged("connectivity", [task], over=True, late_report=EndpointReport(online=False))
    assert lines(left)[1] == "fail task: the endpoint went offline while a task waited"


def test_a_task_that_fails() -> None:
    task = sent()
    task.value, task.error = {}, "Traceback:\n  File\nModuleNotFoundError: No module named 'dill'"
    assert lines(judged("connectivity", [task]))[1] == (
        "fail task: failed on the worker: ModuleNotFoundError: No module named 'dill'"
    )
    task.answer = Answer(str(task.id), False, "", False)
    assert lines(judged("connectivity", [task]))[1].startswith("fail task: no worker could take it: ModuleNotFound")


def test_stages_of_a_round_trip() -> None:
    task = sent()
    assert lines(judged("connectivity", [task])) == [
        "pass endpoint: online",
        "pass round trip: 500 ms: submit 100 ms, queue 150 ms, run 83.3 ms, back 167 ms",
    ]
    task.value["worker"]["age_s"] = 0.1
    assert "queue 50.0 ms, start 100 ms, run" in lines(judged("connectivity", [task]))[1]
    later = judged("connectivity", [task, sent(stage=2)], error=ProvWorkerError("500 broken"))
    assert lines(later)[2] == "fail later tasks: 500 broken"


def test_versions() -> None:
    assert judged("environment", [sent(environment=environment())]).ok
    versions = {**VERSIONS, "python": "3.12.1", "dill": "0.3.8", "parsl": None, "globus-compute-sdk": "4.19.1"}
    report = judged("environment", [sent(environment=environment(versions=versions))])
    assert lines(report)[:5] == [
        "warn Python: 3.12.1 at the workers, 3.11.7 here (/env/bin/python on nid001)",
        "warn dill: 0.3.8 at the workers, 0.3.9 here (/env/bin/python on nid001)",
        "pass globus-compute-sdk: 4.19.1 at the workers, 4.19.0 here",
        "warn parsl: is not installed for /env/bin/python on nid001",
        "pass prov-worker: 0.1.0",
    ]


def test_environment() -> None:
    proxies = [
        {"variable": "http_proxy", "url": "http://***@p:3128", "error": None},
        {"variable": "HTTP_PROXY", "url": "http://q:3128", "error": "Connection refused"},
    ]
    disks = [
        {"name": "home", "path": "/h", "error": "Disk quota exceeded"},
        {"name": "temporary directory", "path": "/t", "error": None, "free_bytes": 1 << 20, "free_inodes": None},
    ]
    answer = environment(proxies=proxies, disks=disks, endpoint_program=None)
    report = lines(judged("environment", [sent(environment=answer)]))
    assert report[5:10] == [
        "warn PATH: globus-compute-endpoint is not on the PATH of workers (/env/bin:/usr/bin)",
        "fail proxy: HTTP_PROXY=http://q:3128 takes no connection from the worker: Connection refused",
        "warn proxy: http_proxy and HTTP_PROXY differ: programs take either",
        "fail disk: home /h: a trial file cannot be written: Disk quota exceeded",
        "warn disk: temporary directory /t: 1.0 MiB free",
    ]


@pytest.mark.parametrize(
    ("ahead_s", "mine_s", "line"),
    [
        (0.3, None, "pass clock: nid001: within 550 ms of this machine's"),
        (3600, None, "fail clock: nid001: 1 h 00 min ahead of this machine's"),
        (3600, 0.4, f"fail clock: nid001: 1 h 00 min ahead of this machine's; {BY_SERVICE}the worker's is wrong"),
        (-600, 600, f"fail clock: nid001: 10 min 00 s behind this machine's; {BY_SERVICE}this machine's is wrong"),
    ],
)  # fmt: skip
def test_clocks(ahead_s: float, mine_s: float | None, line: str) -> None:
    online = EndpointReport(online=True, ahead_s=mine_s)
    report = judged("environment", [sent(environment=environment(), ahead_s=ahead_s)], report=online)
    assert lines(report)[-1] == line


def test_all_at_once() -> None:
    report = judged("parallel", placed([[cpu] for cpu in range(12)]))
    assert lines(report) == ["pass tasks at once: 12 of 12: 12 workers on 1 node (12 on nid001)"]


def test_half_of_the_workers() -> None:
    cpus = [[cpu] for cpu in range(6)]
    tasks = placed(cpus, most=6)
    late = {"most": 1, "arrived_ns": BEGIN_NS + 9 * SECOND_NS, "left_ns": BEGIN_NS + 10 * SECOND_NS}
    tasks += placed(cpus, **late)[1:]
    report = judged(make_plan(["parallel"], site="aurora"), tasks)
    assert lines(report) == [
        (
            "fail tasks at once: only 6 of 12 tasks ran at once: 6 workers on 1 node (6 on nid001); "
            "the template of aurora has 12 workers per node"
        )
    ]
    assert "a pool of this endpoint has 4 workers" in report.findings[0][1].remedy


def test_nodes_that_do_not_see_each_other_overlap_all_the_same() -> None:
    tasks = [sent(host=host, rank=rank, stage=2, placement=placement([rank]))
             for rank, host in enumerate(("nid001", "nid002"))]  # fmt: skip
    assert lines(judged("parallel", [sent(), *tasks])) == [
        "pass tasks at once: 2 of 2: 2 workers on 2 nodes (1 on nid001, 1 on nid002)"
    ]


def test_a_task_that_does_not_come_back() -> None:
    tasks = placed([[0], [1]])
    tasks[-1].answer, tasks[-1].value = None, {}
    report = judged("parallel", tasks, over=True)
    assert "fail parallel: 1 of 2 tasks did not come back in 1.50 s" in lines(report)


def test_affinity_as_the_template_says() -> None:
    plan = make_plan(["affinity"], site="polaris")
    report = judged(plan, placed(POLARIS, list("0123"), gpu_numa_nodes=[3, 2, 1, 0]))
    assert lines(report) == [
        "pass CPUs: worker 0: 24-31,56-63; worker 1: 16-23,48-55; worker 2: 8-15,40-47; worker 3: 0-7,32-39",
        "pass accelerators: worker 0: 0; worker 1: 1; worker 2: 2; worker 3: 3",
        "pass NUMA: 4 workers at the NUMA node of the accelerator",
    ]


def test_wrong_affinity() -> None:
    plan = make_plan(["affinity"], site="polaris")
    report = judged(plan, placed([*POLARIS[:3], POLARIS[2]], list("0112"), gpu_numa_nodes=[0, 2, 1, 0]))
    assert lines(report) == [
        "fail CPUs: worker 3 may use CPUs 8-15,40-47, and the template of polaris binds it to 0-7,32-39",
        "fail CPUs: worker 2 shares cores with worker 3 (cores 8-15)",
        "fail accelerators: worker 1 and worker 2 share accelerator 1",
        "fail accelerators: only 3 of 4 accelerators of nid001 are used; the template of polaris gives workers 3 too",
        "warn NUMA: worker 0 has accelerator 0 at NUMA node 0, and CPUs at 3",
        "warn NUMA: worker 2 has accelerator 1 at NUMA node 2, and CPUs at 1",
    ]


def test_workers_that_are_not_bound() -> None:
    everything = [list(range(64))] * 2
    assert lines(judged("affinity", placed(everything))) == [
        "pass CPUs: workers are not bound: each may use all 64 CPUs",
        "skipped accelerators: no worker is given one",
    ]
    report = judged(make_plan(["affinity"], site="polaris"), placed(everything))
    assert lines(report)[0] == (
        "fail CPUs: worker 0 may use CPUs 0-63, and the template of polaris binds it to 24-31,56-63"
    )


def test_half_of_the_tiles() -> None:
    cpus = make_plan([], site="aurora").promise.cpu_lists  # type: ignore[union-attr]
    assert cpus is not None
    masks = [f"{tile // 2}.{tile % 2}" for tile in range(6)]
    report = judged(make_plan(["affinity"], site="aurora"), placed([list(c) for c in cpus[:6]], masks, node_cpus=208))
    assert lines(report)[-1] == (
        "fail accelerators: only 6 of 12 accelerators of nid001 are used; the template of aurora gives workers "
        "3.0, 3.1, 4.0, 4.1, 5.0 and 5.1 too"
    )


def gpu(**changes: Any) -> dict[str, Any]:
    return {"devices": [], "torch": "2.5.1", "kind": "cuda", "count": 1, "name": "A100", "seconds": 0.001,
            "right": True, **changes}  # fmt: skip


@pytest.mark.parametrize(
    ("site", "answers", "expected"),
    [
        (None, [gpu()], ["pass GPU: 1 worker on A100 (cuda, torch 2.5.1): a product of 1024 x 1024 takes 1.00 ms"]),
        (None, [gpu(torch=None, kind=None)], ["skipped GPU: torch is not installed for /env/bin/python on nid001"]),
        (None, [gpu(kind=None)], ["skipped GPU: no accelerator on nid001: CPU; torch 2.5.1"]),
        (
            None,
            [gpu(kind=None, devices=["/dev/kfd"])],
            ["warn GPU: torch 2.5.1 sees no GPU at worker 0 of nid001, though the host has /dev/kfd"],
        ),
        (
            "polaris",
            [gpu(torch=None, kind=None)] * 2,
            ["fail GPU: no GPU on nid001: it has no device in /dev; the template of polaris promises 4 per node"],
        ),
        (
            "polaris",
            [gpu(), gpu(kind=None)],
            [
                "fail GPU: torch 2.5.1 sees no GPU at worker 1 of nid001; the template of polaris promises 4 per node",
                "pass GPU: 1 worker on A100 (cuda, torch 2.5.1): a product of 1024 x 1024 takes 1.00 ms",
            ],
        ),
        (
            "polaris",
            [gpu(), gpu(), gpu(seconds=0.009, count=4), gpu(right=False)],
            [
                "fail GPU: worker 3 of nid001: A100 multiplies wrongly",
                "pass GPU: 4 workers on A100 (cuda, torch 2.5.1): a product of 1024 x 1024 takes 1.00 ms",
                "warn GPU: worker 2 of nid001 takes 9 times as long: 9.00 ms",
                "warn GPU: worker 2 of nid001 sees 4 accelerators, not 1",
            ],
        ),
        (None, [{"error": "OSError: libcuda.so.1"}], ["fail GPU: torch fails on a worker: OSError: libcuda.so.1"]),
    ],
)  # fmt: skip
def test_gpus(site: str | None, answers: list[dict[str, Any]], expected: list[str]) -> None:
    tasks = [sent(rank=rank, stage=2, gpu=answer) for rank, answer in enumerate(answers)]
    assert lines(judged(make_plan(["gpu"], site=site), [sent(), *tasks])) == expected


def launched(*cpus: list[int], **changes: Any) -> dict[str, Any]:
    ranks = [
        {"variable": "PMI_RANK", "rank": str(rank), "size": str(len(cpus)), "host": "nid001", "cpus": mine}
        for rank, mine in enumerate(cpus)
    ]
    return {"wanted": None, "launcher": "/mpi/mpiexec", "engine_says": False, "status": 0, "ranks": ranks, "output": "",
            "took_s": 0.5, **changes}  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (
            launched([0], [1]),
            ["pass ranks: 2 by /mpi/mpiexec in 500 ms: 2 on nid001 (PMI_RANK)", "pass bindings: rank 0: 0; rank 1: 1"],
        ),
        (
            launched([0, 1], [0, 1]),
            [
                "pass ranks: 2 by /mpi/mpiexec in 500 ms: 2 on nid001 (PMI_RANK)",
                "pass bindings: ranks are not bound: each may use CPUs 0-1",
            ],
        ),
        (
            launched([0, 1], [1, 2]),
            [
                "pass ranks: 2 by /mpi/mpiexec in 500 ms: 2 on nid001 (PMI_RANK)",
                "warn bindings: ranks 0 and 1 of nid001 share CPUs 1",
            ],
        ),
        (launched([0]), ["fail ranks: /mpi/mpiexec started 1 of 2 ranks, numbered [0]"]),
        (launched(status=1, output="not enough slots"), ["fail launcher: /mpi/mpiexec ended with 1: not enough slots"]),
        (
            launched([0], status=None, output="…"),
            ["fail launcher: /mpi/mpiexec did not end in time; 1 of 2 ranks began: …"],
        ),
        (
            {"wanted": None, "launcher": None, "engine_says": False},
            ["fail launcher: MPI launcher missing: mpiexec, mpirun or srun is not on the PATH of workers on nid001"],
        ),
    ],
)
def test_mpi(answer: dict[str, Any], expected: list[str]) -> None:
    assert lines(judged("mpi", [sent(), sent(stage=2, launcher=answer)])) == expected


def test_a_launcher_that_nobody_needs_may_be_missing() -> None:
    answer = {"wanted": None, "launcher": None, "engine_says": False}
    report = judged(make_plan([]), [sent(), sent(stage=2, launcher=answer)])
    assert any(line.startswith("skipped launcher: MPI launcher missing") for line in lines(report))


def looked(*names: str | None, **changes: Any) -> dict[str, Any]:
    crate = {"bytes": 40960, "status": v.COMPLETED_STATUS, "published_ns": BEGIN_NS + 2 * SECOND_NS}
    return {
        "installed": "0.1.0",
        "directory": "/crates",
        "space": {"error": None, "free_bytes": 1 << 30, "free_inodes": 9999},
        "crates": {name: crate for name in names if name},
        "waited_s": 20.0,
        **changes,
    }


@pytest.mark.parametrize(
    ("arrives", "changes", "expected"),
    [
        (True, {}, ["pass crates: 1 of 1 in /crates, 40.0 KiB each, at most 1.67 s after their tasks"]),
        (False, {}, ["fail crates: 0 of 1 crate appeared in /crates within 20.0 s"]),
        (
            False,
            {"space": {"error": "No space left on device", "free_bytes": 0, "free_inodes": None}},
            [
                "fail crate directory: /crates on nid001 cannot be written: No space left on device, 0 B free",
                "fail crates: 0 of 1 crate appeared in /crates within 20.0 s",
            ],
        ),
        (
            False,
            {"installed": None},
            [f"fail crates: package missing: prov_worker is not installed for {PYTHON}; tasks run and leave no crates"],
        ),
        (
            False,
            {"directory": None},
            [f"fail crates: tasks are not recorded, though prov_worker 0.1.0 is installed for {PYTHON}"],
        ),
    ],
)  # fmt: skip
def test_crates(arrives: bool, changes: dict[str, Any], expected: list[str]) -> None:
    first = sent()
    answer = looked(first.id if arrives else None, **changes)
    assert lines(judged("crates", [first, sent(stage=3, crates=answer)])) == expected


def test_crates_that_say_a_task_failed() -> None:
    first = sent()
    answer = looked(first.id)
    answer["crates"][first.id]["status"] = v.FAILED_STATUS
    report = judged("crates", [first, sent(stage=3, crates=answer)])
    assert lines(report) == ["fail crates: 1 crate of tasks that ended well say they failed"]
