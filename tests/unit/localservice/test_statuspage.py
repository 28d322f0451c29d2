"""The status page in headless Chromium, as a person sees it."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from web_client import ALICE, Web

from prov_worker.crate.writer import CrateWriter
from prov_worker.localservice import messages
from prov_worker.localservice.records import (
    Endpoint,
    Function,
    Incoming,
    NewTask,
    Pulse,
    Result,
    Submission,
    UserEndpoint,
)
from prov_worker.model import Function as TaskFunction
from prov_worker.model import HardwareSnapshot, TaskRecord, Worker
from prov_worker.settings import Settings
from prov_worker.spool.live import write_live
from prov_worker.spool.paths import spool_dir

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser"), pytest.mark.timeout(600)]

selenium = pytest.importorskip("selenium", reason="selenium is not installed")

from selenium.webdriver import Chrome  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

from support.browser import start_chromium  # noqa: E402

OWNER = ALICE.client_id
CORE, USER, AWAY, FUNCTION, GROUP = (str(uuid.UUID(int=number)) for number in range(21, 26))
#: WCAG 2.2, 1.4.3: contrast of text and what lies behind it.
CONTRAST = """
const light = (c) => { const p = c.match(/[\\d.]+/g).slice(0, 3).map((v) => { v /= 255;
  return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; }); return 0.2126*p[0] + 0.7152*p[1] + 0.0722*p[2]; };
const canvas = document.createElement('canvas').getContext('2d');
const page = (() => { canvas.fillStyle = getComputedStyle(document.documentElement).colorScheme.includes('dark')
  && matchMedia('(prefers-color-scheme: dark)').matches ? 'rgb(18, 18, 18)' : 'rgb(255, 255, 255)';
  return canvas.fillStyle; })();
const rgb = (hex) => `rgb(${[1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)).join(', ')})`;
const behind = (e) => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor;
  if (!/, 0\\)$/.test(c) && c !== 'transparent') return c; } return rgb(page); };
return [...document.querySelectorAll('main *, header *')].filter((e) => !e.closest('svg') && e.getClientRects().length
  && [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim())).map((e) => {
  const a = light(getComputedStyle(e).color), b = light(behind(e));
  return [e.tagName + '.' + e.className, (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)];
}).filter((found) => found[1] < 4.5);
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    driver = start_chromium(tmp_path_factory.mktemp("chromium"), "1280,1400")
    yield driver
    driver.quit()


def fill(web: Web, name: str = "Lab <endpoint> & co") -> None:
    """An endpoint that is there with two user endpoints, one that is not, and tasks of all states."""
    storage, now = web.service.storage, time.time()
    report = {"heartbeat_period": 5, "total_workers": 3}
    for core, display in ((CORE, name), (AWAY, "Away")):
        registration = {"endpoint_name": "ep", "display_name": display}
        storage.save_endpoint(Endpoint(core, OWNER, "ep", now, registration))
    storage.save_user_endpoint(UserEndpoint(USER, CORE, OWNER, {}, {}))
    storage.save_function(Function(FUNCTION, OWNER, "simulate", "1\nx\n", now))
    tasks = [str(uuid.UUID(int=1000 + number)) for number in range(30)]
    storage.add_tasks(
        [NewTask(task, FUNCTION, "p") for task in tasks],
        Submission(owner=OWNER, user_endpoint=USER, group=GROUP, queue=False), now=now - 600,
    )  # fmt: skip
    for number, task in enumerate(tasks[:24]):
        failed = number % 8 == 7
        body = messages.failure(task, "X", "no")
        storage.apply(Incoming(results=[Result(task, OWNER, USER, failed, body)]), now=now - 20 * number)
    pulses = [((OWNER, each), Pulse(now, 3600.0, report)) for each in (CORE, USER)]
    storage.apply(Incoming(pulses=dict(pulses), queued=[25, 26]), now=now)


@pytest.fixture
def seen(browser: Chrome, web: Web) -> Iterator[Chrome]:
    fill(web)
    browser.get("about:blank")
    browser.get_log("browser")
    login = f"{ALICE.client_id}:{quote(ALICE.client_secret)}"
    browser.get(f"http://{login}@127.0.0.1:{web.port}/")
    yield browser
    complaints = [entry["message"] for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]
    assert complaints == []


def text(browser: Chrome, selector: str) -> str:
    return str(browser.find_element(By.CSS_SELECTOR, selector).text)


def test_a_person_sees_endpoints_tasks_and_throughput(seen: Chrome) -> None:
    counts = {state: text(seen, f"#count-{state}") for state in ("accepted", "queued", "success", "failed")}
    assert counts == {"accepted": "4", "queued": "2", "success": "21", "failed": "3"}
    rows = {row.text for row in seen.find_elements(By.CSS_SELECTOR, "[aria-labelledby=endpoints] tbody tr")}
    (lab,) = [row for row in rows if "Lab <endpoint> & co" in row]
    assert "online" in lab
    assert lab.endswith(" 1 3 6 21 3")
    assert any("Away" in row and "offline" in row and "never" in row for row in rows)
    chart = seen.find_element(By.CSS_SELECTOR, "figure svg")
    assert "24 tasks finished in the last 30 minutes" in (chart.get_attribute("aria-label") or "")
    assert len(chart.find_elements(By.CSS_SELECTOR, "rect")) >= 10
    recent = seen.find_elements(By.CSS_SELECTOR, "[aria-labelledby=recent] tbody tr")
    assert len(recent) == 20
    assert all("simulate" in row.text for row in recent)
    # Nothing but its own: no other request, no script or style from elsewhere.
    names = seen.execute_script("return performance.getEntriesByType('resource').map((one) => one.name)")
    assert [name for name in names if "127.0.0.1" not in name and not name.startswith("data:")] == []


def test_it_brings_itself_up_to_date_until_told_to_stop(seen: Chrome, web: Web) -> None:
    task = str(uuid.UUID(int=1028))
    web.service.storage.apply(
        Incoming(results=[Result(task, OWNER, USER, False, messages.failure(task, "X", "no"))]), now=time.time()
    )
    WebDriverWait(seen, 30).until(lambda _: text(seen, "#count-success") == "22")
    button = seen.find_element(By.ID, "pause")
    button.click()
    assert (button.text, button.get_attribute("aria-pressed")) == ("Update again", "true")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_in_light_and_dark(seen: Chrome, scheme: str) -> None:
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    seen.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    try:
        assert seen.execute_script(CONTRAST) == []
    finally:
        seen.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_it_fits_a_small_window(seen: Chrome) -> None:
    metrics = {"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": False}
    seen.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        assert seen.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    finally:
        seen.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_a_person_goes_from_what_runs_to_a_crate_and_its_plot(seen: Chrome, web: Web, tmp_path: Path) -> None:
    running, ended = (str(uuid.UUID(int=1000 + number)) for number in (25, 0))
    crates = tmp_path / "crates"
    record = TaskRecord(ended, 1, "completed", 10**18, 10**18 + 5 * 10**9, TaskFunction("simulate"), Worker("nid7", 1))
    CrateWriter(HardwareSnapshot("nid7", 0), Settings()).publish(record, None, None, crates)
    (crates / f"{ended}.crate" / "images").mkdir()
    (crates / f"{ended}.crate" / "images" / "cpu_usage.png").write_bytes(seen.get_screenshot_as_png())
    gpu = {"number": 0, "utilization_percent": 64.0, "memory_used_bytes": 2 << 30, "power_watts": 311.0}
    document = {
        "v": 1, "host": "nid7", "place": "0" * 12, "written": time.time(), "renew_s": 3600.0, "more": 0,
        "node": {"gpus": [gpu]},
        "tasks": [{"task": running, "function": "simulate", "elapsed_s": 65.0, "cpu_percent": 99.0, "gpus": [0]}],
        "ended": [{"task": ended, "function": "simulate", "status": "completed", "crate": f"{ended}.crate"}],
    }  # fmt: skip
    write_live(f"{spool_dir(str(crates))}/nid7~000000000000.live", document)
    WebDriverWait(seen, 30).until(lambda _: seen.find_elements(By.CSS_SELECTOR, "[aria-labelledby=running] tbody td"))
    (row,) = seen.find_elements(By.CSS_SELECTOR, "[aria-label='Running now, table'] tbody tr")
    assert row.text.split()[:3] == [running, "simulate", "nid7"]
    assert all(part in row.text for part in ("1 min 05 s", " 99", " 64", "2.0 GiB", " 311"))
    seen.find_element(By.CSS_SELECTOR, f"a[href='/crates/{ended}']").click()
    WebDriverWait(seen, 30).until(lambda _: text(seen, "h1") == "simulate completed")
    assert seen.execute_script("return document.querySelector('img').naturalWidth") > 0
    assert seen.execute_script(CONTRAST) == []
    names = [link.text for link in seen.find_elements(By.CSS_SELECTOR, "[aria-label='Files, table'] a")]
    assert "ro-crate-metadata.json" in names
    seen.find_element(By.LINK_TEXT, "ro-crate-metadata.json").click()
    WebDriverWait(seen, 30).until(lambda _: '"@context"' in text(seen, "body"))
