"""What a notebook shows of a run and of a crate."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import pytest

from prov_worker.crate.pictures import metric_curves
from prov_worker.crate.reader import StepCrate
from prov_worker.errors import CrateError
from prov_worker.run.api import open_run
from prov_worker.testing import CrateFactory, task_id
from prov_worker.training import Metric, TrackedRun, Training

HOSTILE = "</svg></table><script>alert(1)</script><img src=x onerror=alert(1)>"
SVG = "{http://www.w3.org/2000/svg}"


class _Tags(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        assert not any(name.startswith("on") for name, _ in attrs)


def tracked(name: str, rate: str, values: list[float]) -> Training:
    points = [(step, value, 1_790_000_000_000_000_000 + step) for step, value in enumerate(values)]
    run = TrackedRun("mlflow", name, name, "FINISHED", parameters={"rate": rate, "same": "1"})
    run.metrics = [Metric.of("loss", points)]
    return Training(runs=[run])


def test_a_run_shows_its_attempts_over_time(workflow_crates: CrateFactory) -> None:
    run = open_run(workflow_crates.directory)
    html = run._repr_html_()
    assert "6 attempts, 2 failed" in html
    assert "nothing to merge" in html
    picture = ET.fromstring(run.plot().svg)
    bars = [bar for bar in picture.iter(f"{SVG}rect") if bar.get("height") == "10"]
    assert len(bars) == 6
    assert sum(bar.get("fill") == "#b3261e" for bar in bars) == 2


def test_a_crate_shows_what_it_says_and_its_samples(workflow_crates: CrateFactory, tmp_path: Path) -> None:
    crate = StepCrate.open(workflow_crates.directory / f"{task_id(0)}.crate")
    html = crate._repr_html_()
    assert "<svg" in html
    assert task_id(0) in html
    crate.plot().save(tmp_path / "plot.svg")
    assert ET.parse(tmp_path / "plot.svg").getroot().tag == f"{SVG}svg"
    without = StepCrate.open(workflow_crates.directory / f"{task_id(4)}.crate")
    assert "<svg" not in without._repr_html_()
    with pytest.raises(CrateError, match="no CPU sample"):
        without.plot()


def test_metrics_are_curves_named_by_what_differs(crates: CrateFactory) -> None:
    for number, rate in enumerate(("0.1", "0.2")):
        crates.add(number, "train", training=tracked(f"run-{rate}", rate, [1.0, 0.5, 0.25 - number / 10]))
    run = open_run(crates.directory)
    picture = ET.fromstring(run.curves().svg)
    texts = ["".join(text.itertext()) for text in picture.iter(f"{SVG}text")]
    assert {"loss", "rate = 0.1", "rate = 0.2"} <= set(texts)
    lines = [line.get("points", "").split() for line in picture.iter(f"{SVG}polyline")]
    assert [len(points) for points in lines] == [3, 3]
    first, second = (StepCrate.open(crates.directory / f"{task_id(number)}.crate") for number in (0, 1))
    assert first.training().runs[0].metrics[0].last == 0.25
    assert "<polyline" in second._repr_html_()


def test_values_that_cannot_be_drawn_are_left_out() -> None:
    odd = [float("nan"), float("inf"), 1e308, -1e308, 3.0]
    picture = ET.fromstring(metric_curves({"": tracked("r", "1", odd)}).svg)
    assert len(list(picture.iter(f"{SVG}circle"))) == 1
    assert "no finite value" in metric_curves({"": tracked("r", "1", [float("nan")])}).svg
    assert "no metric" in metric_curves({}).svg


def test_nothing_of_a_task_acts_in_a_notebook(crates: CrateFactory) -> None:
    training = tracked(HOSTILE, HOSTILE, [1.0, 2.0])
    training.runs[0].metrics[0].name = HOSTILE
    crates.add(1, HOSTILE, error=HOSTILE, sampled=True, training=training)
    crates.add(2, HOSTILE, sampled=True, training=tracked("other", "1", [1.0]))
    run = open_run(crates.directory)
    shown = [run._repr_html_(), run.plot().svg, run.curves().svg]
    shown += [StepCrate.open(crates.directory / f"{task_id(1)}.crate")._repr_html_()]
    for html in shown:
        assert not {"script", "img"} & _Tags(html).tags
        assert "&lt;script" in html


def test_what_is_damaged_is_said_and_the_rest_is_shown(crates: CrateFactory) -> None:
    crates.add(1, sampled=True)
    crates.add(2)
    crate = crates.directory / f"{task_id(1)}.crate"
    (crate / "data/resource_usage.json").write_text("{")
    assert "invalid JSON" in StepCrate.open(crate)._repr_html_()
    (crate / "ro-crate-metadata.json").write_text(json.dumps({"@graph": []}))
    html = open_run(crates.directory)._repr_html_()
    assert "1 attempt, 0 failed" in html
    assert "Not read" in html
