"""The page as a document: self-contained, complete without a script, safe whatever the run says."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import zlib
from html.parser import HTMLParser
from pathlib import Path

import pytest

from prov_worker.errors import InputError
from prov_worker.model import Column, Series, TaskSeries
from prov_worker.run.api import open_run
from prov_worker.run.report.downsample import packed, thinned
from prov_worker.run.report.model import FunctionFacts, labels
from prov_worker.run.report.page import write_report
from prov_worker.run.report.templates import prose


class Outline(HTMLParser):
    """Tags with their attributes, text by tag, and script texts."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[str | None, str]] = []
        self.text: list[str] = []
        self._inside: str | None = None
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = tag
        if tag == "script":
            self.scripts.append((dict(attrs).get("type"), ""))

    def handle_endtag(self, tag: str) -> None:
        self._inside = None

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            kind, before = self.scripts[-1]
            self.scripts[-1] = (kind, before + data)
        elif self._inside != "style":
            self.text.append(data)


def outline(page: Path) -> Outline:
    return Outline(page.read_text(encoding="utf-8"))


def test_nothing_is_loaded_from_anywhere(page: Path) -> None:
    html = page.read_text(encoding="utf-8")
    for tag, attributes in outline(page).tags:
        for name in ("src", "srcset", "action", "poster", "data"):
            assert name not in attributes, (tag, attributes)
        assert (attributes.get("href") or "#").startswith(("#", "data:,")), (tag, attributes)
    style = re.search(r"<style>(.*?)</style>", html, re.DOTALL)
    assert style is not None
    assert "url(" not in style[1]
    assert "@import" not in style[1]
    assert "fetch(" not in html
    assert "XMLHttpRequest" not in html


def test_the_one_script_is_the_one_that_the_policy_allows(page: Path) -> None:
    structure = outline(page)
    policy = next(a["content"] for t, a in structure.tags if t == "meta" and "http-equiv" in a)
    assert policy is not None
    assert "default-src 'none'" in policy
    code = [text for kind, text in structure.scripts if kind is None]
    assert len(code) == 1
    digest = base64.b64encode(hashlib.sha256(code[0].encode()).digest()).decode()
    assert f"'sha256-{digest}'" in policy
    assert "innerHTML" not in code[0]
    assert "eval(" not in code[0]


def test_landmarks_headings_and_names(page: Path) -> None:
    structure = outline(page)
    tags = [tag for tag, _ in structure.tags]
    for tag in ("header", "nav", "main", "footer", "h1"):
        assert tags.count(tag) == 1, tag
    assert dict(structure.tags)["html"]["lang"] == "en"
    ids = [a["id"] for _, a in structure.tags if "id" in a]
    assert len(ids) == len(set(ids))
    for tag, attributes in structure.tags:
        if tag == "section":
            assert attributes["aria-labelledby"] in ids
        if tag == "svg":
            assert attributes.get("aria-label") or attributes.get("aria-hidden"), attributes
        if (attributes.get("href") or "").startswith("#") and "task" not in (attributes.get("class") or ""):
            assert (attributes["href"] or "")[1:] in ids


def test_what_matters_is_there_without_a_script(page: Path) -> None:
    text = " ".join(" ".join(outline(page).text).split())
    for phrase in ("Failed tasks", "How these figures are computed", "sum of wall ÷ makespan", "Slowest attempts"):
        assert phrase in text
    for name in ("fetch_archive", "transform_records", "fit_model", "merge_results", "node-001", "node-002"):
        assert name in text
    assert "KeyError: no column 'flux' in" in text


def test_failures_come_before_all_other_sections(page: Path) -> None:
    sections = [a.get("id") for tag, a in outline(page).tags if tag == "section"]
    assert sections == ["summary", "failures", "advice", "timeline", "nodes", "functions", "tasks", "graph"]


def test_hostile_text_stays_text(hostile_page: Path) -> None:
    structure = outline(hostile_page)
    assert len([text for kind, text in structure.scripts if kind is None]) == 1
    assert not [a for tag, a in structure.tags if tag == "b"]
    assert not [a for _, a in structure.tags if any(name.startswith("on") for name in a)]
    text = "".join(structure.text)
    assert "</script><script>alert(1)</script>" in text
    assert "{{7*7}} ${x}" in text


def test_details_are_there_for_every_attempt(page: Path) -> None:
    blocks = {
        int(number): json.loads(zlib.decompress(base64.b64decode(data), -15))
        for number, data in re.findall(r'id="block-(\d+)">([^<]*)<', page.read_text(encoding="utf-8"))
    }
    core = re.search(r'id="core">([^<]*)<', page.read_text(encoding="utf-8"))
    assert core is not None
    rows = json.loads(zlib.decompress(base64.b64decode(core[1]), -15))["rows"]
    assert len(set(zip(rows["block"], rows["place"], strict=True))) == len(rows["id"])
    for i, task in enumerate(rows["id"]):
        details = blocks[rows["block"][i]][rows["place"][i]]
        assert task in details["crate"]
        assert details["args"]
        assert ("traceback" in details) == (rows["failed"][i] == 1 and details["failure"][0] == "exception")
        # Attempts shorter than the distance of two samples have no series.
        assert "series" in details or rows["wall"][i] < 100_000


def test_a_damaged_crate_is_named_and_the_rest_is_shown(crates: Path, tmp_path: Path) -> None:
    some = tmp_path / "some"
    for path in sorted(crates.iterdir())[:5]:
        shutil.copytree(path, some / path.name)
    broken = sorted(some.iterdir())[0]
    (broken / "ro-crate-metadata.json").write_text('{"@graph": [')
    no_series = next(p for p in sorted(some.iterdir())[1:] if (p / "data/resource_usage.json").exists())
    (no_series / "data/resource_usage.json").write_text("[]")
    data, summary = write_report(open_run(some), tmp_path / "report.html")
    assert summary.attempts == 4
    assert len(data.problems) == 2
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "2 crates or files could not be read" in html
    assert broken.name in html


def test_no_crate_is_an_error_and_leaves_no_page(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="empty: no step crate$"):
        write_report(open_run(tmp_path / "empty"), tmp_path / "report.html")
    assert not list(tmp_path.glob("*.html*"))


def test_a_title_is_taken_and_escaped(crates: Path, tmp_path: Path) -> None:
    folder = tmp_path / "one"
    shutil.copytree(sorted(crates.iterdir())[0], folder / sorted(crates.iterdir())[0].name)
    write_report(open_run(folder), tmp_path / "report.html", title="<i>Mine</i>")
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<title>&lt;i&gt;Mine&lt;/i&gt; – run report</title>" in html


def test_thinned_series_keep_peaks_and_means() -> None:
    values: list[float | int | None] = [10.0] * 1000
    values[500] = 900.0
    rss: list[float | int | None] = [1 << 20] * 1000
    rss[3] = 64 << 20
    columns = {"cpu_percent": Column("percent", values), "rss_bytes": Column("byte", rss)}
    series = TaskSeries(task=Series(0.05, [0.05 * (at + 1) for at in range(1000)], columns))
    drawn = thinned(series, 50, all_quantities=False)["task"]
    assert len(drawn["t"]) == len(drawn["cpu"]) == 50
    assert sum(drawn["t"]) == 50_000
    assert max(drawn["cpu_high"]) == 900
    assert max(drawn["rss"]) == 64
    assert sum(drawn["cpu"]) / 50 == pytest.approx(10.89, abs=0.3)


def test_packed_is_raw_deflate_of_json() -> None:
    data = {"a": ["</script>", None, 1.5, "\u2028 🚀"]}
    text = packed(data)
    assert re.fullmatch(r"[A-Za-z0-9+/=]+", text)
    assert json.loads(zlib.decompress(base64.b64decode(text), -15)) == data


@pytest.mark.slow
@pytest.mark.parametrize("count", [400, pytest.param(10_000, marks=pytest.mark.long)])
def test_a_task_adds_a_kilobyte_to_the_page(tmp_path: Path, count: int) -> None:
    from prov_worker.testing import make_run

    crates = make_run(tmp_path / "crates", count, nodes=8, scale=0.5)
    target = tmp_path / "report.html"
    _, summary = write_report(open_run(crates), target)
    assert summary.tasks == count
    assert target.stat().st_size <= 1000 * count


def test_functions_of_one_name_are_told_apart() -> None:
    def function(
        name: str, module: str | None, sha256: str | None, identifier: str = "https://x/f/1234567890"
    ) -> FunctionFacts:
        return FunctionFacts(name, identifier, module, None, sha256)

    apart = [function("add", "here", "a" * 64), function("add", "there", "b" * 64), function("fit", None, None)]
    assert labels(apart) == ["add (here)", "add (there)", "fit"]
    alike = [function("add", "here", "a" * 64), function("add", "here", None)]
    assert labels(alike) == ["add (aaaaaaaa)", "add (12345678)"]


def test_code_in_docstrings_is_code_and_stays_harmless() -> None:
    assert prose("Fit ``x`` to `y<z>` & `` more.") == ("Fit <code>x</code> to <code>y&lt;z&gt;</code> &amp; `` more.")
