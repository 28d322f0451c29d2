"""The page about a run: sealed with it, with all of its metadata, and with nothing of a task that acts."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from prov_worker.run.assembly.assemble import assemble
from prov_worker.run.assembly.model import Options
from prov_worker.run.assembly.verify import verify
from prov_worker.testing import CrateFactory

PAGE = "ro-crate-preview.html"
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(1)>"


def copied_metadata(page: str) -> Any:
    start = '<script type="application/ld+json">'
    return json.loads(page[page.index(start) + len(start) : page.index("</script>")])


def test_a_run_crate_has_a_page_that_its_seal_covers(workflow_crates: CrateFactory, tmp_path: Path) -> None:
    run = tmp_path / "RUN.crate"
    assemble([workflow_crates.directory], run, Options(name="rain & shine"))
    page = (run / PAGE).read_text()
    assert copied_metadata(page) == json.loads((run / "ro-crate-metadata.json").read_text())
    assert "<h1>rain &amp; shine</h1>" in page
    assert "5, of which 1 failed in the end" in page
    assert "nothing to merge" in page
    for step in (run / "steps").iterdir():
        assert f'href="./steps/{step.name}/ro-crate-metadata.json"' in page
    assert verify(run).changes == []
    (run / PAGE).write_text(page.replace("merge", "purge"))
    assert [(change.kind, change.path) for change in verify(run).changes] == [("changed", PAGE)]


@pytest.mark.parametrize("options", [Options(zip=True), Options(preview=False)])
def test_also_in_a_zip_and_not_if_it_is_switched_off(
    workflow_crates: CrateFactory, tmp_path: Path, options: Options
) -> None:
    run = tmp_path / "RUN"
    assemble([workflow_crates.directory], run, options)
    if options.zip:
        with zipfile.ZipFile(run) as archive:
            assert copied_metadata(archive.read(PAGE).decode()) == json.loads(archive.read("ro-crate-metadata.json"))
    else:
        assert not (run / PAGE).exists()
        assert PAGE not in (run / "ro-crate-metadata.json").read_text()
    assert verify(run).changes == []


def test_nothing_of_a_task_acts_in_the_page(crates: CrateFactory, tmp_path: Path) -> None:
    crates.add(1, HOSTILE, error=HOSTILE)
    assemble([crates.directory], tmp_path / "R.crate", Options(name=HOSTILE, author=HOSTILE))
    page = (tmp_path / "R.crate" / PAGE).read_text()
    assert page.count("<script") == page.count("</script>") == 1
    assert "<img" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in page
