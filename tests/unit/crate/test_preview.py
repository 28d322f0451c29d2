"""The page about a crate: what is in it, that it is HTML, and that nothing in a crate can act in it."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import Any

from prov_worker.crate.add_plot import add_plot
from prov_worker.crate.check import check_crate
from prov_worker.crate.reader import StepCrate
from prov_worker.crate.writer import CrateWriter, Plot
from prov_worker.model import Failure, Function, Value
from prov_worker.settings import Settings

HOSTILE = '</script></style><script>alert(1)</script><img src=x onerror="alert(1)">\'"&<!--'
PNG = Plot("cpu_usage.png", b"\x89PNG\r\n\x1a\n")
VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """Reads a page: each element that is open is closed in its turn.

    Attributes:
        tags: names of all elements. scripts: content of the scripts. text: what is shown.
        addresses: what links and pictures lead to. handlers: attributes that would run something.
    """

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.scripts: list[str] = []
        self.text = ""
        self.addresses: list[str] = []
        self.handlers: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in VOID:
            self._open.append(tag)
        for name, value in attrs:
            if name in ("href", "src"):
                self.addresses.append(value or "")
            if name.startswith("on") or name == "style":
                self.handlers.append(name)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] == "script":
            self.scripts.append(data)
        elif not self._open or self._open[-1] != "style":
            self.text += data


def page_of(crate: Any) -> Page:
    html = (crate / "ro-crate-preview.html").read_text(encoding="utf-8")
    assert html.startswith("<!DOCTYPE html>\n<html")
    return Page(html)


def test_a_crate_has_a_page_if_it_is_asked_for(
    snapshot: Any, make_record: Any, make_series: Any, tmp_path: Any
) -> None:
    plain = CrateWriter(snapshot, Settings(), account="jcarberry")
    paged = CrateWriter(snapshot, Settings(preview=True), account="jcarberry")
    without = plain.publish(make_record(), make_series(), PNG, tmp_path / "plain")
    crate = paged.publish(make_record(), make_series(), PNG, tmp_path / "paged")
    assert not (without / "ro-crate-preview.html").exists()
    metadata = (crate / "ro-crate-metadata.json").read_bytes()
    assert metadata == (without / "ro-crate-metadata.json").read_bytes(), "the page is no part of what it describes"
    page = page_of(crate)
    assert json.loads(page.scripts[0]) == json.loads(metadata)
    step = StepCrate.open(crate)
    for part in (step.function_name, step.task_id, "completed", "Cite as", "cpu_usage.json"):
        assert part in page.text, part
    local = [address for address in page.addresses if address.startswith("./")]
    assert "./images/cpu_usage.png" in local
    assert "./ro-crate-metadata.json" in local
    assert all((crate / address).is_file() for address in local)
    assert check_crate(crate) == []


def test_nothing_of_a_crate_acts_in_its_page(snapshot: Any, make_record: Any, tmp_path: Any) -> None:
    record = make_record(
        function=Function(HOSTILE, "m", doc=HOSTILE, source=HOSTILE),
        status="failed",
        failure=Failure("exception", HOSTILE, "ValueError", HOSTILE),
        arguments=[Value(HOSTILE, "str", value=HOSTILE)],
        notes=[HOSTILE],
    )
    settings = Settings(preview=True, author=HOSTILE, publisher="javascript:alert(1)")
    page = page_of(CrateWriter(snapshot, settings, account=HOSTILE).publish(record, None, None, tmp_path))
    assert page.tags.count("script") == 1
    assert page.tags.count("style") == 1
    assert "img" not in page.tags
    assert page.handlers == []
    assert [address for address in page.addresses if not address.startswith(("./", "https://"))] == []
    assert HOSTILE in page.text


def test_a_plot_that_is_added_is_on_the_page(snapshot: Any, make_record: Any, make_series: Any, tmp_path: Any) -> None:
    writer = CrateWriter(snapshot, Settings(preview=True), account="jcarberry")
    crate = writer.publish(make_record(), make_series(30), None, tmp_path)
    assert "img" not in page_of(crate).tags
    add_plot(crate, "svg")
    page = page_of(crate)
    assert "./images/cpu_usage.svg" in page.addresses
    assert json.loads(page.scripts[0]) == json.loads((crate / "ro-crate-metadata.json").read_text())
