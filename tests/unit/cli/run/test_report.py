"""``prov-worker run report`` and ``run export`` as a person types them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from prov_worker.run.export import EXPORTERS

Run = Callable[..., tuple[int, str, str]]


def test_report_says_what_it_wrote(prov_worker: Run, crates: Path, tmp_path: Path) -> None:
    pytest.importorskip("jinja2", reason="jinja2 is not installed")
    target = tmp_path / "report.html"
    code, out, err = prov_worker("run", "report", crates, "-o", target, "--title", "My run")
    assert (code, err) == (0, "")
    assert out.startswith(f"{target}: 2 tasks in 2 attempts, 1 failed; ")
    html = target.read_text(encoding="utf-8")
    assert "<title>My run – run report</title>" in html
    assert "division by zero" in html
    code, out, _ = prov_worker("run", "report", crates, "-o", target, "--json")
    assert code == 0
    summary = json.loads(out)["summary"]
    assert (summary["tasks"], summary["failed_tasks"], summary["attempts"]) == (2, 1, 2)


def test_report_of_a_run_crate(prov_worker: Run, crates: Path, tmp_path: Path) -> None:
    pytest.importorskip("jinja2", reason="jinja2 is not installed")
    run = tmp_path / "RUN.crate"
    assert prov_worker("run", "assemble", crates, "-o", run, "--name", "Two tasks")[0] == 0
    assert prov_worker("run", "report", run, "-o", tmp_path / "report.html")[0] == 0
    assert "<title>Two tasks – run report</title>" in (tmp_path / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("to", EXPORTERS.names())
def test_export_to_every_format(
    prov_worker: Run, crates: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, to: str
) -> None:
    if to.startswith("prov") or to == "turtle":
        pytest.importorskip("prov", reason="the prov library is not installed")
    if to == "prov-svg" and shutil.which("dot") is None:
        pytest.skip("graphviz is not installed")
    if to == "openlineage":
        pytest.importorskip("openlineage.client", reason="openlineage-python is not installed")
    if to == "ro-crate":
        pytest.importorskip("rocrate.rocrate", reason="rocrate is not installed")
    if to == "parquet":
        pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    monkeypatch.chdir(tmp_path)
    code, out, err = prov_worker("run", "export", crates, "--format", to)
    assert (code, err) == (0, "")
    assert out.startswith(f"crates.{EXPORTERS[to].suffix}: ")
    assert (tmp_path / f"crates.{EXPORTERS[to].suffix}").stat().st_size > 100


def test_damage_is_named_and_the_exit_code_is_1(prov_worker: Run, own_crates: Path, tmp_path: Path) -> None:
    pytest.importorskip("jinja2", reason="jinja2 is not installed")
    bad = sorted(own_crates.iterdir())[0]
    (bad / "ro-crate-metadata.json").write_text("{")
    code, out, err = prov_worker("run", "report", own_crates, "-o", tmp_path / "report.html")
    assert code == 1
    assert str(bad) in err
    assert "1 task in 1 attempt, 1 failed" in out
    code, _, err = prov_worker("run", "export", own_crates, "--format", "flowcept", "-o", tmp_path / "run.jsonl")
    assert code == 1
    assert str(bad) in err


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["report", "/nowhere"], "prov-worker: /nowhere: no such run or directory"),
        (["export", "/nowhere", "--format", "csv"], "prov-worker: /nowhere: no such run or directory"),
        (["export", "/nowhere"], "Missing option '--format'. Choose from: csv, flowcept, openlineage, "),
        (["export", "/nowhere", "--format", "xml"], "'xml' is not one of"),
    ],
)
def test_bad_input_is_exit_code_2_and_says_what(prov_worker: Run, arguments: list[str], message: str) -> None:
    code, out, err = prov_worker("run", *arguments)
    assert (code, out) == (2, "")
    assert message in err


@pytest.mark.parametrize("verb", ["report", "export"])
def test_a_file_of_somebody_else_is_not_replaced(prov_worker: Run, crates: Path, tmp_path: Path, verb: str) -> None:
    if verb == "report":
        pytest.importorskip("jinja2", reason="jinja2 is not installed")
    target = tmp_path / "mine.html"
    target.write_text("<html>mine\n")
    arguments = ["run", verb, crates, "-o", target, *(["--format", "csv"] if verb == "export" else [])]
    code, out, err = prov_worker(*arguments)
    assert (code, out) == (2, "")
    assert err == f"prov-worker: {target}: already exists; give another name, or --overwrite to replace it\n"
    assert target.read_text() == "<html>mine\n"
    assert prov_worker(*arguments, "--overwrite")[0] == 0
    assert target.read_text() != "<html>mine\n"
    # A page is made again often, and nothing of it is lost; a table of samples may have been worked on.
    assert prov_worker(*arguments)[0] == (0 if verb == "report" else 2)
    target.write_text("")
    assert prov_worker(*arguments)[0] == 0, "an empty file, as mktemp makes it"
    arguments[4] = tmp_path / "no" / "such" / "file"
    code, _, err = prov_worker(*arguments)
    assert (code, err) == (
        2,
        f"prov-worker: {arguments[4]}: cannot be written: {tmp_path / 'no/such'} is not a directory\n",
    )
    assert [path.name for path in tmp_path.iterdir()] == ["mine.html"]


def test_tasks_that_are_not_there_are_an_error(prov_worker: Run, crates: Path, tmp_path: Path) -> None:
    code, _, err = prov_worker(
        "run", "export", crates, "--format", "csv", "--task", "no-such-task", "-o", tmp_path / "series.csv"
    )
    assert code == 2
    assert "no attempt matches" in err
    assert not list(tmp_path.iterdir())
