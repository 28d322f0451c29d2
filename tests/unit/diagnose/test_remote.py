"""What is sent: on Python 3.8 and the standard library, and right about this machine."""

from __future__ import annotations

import ast
import json
import os
import socket
import stat
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from prov_worker.diagnose import remote
from prov_worker.diagnose.remote import crates, environment, gpu, launcher, placement
from support.commands import run_python

SOURCE = remote.source()


def call(**request: Any) -> dict[str, Any]:
    """Call what is sent, as a worker does that gets its text (the SDK's ``PureSourceTextInspect``)."""
    namespace: dict[str, Any] = {}
    exec(SOURCE, namespace)
    answer: dict[str, Any] = json.loads(namespace[remote.ENTRY](json.dumps({"run": "test", **request})))
    return answer


def test_it_is_python_3_8_and_imports_the_standard_library() -> None:
    tree = ast.parse(SOURCE, feature_version=(3, 8))
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in names} - set(sys.stdlib_module_names) == {"prov_worker"}  # to tag
    # Of later releases, and no syntax: methods, operators of dictionaries, the argument of zip.
    assert [text for text in (".removeprefix", ".removesuffix", " |= {", "strict=", "match ") if text in SOURCE] == []


def test_names_at_the_heads_are_unique() -> None:
    names = [node.name for node in ast.parse(SOURCE).body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    assert len(names) == len(set(names))


def test_it_runs_in_a_bare_interpreter() -> None:
    probes = ["environment", "gpu", "crates"]
    request = {"probes": probes, "run": "x", "packages": ["dill"], "connect_s": 1, "tasks": []}
    done = run_python("-I", "-S", "-c", SOURCE + f"\nprint(prov_worker_diagnose({json.dumps(request)!r}))", check=True)
    answer = json.loads(done.stdout)
    assert answer["environment"]["versions"] == {"python": sys.version.split()[0], "dill": None}
    assert answer["gpu"]["torch"] is None
    assert answer["crates"]["installed"] is None
    assert answer["worker"]["host"] == socket.gethostname()
    assert 0 <= answer["worker"]["age_s"] < 60
    assert answer["untagged"] == "ModuleNotFoundError"


def test_a_probe_that_fails_leaves_its_reason() -> None:
    answer = call(probes=["environment"])
    assert answer["environment"]["error"] == "KeyError: 'packages'"


def test_proxies_are_tried_and_shown_without_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        monkeypatch.setenv("http_proxy", f"http://ada:secret@127.0.0.1:{port}")
        monkeypatch.setenv("HTTPS_PROXY", "127.0.0.1:1")
        monkeypatch.setenv("ALL_PROXY", "http://")
        answer = environment.probe_environment({"packages": [], "connect_s": 2})
    assert answer["proxies"] == [
        {"variable": "http_proxy", "url": f"http://***@127.0.0.1:{port}", "error": None},
        {"variable": "HTTPS_PROXY", "url": "127.0.0.1:1", "error": "Connection refused"},
        {"variable": "ALL_PROXY", "url": "http://", "error": "names no host"},
    ]
    assert "secret" not in json.dumps(answer)


def test_space_and_umask(tmp_path: Path) -> None:
    space = environment.space_of_directory(str(tmp_path))
    assert space["error"] is None
    assert 0 < space["free_bytes"] <= space["total_bytes"]
    assert list(tmp_path.iterdir()) == []
    assert environment.space_of_directory(str(tmp_path / "none"))["error"] == "No such file or directory"
    mask = os.umask(0o027)
    try:
        assert environment.probe_environment({"packages": [], "connect_s": 1})["umask"] == "0027"
    finally:
        os.umask(mask)


def meet(directory: Path, numbers: list[int], tasks: int, hold_s: float) -> list[dict[str, Any]]:
    answers: list[dict[str, Any]] = []
    request, probe = {"tasks": tasks, "nonce": "n", "hold_s": hold_s}, placement.probe_placement
    threads = [
        threading.Thread(target=lambda number=number: answers.append(probe({**request, "number": number})))
        for number in numbers
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return answers


def test_tasks_that_run_at_once_see_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    answers = meet(tmp_path, [0, 1, 2], 3, 60)
    assert [answer["most"] for answer in answers] == [3, 3, 3]
    assert max(answer["arrived_ns"] for answer in answers) <= min(answer["left_ns"] for answer in answers)
    assert answers[0]["cpus"] == sorted(os.sched_getaffinity(0))
    assert list(tmp_path.iterdir()) == []


def test_half_of_them_wait_no_longer_than_they_may_and_the_rest_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sandbox").mkdir()
    monkeypatch.setenv("GC_TASK_SANDBOX_DIR", str(tmp_path / "sandbox"))
    assert [answer["most"] for answer in meet(tmp_path, [0, 1], 4, 0.2)] == [2, 2]
    assert [name.name for name in tmp_path.iterdir() if name.name.startswith(".")] == [".prov-worker-diagnose-n"]
    assert [answer["most"] for answer in meet(tmp_path, [2], 4, 3600)] == [1]
    assert [answer["most"] for answer in meet(tmp_path, [3], 4, 3600)] == [1]
    assert [path.name for path in tmp_path.iterdir()] == ["sandbox"]


def test_masks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ZE_AFFINITY_MASK", "3.1")
    assert placement.probe_placement({"tasks": 1, "nonce": "m", "hold_s": 0, "number": 0})["masks"] == {
        "ZE_AFFINITY_MASK": "3.1"
    }


LAUNCHER = """\
#!/bin/sh
# Starts as many as the first option says, as MPICH would number them.
shift; size=$1; shift; echo "a banner"
for rank in $(seq 0 $((size - 1))); do PMI_RANK=$rank PMI_SIZE=$size "$@"; done
"""


def test_ranks_by_a_launcher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "mpiexec"
    program.write_text(LAUNCHER)
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    answer = launcher.probe_launcher({"ranks": 3, "launch_s": 60})
    assert [(rank["variable"], rank["rank"], rank["size"]) for rank in answer["ranks"]] == [
        ("PMI_RANK", str(number), "3") for number in range(3)
    ]
    assert answer["output"] == "a banner"
    assert answer["launcher"] == str(program)
    monkeypatch.setenv("PARSL_MPI_PREFIX", "mpiexec -n 1")
    assert len(launcher.probe_launcher({"ranks": 3, "launch_s": 60})["ranks"]) == 1
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    assert launcher.probe_launcher({"ranks": 1, "launch_s": 0.2})["status"] is None
    monkeypatch.setenv("PARSL_MPI_PREFIX", "no-such-launcher -n 2")
    assert launcher.probe_launcher({"ranks": 1, "launch_s": 1}) == {
        "wanted": "no-such-launcher",
        "launcher": None,
        "engine_says": True,
    }


def test_torch_of_a_maker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names of torch's interface; no accelerator is here."""
    (tmp_path / "torch.py").write_text(
        "__version__ = '2.5.1'\n"
        "class version: hip = '6.2'\n"
        "class cuda:\n"
        "    is_available = staticmethod(lambda: True)\n"
        "    device_count = staticmethod(lambda: 1)\n"
        "    get_device_name = staticmethod(lambda number: 'MI250')\n"
        "    synchronize = staticmethod(lambda: None)\n"
        "class Matrix:\n"
        "    def __init__(self, size): self.size = size\n"
        "    def __matmul__(self, other): return self\n"
        "    def __getitem__(self, place): return self.size\n"
        "def ones(shape, device): return Matrix(shape[0])\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    answer = gpu.probe_gpu({"size": 8})
    monkeypatch.delitem(sys.modules, "torch")
    assert (answer["kind"], answer["name"], answer["count"], answer["right"]) == ("rocm", "MI250", 1, True)


def test_crates_of_a_task_that_is_not_recorded() -> None:
    answer = crates.probe_crates({"tasks": ["x"], "crate_wait_s": 0})
    assert (answer["directory"], answer["crates"]) == (None, {})
