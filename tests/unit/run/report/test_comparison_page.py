"""The page about two runs."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from prov_worker.cli.main import run as cli
from prov_worker.testing import CrateFactory, text_value
from prov_worker.testing.crates import task_id
from prov_worker.training import Metric, TrackedRun, Training


def tracked(rate: str, loss: float) -> Training:
    metric = Metric("loss", count=2, last=loss, low=loss, high=9.0)
    run = TrackedRun("mlflow", "r1", parameters={"rate": rate, "depth": "3"}, metrics=[metric])
    return Training(runs=[run])


@pytest.fixture
def runs(tmp_path: Path) -> list[str]:
    """A fit that took twice as long in the second run, and one that failed there; other hosts and learning rates."""
    first, second = CrateFactory(tmp_path / "a"), CrateFactory(tmp_path / "b", host="<b>node02</b>")
    rain, snow = ([text_value("table", table)] for table in ("rain", "snow"))
    first.add(1, "fit", wall_s=2.0, arguments=rain, training=tracked("0.1", 0.5))
    second.add(11, "fit", wall_s=4.0, arguments=rain, training=tracked("0.01", 0.25))
    first.add(2, "fit", wall_s=2.0, arguments=snow)
    second.add(12, "fit", wall_s=4.0, arguments=snow, error="<script>no</script>")
    return [str(first.directory), str(second.directory)]


def test_the_page_shows_times_failures_environments_and_parameters(
    runs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "compare.html"
    assert cli(["run", "compare", *runs, "-o", str(page), "--json"]) == 0
    comparison = json.loads(capsys.readouterr().out)
    assert comparison["parameters"] == {"fit: rate": [["0.1"], ["0.01"]]}
    assert comparison["metrics"] == {"fit: loss": [0.5, 0.25]}
    html = page.read_text(encoding="utf-8")
    assert "<script" not in html
    assert "default-src 'none'" in html
    body = html[html.index("<main") : html.index("</main>") + len("</main>")]
    tables = [
        [["".join(cell.itertext()) for cell in row] for row in table.iter("tr")]
        for table in ElementTree.fromstring(re.sub(r"<br>|&nbsp;", " ", body)).iter("table")
    ]
    functions, changes, parameters, metrics, environments = tables
    assert functions[1][:6] == ["fit", "2", "0 → 1", "2", "2.00 s → 4.00 s", "2.00"]
    assert changes[1:] == [["fails in B", "fit", task_id(2), task_id(12), "ValueError: <script>no</script>"]]
    assert parameters[1:] == [["fit: rate", "0.1", "0.01"]]
    assert metrics[1:] == [["fit: loss", "0.5", "0.25"]]
    assert ["host", "node01", "<b>node02</b>"] in environments


def test_parameters_are_in_the_table_too(runs: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli(["run", "compare", *runs]) == 0
    lines = [re.findall(r"[\w.:]+", line) for line in capsys.readouterr().out.splitlines()]
    assert ["fit:", "rate", "0.1", "0.01"] in lines
    assert ["fit:", "loss", "0.5", "0.25"] in lines


def test_only_a_page_of_ours_is_replaced(runs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "compare.html"
    page.write_text("mine")
    assert cli(["run", "compare", *runs, "-o", str(page)]) == 2
    assert page.read_text() == "mine"
    assert cli(["run", "compare", *runs, "-o", str(page), "--overwrite"]) == 0
    assert cli(["run", "compare", *runs, "-o", str(page)]) == 0
    assert capsys.readouterr().err.count("\n") == 1
