"""What libraries report of models on the page: two tables without a script, and curves beside those of the CPU."""

from __future__ import annotations

import base64
import json
import re
import zlib
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from prov_worker.run.api import open_run
from prov_worker.run.report.page import write_report
from prov_worker.testing.crates import SECOND, START_NS, CrateFactory
from prov_worker.training import Metric, TrackedRun, TrainedModel, Training


@pytest.fixture
def factory(tmp_path: Path) -> CrateFactory:
    return CrateFactory(tmp_path / "crates")


def trained(learning_rate: str, name: str = "first") -> Training:
    points = [(step, 1.0 / (step + 1) - 0.5, START_NS + step * SECOND // 1000) for step in range(1000)]
    run = TrackedRun("mlflow", f"id-{name}", name, "FINISHED", start_ns=START_NS, end_ns=START_NS + SECOND)
    run.parameters["lr"] = learning_rate
    run.metrics = [Metric.of("loss", points), Metric.of("once", [(0, 2.0, START_NS)])]
    model = TrainedModel("torch", "Net<b>", "Adam", 3, 0.25, parameters=161, devices=["cpu"])
    model.offsets_s, model.counts = [0.1, 0.2, 0.3], [1, 2, 3]
    return Training(runs=[run], models=[model], conditions={"seed": 7})


@pytest.fixture
def run(factory: CrateFactory) -> Path:
    factory.add(0, "fit", training=trained("0.1"), sampled=True)
    factory.add(1, "fit", training=trained("0.2", "<script>"), sampled=True)
    factory.add(2, "work")
    return factory.directory


def details(html: str) -> list[dict[str, Any]]:
    block = re.search(r'id="block-0">([^<]*)<', html)
    assert block is not None
    return list(json.loads(zlib.decompress(base64.b64decode(block[1]), -15)))


def test_runs_and_models_are_tables_and_metrics_are_curves(run: Path, tmp_path: Path) -> None:
    pytest.importorskip("jinja2")
    data, _ = write_report(open_run(run), tmp_path / "page.html")
    html = (tmp_path / "page.html").read_text()
    assert '<section id="training"' in html
    text = unescape(re.sub(r"<[^>]+>", " ", html))
    for cell in ("lr = 0.1", "lr = 0.2", "loss = -0.499, once = 2", "FINISHED", "Net<b>", "161"):
        assert cell in text, cell
    assert "<script>" not in html.split('<section id="training"')[1].split("</section>")[0]
    attempts = {bool(attempt.get("training")): attempt for attempt in details(html)}
    loss, steps = attempts[True]["training"]
    assert (loss[0], steps[0]) == ("loss", "Steps of Adam, Net<b>")
    assert len(loss[1]) == len(loss[2]) <= 240
    assert sum(loss[1]) == pytest.approx(999, abs=1)
    assert (loss[2][-1], steps[1:]) == (-0.499, [[100, 100, 100], [1.0, 2.0, 3.0]])
    assert (len(data.training), len(data.models)) == (2, 2)


def test_a_run_without_models_has_no_such_section(factory: CrateFactory, tmp_path: Path) -> None:
    pytest.importorskip("jinja2")
    factory.add(0, "work")
    (crate,) = factory.directory.glob("*.crate")
    write_report(open_run(factory.directory), tmp_path / "page.html")
    assert 'id="training"' not in (tmp_path / "page.html").read_text()
    assert not (crate / "data" / "training.json").exists()


def test_a_damaged_file_is_named_and_hides_no_attempt(run: Path, tmp_path: Path) -> None:
    pytest.importorskip("jinja2")
    for path in run.glob("*.crate/data/training.json"):
        path.write_text('{"runs": 3}')
    data, _ = write_report(open_run(run), tmp_path / "page.html")
    assert len(data.rows) == 3
    assert len([problem for problem in data.problems if "training.json: runs: expected a list" in problem]) == 2
