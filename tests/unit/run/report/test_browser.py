"""The page in headless Chromium, as a person uses it: with a mouse, with keys alone, in the dark, on paper."""

from __future__ import annotations

import base64
import csv
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser"), pytest.mark.timeout(600)]

selenium = pytest.importorskip("selenium", reason="selenium is not installed")

from selenium.webdriver import ActionChains, Chrome  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.remote.webelement import WebElement  # noqa: E402
from selenium.webdriver.support.ui import Select, WebDriverWait  # noqa: E402

from support.browser import start_chromium  # noqa: E402


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    downloads = tmp_path_factory.mktemp("downloads")
    driver = start_chromium(tmp_path_factory.mktemp("chromium"), "1440,1000", downloads)
    driver.downloads = downloads
    yield driver
    driver.quit()


@pytest.fixture
def opened(browser: Chrome) -> Iterator[Callable[[Path], Page]]:
    """Open a page; fails where the browser had anything to complain about."""

    def visit(path: Path, address: str = "") -> Page:
        browser.get("about:blank")
        browser.get(f"{path.as_uri()}{address}")
        WebDriverWait(browser, 30).until(lambda d: d.execute_script("return document.documentElement.dataset.ready"))
        assert browser.execute_script("return document.documentElement.dataset.ready") == "true"
        browser.execute_script("document.documentElement.style.scrollBehavior = 'auto'")
        return Page(browser)

    yield visit
    complaints = [entry["message"] for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]
    assert complaints == []


class Page:
    """What a person sees of the page."""

    def __init__(self, browser: Chrome) -> None:
        self.browser = browser

    def find(self, selector: str) -> WebElement:
        return self.browser.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector: str) -> list[WebElement]:
        return self.browser.find_elements(By.CSS_SELECTOR, selector)

    def js(self, script: str, *arguments: Any) -> Any:
        return self.browser.execute_script(script, *arguments)

    def until(self, condition: Callable[[], Any]) -> Any:
        return WebDriverWait(self.browser, 15).until(lambda _: condition())

    def keys(self, *keys: str) -> None:
        ActionChains(self.browser).send_keys(*keys).perform()

    def shown(self) -> int:
        """Number of attempts that pass the filters."""
        return int(self.find("[role=grid]").get_attribute("aria-rowcount") or 0) - 1

    def column(self, at: int) -> list[str]:
        script = "return [...document.querySelectorAll(arguments[0])].map((cell) => cell.textContent)"
        texts = self.js(script, f".grid .row [aria-colindex='{at}']")
        assert isinstance(texts, list)
        return texts

    @property
    def dialog(self) -> WebElement:
        return self.find("#task")

    def open_task(self) -> str | None:
        """Heading of the attempt that is open; None without one."""
        return self.find("#task-title").text if self.dialog.get_attribute("open") is not None else None


def test_filters_leave_what_they_say(opened: Callable[[Path], Page], page: Path) -> None:
    seen = opened(page)
    everything = seen.shown()
    assert everything > 160
    Select(seen.find("#filter-status")).select_by_value("failed")
    seen.until(lambda: seen.shown() < everything)
    assert seen.shown() == int(seen.find("nav .count.bad").text)
    assert all("failed" in text for text in seen.column(1))
    assert f"{seen.shown()} of {everything} attempts" in seen.find("#tasks-live").text
    Select(seen.find("#filter-status")).select_by_value("lost")
    lost = int(seen.find(".cards .bad dd").text)
    seen.until(lambda: seen.shown() == lost)
    seen.find("#filters button[type=reset]").click()
    seen.until(lambda: seen.shown() == everything)
    seen.find("#filter-text").send_keys("fit node-002")
    seen.until(lambda: seen.shown() < everything)
    assert set(seen.column(2)) == {"fit_model"}
    assert set(seen.column(5)) == {"node-002"}
    seen.find("#filter-text").send_keys(" no such thing")
    seen.until(lambda: seen.shown() == 0)


def test_a_click_on_a_header_sorts_and_says_so(opened: Callable[[Path], Page], page: Path) -> None:
    seen = opened(page)
    header = next(cell for cell in seen.all("[role=columnheader]") if cell.text == "Duration")
    header.find_element(By.TAG_NAME, "button").click()
    assert header.get_attribute("aria-sort") == "descending"
    longest = seen.find("#functions .pair table td.num").text
    first = seen.js("return [...document.querySelectorAll('.grid .row')].map(r => r.children[7].textContent)")
    assert first[0] == longest
    header.find_element(By.TAG_NAME, "button").click()
    assert header.get_attribute("aria-sort") == "ascending"
    shortest = seen.js("return document.querySelector('#row-0').children[7].textContent")
    assert shortest != longest


def test_only_rows_in_sight_are_in_the_document(opened: Callable[[Path], Page], page: Path) -> None:
    seen = opened(page)
    assert len(seen.all(".grid .row")) < 60 < seen.shown()
    seen.js("document.querySelector('[role=grid]').scrollTop = 1e6")
    last = seen.shown() + 1
    seen.until(lambda: seen.all(f".grid .row[aria-rowindex='{last}']"))
    assert len(seen.all(".grid .row")) < 60


def test_a_failed_task_opens_with_its_error_and_closes_again(opened: Callable[[Path], Page], page: Path) -> None:
    seen = opened(page)
    link = seen.find("#failures a.task")
    seen.js("arguments[0].scrollIntoView({block: 'center'})", link)
    name = link.get_attribute("title")
    link.click()
    seen.until(lambda: "Why it failed" in seen.dialog.text)
    assert name is not None
    assert name.split(",")[0] in seen.dialog.text
    assert "Traceback (most recent call last)" in seen.dialog.text
    for heading in ("What ran", "Series", "Arguments", "Hardware", "Totals", "Software", "Environment"):
        assert heading in seen.dialog.text, heading
    curves = seen.all("#task svg[role=img]")
    assert len(curves) >= 3
    assert "mean" in (curves[0].get_attribute("aria-label") or "")
    assert seen.js("return location.hash").startswith("#task-")
    seen.keys(Keys.ESCAPE)
    seen.until(lambda: seen.open_task() is None)
    assert seen.js("return location.hash") == ""
    assert seen.js("return document.activeElement === arguments[0]", link), "focus goes back where it came from"


def test_attempts_at_one_task_lead_to_each_other(opened: Callable[[Path], Page], page: Path) -> None:
    seen = opened(page)
    Select(seen.find("#filter-status")).select_by_value("repeated")
    seen.until(lambda: seen.shown() < 60)
    seen.find("[role=grid]").send_keys(Keys.ENTER)
    seen.until(lambda: "attempt 1" in seen.dialog.text)
    before = seen.js("return location.hash")
    seen.find("#task .links a.task").click()
    seen.until(lambda: seen.js("return location.hash") != before)
    assert seen.open_task()


def test_an_address_opens_its_task(opened: Callable[..., Page], page: Path) -> None:
    seen = opened(page, "#task-7")
    seen.until(lambda: "What ran" in seen.dialog.text)
    first = seen.find("#task header .mono").text
    seen.keys(Keys.ARROW_RIGHT)
    seen.until(lambda: seen.js("return location.hash") == "#task-8")
    seen.until(lambda: seen.find("#task header .mono").text != first)


def test_the_table_works_with_keys_alone(opened: Callable[[Path], Page], page: Path) -> None:
    seen = opened(page)
    grid = seen.find("[role=grid]")
    grid.send_keys(Keys.ARROW_DOWN, Keys.ARROW_DOWN)
    assert grid.get_attribute("aria-activedescendant") == "row-2"
    # By script: a row is drawn again when the grid scrolls, and an element that was found before is gone then.
    selected = "return document.querySelector('.grid .row[aria-selected=true]')?.id"
    assert seen.js(selected) == "row-2"
    grid.send_keys(Keys.END)
    last = seen.shown() - 1
    assert grid.get_attribute("aria-activedescendant") == f"row-{last}"
    seen.until(lambda: seen.js(selected) == f"row-{last}")
    inside = "const r = document.getElementById(arguments[0]).getBoundingClientRect(), v = document.querySelector("
    inside += "'[role=grid]').getBoundingClientRect(); return r.top >= v.top && r.bottom <= v.bottom + 1"
    seen.until(lambda: seen.js(inside, f"row-{last}"))
    grid.send_keys(Keys.HOME, Keys.ENTER)
    assert seen.open_task()
    seen.keys(Keys.ESCAPE)
    seen.until(lambda: seen.open_task() is None)
    assert seen.js("return document.activeElement.getAttribute('role')") == "grid"


def test_the_timeline_works_with_keys_alone_and_is_read_aloud(opened: Callable[[Path], Page], page: Path) -> None:
    seen = opened(page)
    canvas = seen.find("#timeline-box canvas[tabindex]")
    label = canvas.get_attribute("aria-label") or ""
    assert "12 workers of 2 nodes" in label
    live = seen.find("#timeline-live")
    canvas.send_keys(Keys.ARROW_RIGHT)
    first = live.get_attribute("textContent")
    assert first is not None
    assert first.startswith("fetch_archive")
    canvas.send_keys(Keys.ARROW_RIGHT)
    second = live.get_attribute("textContent")
    assert second != first
    canvas.send_keys(Keys.ARROW_DOWN, "+", "+", "0", Keys.ENTER)
    assert seen.open_task()


def pixels(seen: Page) -> str:
    return seen.js("return document.querySelector('#timeline-box canvas').toDataURL()")


def test_the_timeline_zooms_by_a_drag_and_opens_by_a_click(opened: Callable[[Path], Page], page: Path) -> None:
    seen = opened(page)
    canvas = seen.find("#timeline-box canvas[tabindex]")
    seen.js("arguments[0].scrollIntoView({block: 'center'})", canvas)
    whole = pixels(seen)
    ActionChains(seen.browser).move_to_element(canvas).click_and_hold().move_by_offset(200, 0).release().perform()
    assert pixels(seen) != whole
    assert seen.open_task() is None, "a drag opens nothing"
    seen.find("#zoom-all").click()
    assert pixels(seen) == whole
    # Rows are drawn from the left edge of the plot: right of it lies the first attempt of the first worker.
    width, height = canvas.size["width"], canvas.size["height"]
    ActionChains(seen.browser).move_to_element_with_offset(canvas, 160 - width // 2, 10 - height // 2).perform()
    assert "fetch_archive" in seen.find("#tip").text
    ActionChains(seen.browser).click().perform()
    assert seen.open_task() == "fetch_archive"


def test_the_graph_opens_to_tasks_with_keys(opened: Callable[[Path], Page], page: Path) -> None:
    seen = opened(page)
    boxes = seen.all("#graph-box .fn")
    assert [box.get_attribute("aria-expanded") for box in boxes] == ["false"] * 4
    assert "attempts" in (boxes[0].get_attribute("aria-label") or "")
    seen.js("document.querySelector('[data-fn=\"1\"]').focus()")
    seen.keys(Keys.ENTER)
    seen.until(lambda: seen.find("[data-fn='1']").get_attribute("aria-expanded") == "true")
    assert seen.js("return document.activeElement.dataset.fn") == "1", "focus stays on the function"
    cells = seen.all("#graph-box .cell")
    assert len(cells) > 40
    seen.js("arguments[0].focus()", cells[0])
    seen.until(lambda: seen.all("#graph-box .thread"))
    seen.keys(Keys.ARROW_RIGHT)
    assert seen.js("return document.activeElement === arguments[0]", cells[1])
    seen.keys(Keys.ENTER)
    assert seen.open_task() == "transform_records"
    seen.until(lambda: "Data flow" in seen.dialog.text)
    assert "(inferred)" in seen.dialog.text


def test_a_function_leads_to_its_tasks(opened: Callable[[Path], Page], page: Path) -> None:
    seen = opened(page)
    button = next(link for link in seen.all("#function-table button.link") if link.text == "merge_results")
    seen.js("arguments[0].scrollIntoView({block: 'center'})", button)
    button.click()
    seen.until(lambda: set(seen.column(2)) == {"merge_results"})


def background(seen: Page) -> int:
    """Lightness of the page's background, 0 to 255."""
    colour = seen.js("return getComputedStyle(document.body).backgroundColor")
    return sum(int(part) for part in colour.strip("rgba()").split(",")[:3]) // 3


def test_dark_and_light_follow_the_system_and_the_choice(opened: Callable[[Path], Page], page: Path) -> None:
    seen = opened(page)
    scheme = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    light, drawn = background(seen), pixels(seen)
    assert light > 200
    seen.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", scheme)
    try:
        seen.until(lambda: background(seen) < 60)
        seen.until(lambda: pixels(seen) != drawn)
        Select(seen.find("#theme")).select_by_value("light")
        assert background(seen) == light
        assert pixels(seen) == drawn
    finally:
        seen.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    Select(seen.find("#theme")).select_by_value("dark")
    assert background(seen) < 60
    Select(seen.find("#theme")).select_by_value("auto")


#: WCAG 2.2, 1.4.3: contrast of text and what lies behind it.
CONTRAST = """
const light = (c) => { const p = c.match(/[\\d.]+/g).slice(0, 3).map((v) => { v /= 255;
  return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; }); return 0.2126*p[0] + 0.7152*p[1] + 0.0722*p[2]; };
const behind = (e) => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor;
  if (!/, 0\\)$/.test(c) && c !== 'transparent') return c; } return 'rgb(255,255,255)'; };
const poor = [];
for (const e of document.querySelectorAll('main *, header *, footer *')) {
  if (e.closest('svg, canvas, noscript') || !e.getClientRects().length) continue;
  if (![...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim())) continue;
  const a = light(getComputedStyle(e).color), b = light(behind(e));
  const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  if (ratio < 4.5) poor.push(`${e.tagName}.${e.className}: ${ratio.toFixed(2)} ${e.textContent.trim().slice(0, 30)}`);
}
return poor;
"""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_stands_out_from_what_is_behind_it(opened: Callable[[Path], Page], page: Path, theme: str) -> None:
    seen = opened(page)
    Select(seen.find("#theme")).select_by_value(theme)
    assert seen.js(CONTRAST) == []
    Select(seen.find("#theme")).select_by_value("auto")


def test_every_control_can_be_reached_and_has_a_name(opened: Callable[[Path], Page], page: Path) -> None:
    seen = opened(page)
    nameless = seen.js(
        """return [...document.querySelectorAll('button, input, select, a, [tabindex="0"]')].filter((e) =>
        e.getClientRects().length && !(e.getAttribute('aria-label') || e.textContent.trim() || e.title ||
        (e.labels && e.labels.length) || e.getAttribute('aria-labelledby'))).map((e) => e.outerHTML.slice(0, 120))"""
    )
    assert nameless == []
    seen.js("document.body.focus()")
    reached = set()
    for _ in range(30):
        seen.keys(Keys.TAB)
        reached.add(seen.js("return document.activeElement.textContent.trim().slice(0, 20)"))
    assert {"Skip to the report", "How these figures ar", "Summary", "+"} <= reached


def test_it_prints_in_light_with_its_tables_and_curves(
    opened: Callable[[Path], Page], page: Path, tmp_path: Path
) -> None:
    seen = opened(page)
    Select(seen.find("#theme")).select_by_value("dark")
    before = len(seen.all(".grid .row"))
    printed = seen.browser.execute_cdp_cmd("Page.printToPDF", {"preferCSSPageSize": True, "printBackground": True})
    Select(seen.find("#theme")).select_by_value("auto")
    data = base64.b64decode(printed["data"])
    assert data.startswith(b"%PDF-")
    assert len(data) > 50_000
    assert len(seen.all(".grid .row")) == before, "the page is as it was"
    pdftotext = shutil.which("pdftotext")
    if pdftotext is not None:
        import subprocess

        (tmp_path / "page.pdf").write_bytes(data)
        conversion = subprocess.run(
            [pdftotext, "-layout", str(tmp_path / "page.pdf"), "-"], capture_output=True, check=True
        )
        text = conversion.stdout.decode()
        for heading in ("Makespan", "Failures", "Slowest attempts", "Tasks", "Provenance graph", "transform_records"):
            assert heading in text, heading
        assert "Save as CSV" not in text


def test_a_narrow_window_scrolls_down_only(opened: Callable[[Path], Page], page: Path) -> None:
    seen = opened(page)
    size = seen.browser.get_window_size()
    seen.browser.set_window_size(520, 900)
    try:
        seen.until(lambda: seen.js("return innerWidth") < 600)
        # The timeline takes its new width when the browser has laid the page out again.
        seen.until(lambda: seen.js("return document.documentElement.scrollWidth <= innerWidth"))
    finally:
        seen.browser.set_window_size(size["width"], size["height"])


@pytest.mark.parametrize("width", [420, 1400])
def test_nothing_is_cut_at_the_width_of_a_phone_or_a_desk(
    opened: Callable[[Path], Page], page: Path, width: int
) -> None:
    """Cards and small tables stay within their sections; all columns of the tasks are in sight on a desk."""
    seen = opened(page)
    # Chromium's own window is never narrower than 500 pixels.
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    seen.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        cut = """
            const outside = (element) => {
                const section = element.closest("section").getBoundingClientRect();
                const box = element.getBoundingClientRect();
                return box.right > section.right + 1 || box.left < section.left - 1;
            };
            const boxes = document.querySelectorAll(".cards > div, .advice li, .pair table, .node figure, figcaption");
            return [...boxes].filter((box) => box.offsetParent && outside(box)).map((box) => box.outerHTML);
        """
        seen.until(lambda: seen.js("return innerWidth") == width)
        seen.until(lambda: seen.js(cut) == [])
        if width == 1400:
            columns = (
                "const grid = document.querySelector('.grid .viewport'); return grid.scrollWidth - grid.clientWidth"
            )
            assert seen.js(columns) <= 0
            heads = "return [...document.querySelectorAll('.grid .head [role=columnheader]')].map((head) => "
            assert seen.js(heads + "head.scrollWidth - head.clientWidth)") == [0] * 12
    finally:
        seen.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_advice_explains_when_it_is_given(opened: Callable[[Path], Page], page: Path) -> None:
    seen = opened(page)
    text = seen.js("return document.querySelector('#advice details.formulae').textContent")
    for condition in ("5 % failed, or any was killed", "90 % or more, or 10 % or less", "4 times the median"):
        assert condition in " ".join(text.split())


def test_the_filtered_tasks_are_saved_as_csv(opened: Callable[[Path], Page], page: Path) -> None:
    seen = opened(page)
    Select(seen.find("#filter-status")).select_by_value("failed")
    failed = int(seen.find("nav .count.bad").text)
    seen.until(lambda: seen.shown() == failed)
    seen.find("#save-csv").click()
    target = seen.browser.downloads / "tasks.csv"
    seen.until(target.exists)
    rows = list(csv.DictReader(target.read_text(encoding="utf-8").splitlines()))
    target.unlink()
    assert len(rows) == failed
    assert {row["status"] for row in rows} == {"failed"}


def test_hostile_text_does_nothing(opened: Callable[[Path], Page], hostile_page: Path) -> None:
    seen = opened(hostile_page)
    seen.find("#failures a.task").click()
    seen.until(lambda: "Why it failed" in seen.dialog.text)
    assert "</script><script>alert(1)</script>" in seen.dialog.text
    assert "{{7*7}} ${x}" in seen.dialog.text
    seen.keys(Keys.ESCAPE)
    for box in seen.all("#graph-box .fn"):
        assert "49" not in (box.get_attribute("aria-label") or "").split(":")[0]


OLD = {
    "no class": "delete window.DecompressionStream",
    "no raw format": "{ const all = DecompressionStream; window.DecompressionStream = function (format) {"
    " if (format === 'deflate-raw') throw new TypeError(); return new all(format); }; }",
}


@pytest.mark.parametrize("source", OLD.values(), ids=OLD)
def test_a_browser_that_cannot_unpack_says_so_and_shows_the_tables(browser: Chrome, page: Path, source: str) -> None:
    added = browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": source})
    try:
        browser.get("about:blank")
        browser.get(page.as_uri())
        text = browser.find_element(By.TAG_NAME, "main").text
        (notice,) = browser.find_elements(By.CSS_SELECTOR, ".notice")
        assert notice.text.startswith("This browser is older than 2023 and cannot unpack the page's data")
        assert "Slowest attempts" in text
        assert "fit_model" in browser.find_element(By.ID, "function-table").text
        assert not browser.find_element(By.ID, "filters").is_displayed()
        assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
    finally:
        browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", added)


def test_without_scripts_the_tables_are_read(browser: Chrome, page: Path) -> None:
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get(page.as_uri())
        text = browser.find_element(By.TAG_NAME, "main").text
        assert "The timeline needs JavaScript" in text
        assert "Slowest attempts" in text
        assert not browser.find_element(By.ID, "filters").is_displayed()
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_colours_of_functions_are_those_of_their_legend(opened: Callable[[Path], Page], page: Path) -> None:
    """Each of nine has one of its own, all others share the grey, so that no colour stands for two names."""
    seen = opened(page)
    hues = seen.js("return [...Array(20).keys()].map(functionHue)")
    assert len(set(hues[:9])) == 9
    assert len(set(hues[9:])) == 1
    assert not set(hues[:9]) & set(hues[9:])
    legend = [swatch.get_attribute("fill") for swatch in seen.all("#timeline-legend rect")]
    boxes = [stripe.get_attribute("fill") for stripe in seen.all("#graph-box .fn > rect[width='4']")]
    assert len(boxes) > 3
    assert legend[: len(boxes)] == hues[: len(boxes)]
    assert set(boxes) == set(hues[: len(boxes)])
