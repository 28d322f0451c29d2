"""Plots: that both kinds are pictures of the series, and that one can be added to a published crate."""

from __future__ import annotations

import hashlib
import json
import re
import struct
import xml.etree.ElementTree as ET
from itertools import pairwise

import pytest

from prov_worker.crate.add_plot import add_plot, render_png, render_svg
from prov_worker.crate.check import check_crate
from prov_worker.crate.plot_caption import Caption, caption_of
from prov_worker.crate.plot_data import (
    CPU_COLOUR,
    ENDING_COLOUR,
    MEMORY_COLOUR,
    NODE_COLOUR,
    byte_unit,
    ceiling,
    picture,
)
from prov_worker.crate.reader import StepCrate
from prov_worker.crate.writer import Plot
from prov_worker.errors import CrateError, InputError
from prov_worker.model import Column, Command, Failure, Series, TaskSeries

SVG = "{http://www.w3.org/2000/svg}"


def pixels(png):
    """Width, height and distinct colours of a PNG."""
    import io

    import matplotlib.image

    array = matplotlib.image.imread(io.BytesIO(png))
    return (
        array.shape[1],
        array.shape[0],
        {tuple(round(float(part) * 255) for part in pixel[:3]) for pixel in array[::1, ::1].reshape(-1, 4)},
    )


def has(colours, wanted):
    """Whether a colour is in a picture, which has few of them: some are off by a little."""
    channels = [int(wanted[k : k + 2], 16) for k in (1, 3, 5)]
    return any(max(abs(a - b) for a, b in zip(colour, channels, strict=True)) <= 8 for colour in colours)


def lines_of(series):
    return [line.attrib for line in ET.fromstring(render_svg(series, Caption("t"))).iter(f"{SVG}polyline")]


def test_png_shows_both_curves(make_series):
    width, height, colours = pixels(render_png(make_series(60), Caption("rev_txt")))
    assert (width, height) == (1280, 800)
    assert has(colours, CPU_COLOUR)
    assert has(colours, MEMORY_COLOUR)


def test_png_without_memory_has_no_second_panel(make_series):
    series = make_series(60)
    del series.task.columns["rss_bytes"]
    _, _, colours = pixels(render_png(series, Caption("rev_txt")))
    assert has(colours, CPU_COLOUR)
    assert not has(colours, MEMORY_COLOUR)


def test_reused_figure_keeps_nothing_of_the_plot_before(make_series):
    first = render_png(make_series(5), Caption("a"))
    render_png(make_series(100, band=True), Caption("another, $with$ a band"))
    assert render_png(make_series(5), Caption("a")) == first


def test_band_changes_the_picture(make_series):
    assert render_png(make_series(20), Caption("a")) != render_png(make_series(20, band=True), Caption("a"))


def test_png_is_a_png(make_series):
    data = render_png(make_series(), Caption("title"))
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", data[16:24]) == (1280, 800)


def test_svg_is_accessible_and_holds_every_sample(make_series):
    root = ET.fromstring(render_svg(make_series(20), Caption('f <&> "task"')))
    assert root.attrib["role"] == "img"
    assert root.find(f"{SVG}title").text == 'f <&> "task"'
    assert root.find(f"{SVG}desc").text.startswith(
        "CPU use of the task from 0 to 1 s: 60 to 98 percent; resident memory"
    )
    lines = [line.attrib["points"].split() for line in root.iter(f"{SVG}polyline")]
    assert [len(points) for points in lines] == [20, 20]
    heights = [float(point.partition(",")[2]) for point in lines[0]]
    assert all(later < earlier for earlier, later in pairwise(heights)), "a rising curve rises"
    texts = [element.text for element in root.iter(f"{SVG}text")]
    assert {"time since the task began (s)", "CPU (%; 100 = one CPU)", "memory (MiB)"} <= set(texts)


def test_svg_draws_the_band(make_series):
    root = ET.fromstring(render_svg(make_series(20, band=True), Caption("t")))
    (band,) = root.iter(f"{SVG}polygon")
    assert len(band.attrib["points"].split()) == 40


def test_svg_stays_inside_its_picture(make_series):
    text = render_svg(make_series(500, band=True), Caption("t")).decode()
    for x, y in re.findall(r"([\d.-]+),([\d.-]+)", " ".join(re.findall(r'points="([^"]*)"', text))):
        assert 0 <= float(x) <= 640
        assert 0 <= float(y) <= 400


@pytest.mark.parametrize("render", [render_png, render_svg])
def test_awkward_series(render):
    nan = float("nan")
    for values in ([0.0], [0.0, 0.0], [nan, 5.0, None], [1e9, 3.0], [1e-9]):
        times = [0.05 * number for number in range(len(values))]
        series = TaskSeries(task=Series(0.05, times, {"cpu_percent": Column("percent", values)}))
        assert len(render(series, Caption("hostile \x00 $\\frac{1}{2}$ \ud800", "\x01"))) > 500
    for empty in (TaskSeries(), TaskSeries(task=Series(0.05, [0.05], {"cpu_percent": Column("percent", [None])}))):
        with pytest.raises(CrateError, match="nothing to draw"):
            render(empty, Caption("t"))


def test_round_numbers():
    assert [ceiling(value) for value in (0, 0.3, 1, 1.01, 7, 99, 100, 101, 2400)] == [
        1.0, 0.5, 1, 2, 10, 100, 100, 200, 2500,
    ]  # fmt: skip
    assert byte_unit(5 << 30)[1] == "GiB"
    assert byte_unit(0)[1] == "B"


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_added_plot_is_listed_shown_and_sealed_by_its_hash(writer, make_record, make_series, tmp_path, graph_of, kind):
    crate = writer.publish(make_record(), make_series(), None, tmp_path)
    path = add_plot(crate, kind)
    assert path == crate / "images" / f"cpu_usage.{kind}"
    entities = graph_of(crate)
    listed = entities[f"images/cpu_usage.{kind}"]
    assert listed["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert {"@id": f"images/cpu_usage.{kind}"} in entities["./"]["hasPart"]
    assert entities["#observation-cpu-usage"]["image"] == {"@id": f"images/cpu_usage.{kind}"}
    assert check_crate(crate) == []

    before = (crate / "ro-crate-metadata.json").read_bytes()
    assert add_plot(crate, kind) == path
    assert add_plot(crate, "png") == path, "a crate has one plot"
    assert (crate / "ro-crate-metadata.json").read_bytes() == before
    assert sorted(path.name for path in crate.iterdir()) == ["data", "function", "images", "ro-crate-metadata.json"]


def failed_records(make_record):
    """Records of tasks that failed in each of the ways that a plot tells apart."""
    failures = [
        Failure("signal", "killed", signal="SIGKILL"),
        Failure("exception", "x", type="zlib.error"),
        Failure("exit", "left", exit_status=3),
        Failure("command", "exit status 124", exit_status=124),
        Failure("time_limit", "time limit of 1 s"),
        Failure("cancelled", "by somebody"),
        Failure("lost", "manager lost"),
        Failure("unknown", "no reason"),
    ]
    command = Command(template="sleep {n}", limit_s=0.5, exit_status=124)
    return [make_record(status="failed", failure=failure, command=command, attempt=2) for failure in failures]


def test_added_plot_is_the_one_that_would_have_been_published(writer, make_record, make_series, tmp_path, graph_of):
    for number, record in enumerate((make_record(), *failed_records(make_record))):
        series = make_series(node=True)
        plot = Plot("cpu_usage.svg", render_svg(series, caption_of(record)))
        at_once = graph_of(writer.publish(record, series, plot, tmp_path / f"a{number}"))
        crate = writer.publish(record, series, None, tmp_path / f"b{number}")
        add_plot(crate, "svg")
        added = graph_of(crate)
        for graph in (added, at_once):  # what is added comes last
            graph["./"]["hasPart"].sort(key=lambda reference: reference["@id"])
        assert added == at_once


def test_caption_says_whose_plot_it_is_and_how_the_task_ended(make_record):
    caption = caption_of(make_record())
    assert caption.title == "rev_txt · task 7a171870 · completed"
    assert caption.details.endswith(" UTC · 1.00 s · node-001")
    assert (caption.cpus_allowed, caption.ending) == (5, "")
    failed = failed_records(make_record)
    assert [caption_of(record).ending for record in failed] == [
        "SIGKILL", "error", "exit 3", "command failed", "time limit", "cancelled", "worker lost", "failed",
    ]  # fmt: skip
    assert caption_of(failed[0]).title == "rev_txt · task 7a171870, attempt 2 · failed"
    long = make_record()
    long.function.name = "f" * 300
    assert len(caption_of(long).title) <= 72


def test_the_kill_and_the_limit_are_marked(make_series):
    caption = Caption("t", end_s=1.0, ending="SIGKILL", limit_s=0.5)
    assert picture(make_series(), caption).ends == [(1.0, "SIGKILL"), (0.5, "limit 0.5 s")]
    assert picture(make_series(), Caption("t", end_s=1.0, limit_s=60.0)).ends == []
    root = ET.fromstring(render_svg(make_series(), caption))
    assert {"SIGKILL", "limit 0.5 s"} <= {element.text for element in root.iter(f"{SVG}text")}
    assert root.find(f"{SVG}desc").text.endswith("; SIGKILL at 1 s; limit 0.5 s at 0.5 s.")
    assert has(pixels(render_png(make_series(), caption))[2], ENDING_COLOUR)
    assert not has(pixels(render_png(make_series(), Caption("t", end_s=1.0)))[2], ENDING_COLOUR)


def test_node_and_allowed_cpus_are_shown_beside_the_task(make_series):
    drawn = picture(make_series(node=True), Caption("t", cpus_allowed=2))
    assert drawn.names == ["this task", "all of the node", "allowed: 2 CPUs"]
    assert drawn.cpu_top == 200
    assert NODE_COLOUR in {line["stroke"] for line in lines_of(make_series(node=True))}
    assert NODE_COLOUR not in {line["stroke"] for line in lines_of(make_series())}
    assert render_png(make_series(node=True), Caption("t")) != render_png(make_series(), Caption("t"))
    # 64 CPUs would flatten what one of them did.
    assert picture(make_series(), Caption("t", cpus_allowed=64)).names == ["this task"]
    busy = make_series(node=True)
    busy.node.columns["cpu_percent"].mean = [6400.0, 6400.0]
    assert picture(busy, Caption("t")).node is None


def test_sealed_crate_is_refused(writer, make_record, make_series, tmp_path):
    crate = writer.publish(make_record(), make_series(), None, tmp_path / "steps")
    seal = {"@id": f"steps/{crate.name}/ro-crate-metadata.json", "@type": "File", "sha256": "ab" * 32}
    (tmp_path / "ro-crate-metadata.json").write_text(json.dumps({"@graph": [seal]}))
    before = {path: path.stat().st_mtime_ns for path in crate.rglob("*")}
    with pytest.raises(CrateError, match="sealed by the run crate"):
        add_plot(crate)
    assert {path: path.stat().st_mtime_ns for path in crate.rglob("*")} == before

    del seal["sha256"]
    (tmp_path / "ro-crate-metadata.json").write_text(json.dumps({"@graph": [seal]}))
    assert add_plot(crate, "svg").is_file()


def test_crate_without_samples_is_refused(writer, make_record, tmp_path):
    crate = writer.publish(make_record(), None, None, tmp_path)
    with pytest.raises(CrateError, match="no CPU sample"):
        add_plot(crate)
    assert StepCrate.open(crate).files
    with pytest.raises(InputError, match="kind: expected one of png, svg"):
        add_plot(crate, "gif")


@pytest.mark.parametrize("notes", [[], ["another note"]])
def test_an_added_plot_takes_the_note_away_that_there_is_none(
    writer, make_record, make_series, tmp_path, graph_of, notes
):
    absent = "No plot was drawn: more were asked for than could be drawn in time."
    crate = writer.publish(make_record(notes=notes, plot_absent=absent), make_series(20), None, tmp_path)
    assert StepCrate.open(crate).notes == [*notes, absent]
    add_plot(crate, "svg")
    assert StepCrate.open(crate).notes == notes
    assert "plot-absent" not in (crate / "ro-crate-metadata.json").read_text()
    assert check_crate(crate) == []
