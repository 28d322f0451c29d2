"""FlowCept's buffer file: records that say what the crates say, and that FlowCept itself reads and reports on.

The second part needs an interpreter with FlowCept: that of ``make flowcept``, or another one named by
``PROV_TEST_FLOWCEPT``.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from prov_worker.errors import InputError
from prov_worker.run.api import open_run
from prov_worker.run.export.flowcept import write_flowcept
from support.commands import run_program

ROOT = Path(__file__).parents[4]
READ = """
import json, sys
from flowcept import Flowcept
from flowcept.commons.flowcept_dataclasses.task_object import TaskObject
from flowcept.commons.flowcept_dataclasses.workflow_object import WorkflowObject

path, card = sys.argv[1:]
records = Flowcept.read_buffer_file(path)
frame = Flowcept.read_buffer_file(path, return_df=True)
report = Flowcept.generate_report(input_jsonl_path=path, output_path=card)
tasks = [TaskObject.from_dict(one) for one in records if one["type"] == "task"]
workflow = WorkflowObject.from_dict(records[-1])
print(json.dumps({
    "records": len(records), "rows": len(frame), "columns": sorted(frame.columns),
    "report": {key: report[key] for key in ("tasks", "activities", "skipped_lines")},
    "statuses": [one.status.value for one in tasks], "workflow": workflow.status.value,
    "unknown": sorted({key for one in records for key in one if not hasattr(TaskObject, key)
                       and not hasattr(WorkflowObject, key)}),
}))
"""


def records_of(crates: Path, target: Path) -> list[dict[str, Any]]:
    count = write_flowcept(open_run(crates), target)
    records = [json.loads(line) for line in target.read_text(encoding="utf-8").splitlines()]
    assert len(records) == count
    return records


def test_tasks_say_what_the_crates_say(crates: Path, tmp_path: Path) -> None:
    *tasks, workflow = records_of(crates, tmp_path / "run.jsonl")
    assert len(tasks) == len(list(crates.iterdir()))
    by_id = {task["task_id"]: task for task in tasks}
    assert len(by_id) == len(tasks)
    for crate in crates.iterdir():
        graph = json.loads((crate / "ro-crate-metadata.json").read_text(encoding="utf-8"))["@graph"]
        value = {entity["@id"]: entity.get("value") for entity in graph}
        action = next(entity for entity in graph if entity["@id"] == "#distributed_step")
        task = by_id[crate.name.removesuffix(".crate")]
        failed = action["actionStatus"].endswith("FailedActionStatus")
        assert task["status"] == ("ERROR" if failed else "FINISHED")
        assert task.get("stderr") == action.get("error")
        assert task["started_at"] == pytest.approx(int(str(value["#start-ns"])) / 1e9)
        assert task["ended_at"] == pytest.approx(int(str(value["#end-ns"])) / 1e9)
        assert task["used"]["number"] == value["#input-number"]
        assert task["hostname"] == value["#worker-host"]
        first, last = task["telemetry_at_start"]["process"], task["telemetry_at_end"]["process"]
        spent = sum(last["cpu_times"].values()) - sum(first["cpu_times"].values())
        assert spent == pytest.approx(value["#usage-cpu"])
        assert last["memory"]["rss"] == value["#usage-peak-rss"]
    assert workflow["type"] == "workflow"
    assert workflow["started_at"] == pytest.approx(min(task["started_at"] for task in tasks))
    assert workflow["ended_at"] == pytest.approx(max(task["ended_at"] for task in tasks))
    assert {task["workflow_id"] for task in tasks} == {workflow["workflow_id"]}


def test_data_flow_becomes_dependencies_both_ways(crates: Path, tmp_path: Path) -> None:
    tasks = {task["task_id"]: task for task in records_of(crates, tmp_path / "run.jsonl")[:-1]}
    pairs = {(source, task["task_id"]) for task in tasks.values() for source in task["dependencies"]}
    assert pairs == {(task["task_id"], target) for task in tasks.values() for target in task["dependents"]}
    assert len(pairs) > 10
    stages = {(tasks[a]["activity_id"], tasks[b]["activity_id"]) for a, b in pairs}
    assert ("fetch_archive", "transform_records") in stages


def test_chosen_tasks_alone(crates: Path, tmp_path: Path) -> None:
    task = sorted(crates.iterdir())[0].name.split(".")[0]
    write_flowcept(open_run(crates), tmp_path / "run.jsonl", tasks={task})
    records = [json.loads(line) for line in (tmp_path / "run.jsonl").read_text(encoding="utf-8").splitlines()]
    assert {record["custom_metadata"]["globus_compute_task_id"] for record in records[:-1]} == {task}
    with pytest.raises(InputError, match="no attempt matches"):
        write_flowcept(open_run(crates), tmp_path / "none.jsonl", tasks={"no-such-task"})
    assert not (tmp_path / "none.jsonl").exists()


@pytest.mark.flowcept
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["plain", "hostile"])
def test_flowcept_reads_it_and_reports_on_it(crates: Path, hostile: Path, tmp_path: Path, kind: str) -> None:
    python = Path(os.environ.get("PROV_TEST_FLOWCEPT") or ROOT / ".venv-flowcept/bin/python")
    if not python.exists():
        pytest.skip("no interpreter with FlowCept (make flowcept)")
    source = crates if kind == "plain" else hostile
    *tasks, _ = records_of(source, tmp_path / "run.jsonl")
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    done = run_program(
        python, "-c", READ, tmp_path / "run.jsonl", tmp_path / "card.md", cwd=tmp_path, env=environ, timeout=240
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["records"] == result["rows"] == len(tasks) + 1
    activities = {task["activity_id"] for task in tasks}
    assert result["report"] == {"tasks": len(tasks), "activities": len(activities), "skipped_lines": 0}
    assert Counter(result["statuses"]) == Counter(task["status"] for task in tasks)
    assert result["unknown"] in ([], ["type"]), "every key is one of FlowCept's own"
    assert {"used", "generated", "telemetry_at_end", "dependencies"} <= set(result["columns"])
    card = (tmp_path / "card.md").read_text(encoding="utf-8")
    assert "Workflow Card" in card
    assert "Process CPU User Delta (s)" in card
