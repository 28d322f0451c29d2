"""The commands that look at crates take zip files too, whole ones and damaged ones."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from prov_worker.run.assembly.assemble import assemble
from prov_worker.run.assembly.model import Options
from support.commands import run_python

DONE = "3f2b7b0e-5f0c-4c58-9a43-0d2f4a6f1c01.crate"
BROKEN = "3f2b7b0e-5f0c-4c58-9a43-0d2f4a6f1c02.crate"
METADATA = "ro-crate-metadata.json"
Run = Callable[..., tuple[int, str, str]]


def pack(directory: Path, target: Path, without: str = "") -> Path:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(directory.rglob("*")):
            if path.name != without:
                archive.write(path, path.relative_to(directory))
    return target


@pytest.fixture
def many(crates: Path, tmp_path: Path) -> Path:
    """A zip of both crates."""
    return pack(crates, tmp_path / "many.zip")


@pytest.fixture
def single(crates: Path, tmp_path: Path) -> Path:
    """A zip of the completed one."""
    return pack(crates / DONE, tmp_path / f"{DONE}.zip")


def test_list(prov_worker: Run, crates: Path, many: Path, single: Path) -> None:
    code, out, err = prov_worker("list", "--json", many, single)
    assert (code, err) == (0, "")
    rows = json.loads(out)
    assert {row.pop("crate") for row in rows} == {f"{many}!{DONE}", f"{many}!{BROKEN}", str(single)}
    plain = json.loads(prov_worker("list", "--json", crates)[1])
    for row in plain:
        del row["crate"]
    done = [row for row in plain if row["status"] == "completed"]
    assert sorted(map(str, rows)) == sorted(map(str, plain + done))


def test_list_goes_on_after_a_damaged_zip(prov_worker: Run, crates: Path, many: Path) -> None:
    cut = many.with_name("cut.zip")
    cut.write_bytes(many.read_bytes()[:-500])
    code, out, err = prov_worker("list", cut, many)
    assert code == 1
    assert err.startswith(f"prov-worker: {cut}: not a readable zip file: ")
    assert err.count("\n") == 1
    assert "2 crates" in out


def test_list_goes_on_after_a_damaged_crate_of_a_zip(prov_worker: Run, own_crates: Path, tmp_path: Path) -> None:
    (own_crates / DONE / METADATA).write_text("{")
    packed = pack(own_crates, tmp_path / "many.zip")
    code, out, err = prov_worker("list", packed)
    assert code == 1
    assert err.startswith(f"prov-worker: {packed}!{DONE}/{METADATA}: invalid JSON")
    assert "1 crate\n" in out


def test_show(prov_worker: Run, crates: Path, many: Path, single: Path) -> None:
    page = prov_worker("show", crates / DONE)
    assert prov_worker("show", single) == page
    assert prov_worker("show", f"{many}!{DONE}") == page
    code, out, err = prov_worker("show", f"{many}!{BROKEN}")
    assert (code, err) == (0, "")
    assert "  [red]line" in out, "the traceback is read from the zip"
    data = json.loads(prov_worker("show", "--json", f"{many}!{BROKEN}")[1])
    assert (data["crate"], data["status"]) == (f"{many}!{BROKEN}", "failed")


def test_show_of_a_zip_of_several_names_one(prov_worker: Run, many: Path) -> None:
    code, out, err = prov_worker("show", many)
    assert (code, out) == (2, "")
    assert err == f"prov-worker: {many}: more than one crate; name one, such as {many}!{DONE}\n"
    code, _, err = prov_worker("show", f"{many}!none.crate")
    assert (code, err) == (2, f"prov-worker: {many}!none.crate: no such crate in the zip\n")


def test_show_of_a_run_crate_names_a_step(prov_worker: Run, crates: Path, tmp_path: Path) -> None:
    run = tmp_path / "R.crate"
    assemble([crates], run)
    code, _, err = prov_worker("show", run)
    assert (code, err) == (2, f"prov-worker: {run}: a directory of crates; name one, such as {run}/steps/{DONE}\n")


def test_check(prov_worker: Run, many: Path, single: Path) -> None:
    code, out, err = prov_worker("check", "--no-validator", many, single)
    assert (code, out, err) == (0, "3 crates checked (own rules): no finding\n", "")


def test_check_names_what_is_wrong_in_a_zip(prov_worker: Run, crates: Path, tmp_path: Path) -> None:
    packed = pack(crates, tmp_path / "many.zip", without="hardware.json")
    cut = tmp_path / "cut.zip"
    cut.write_bytes(packed.read_bytes()[:-500])
    code, out, err = prov_worker("check", "--no-validator", "--json", packed, cut)
    assert (code, err) == (1, "")
    findings = json.loads(out)
    assert {where: [(finding["rule"], finding["where"]) for finding in some] for where, some in findings.items()} == {
        f"{packed}!{DONE}": [("missing-file", "data/hardware.json")],
        f"{packed}!{BROKEN}": [("missing-file", "data/hardware.json")],
        str(cut): [("unreadable", "./")],
    }


def test_plot_changes_no_zip(prov_worker: Run, many: Path) -> None:
    before = many.read_bytes()
    code, out, err = prov_worker("plot", "--format", "svg", many)
    assert (code, out) == (1, "")
    lines = err.splitlines()
    assert lines[0] == f"prov-worker: {many}!{DONE}: is in a zip file, so nothing can be added"
    assert len(lines) == 2
    assert many.read_bytes() == before


def test_plot_beside_crates(prov_worker: Run, crates: Path, many: Path, tmp_path: Path) -> None:
    plots = tmp_path / "plots"
    code, _, err = prov_worker("plot", "--output", plots, many)
    assert (code, err) == (2, f"prov-worker: {plots}: no such directory\n")
    plots.mkdir()
    target = plots / DONE.replace(".crate", ".svg")
    arguments = ["plot", "--format", "svg", "--output", plots]
    code, out, err = prov_worker(*arguments, many)
    assert (code, out) == (1, f"{target}\n")
    assert err == (
        f"prov-worker: {many}!{BROKEN}: no CPU sample was taken while the task ran, so there is nothing to draw\n"
    )
    drawn = target.read_bytes()
    code, out, err = prov_worker(*arguments, crates / DONE)
    assert (code, out) == (1, "")
    assert err.startswith(f"prov-worker: {target}: already exists")
    target.write_bytes(b"x")
    assert prov_worker(*arguments, "--overwrite", crates / DONE) == (0, f"{target}\n", "")
    assert target.read_bytes() == drawn
    assert list(crates.rglob("*.svg")) == []


def test_plot_of_a_damaged_zip(prov_worker: Run, crates: Path, many: Path, tmp_path: Path) -> None:
    many.write_bytes(many.read_bytes()[:-500])
    code, out, err = prov_worker("plot", "--format", "svg", "--output", tmp_path, many, crates / DONE)
    assert (code, out.count("\n")) == (2, 1)
    assert err.startswith(f"prov-worker: {many}: not a readable zip file: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize("verb", ["list", "show", "check", "plot"])
def test_a_dangerous_zip_is_refused(prov_worker: Run, single: Path, verb: str) -> None:
    with zipfile.ZipFile(single, "a") as archive:
        archive.writestr("../outside", "x")
    code, out, err = prov_worker(verb, *(["--no-validator"] if verb == "check" else []), single)
    assert code in (1, 2)
    assert "a path that leads outside; refused" in out + err
    assert not single.parent.parent.joinpath("outside").exists()


@pytest.mark.validator
def test_check_validates_zips_as_directories(crates: Path, tmp_path: Path) -> None:
    """Its own metadata of a run crate too, and nothing is left in the directory for temporary files."""
    from prov_worker.crate.check import find_validator

    if find_validator() is None:
        pytest.skip("no interpreter has roc-validator; set PROV_WORKER_VALIDATOR")
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    own = shutil.copytree(crates, tmp_path / "own")
    (own / DONE / "data" / "hardware.json").unlink()
    run = tmp_path / "R.zip"
    assemble([crates], run, Options(zip=True))

    def check(path: Path, *options: str) -> tuple[int, dict[str, list[dict[str, str]]]]:
        done = run_python(
            "-m",
            "prov_worker",
            "check",
            "--validator",
            "--json",
            *options,
            str(path),
            env={**os.environ, "TMPDIR": str(temporary)},
        )
        return done.returncode, json.loads(done.stdout)

    assert check(run) == (0, {f"{run}!steps/{DONE}": [], f"{run}!steps/{BROKEN}": [], str(run): []})
    packed = pack(own, tmp_path / "own.zip")
    by_directory, by_zip = check(own, "--jobs", "2"), check(packed)
    assert by_directory[0] == by_zip[0] == 1
    assert len(by_zip[1][f"{packed}!{DONE}"]) > 1, "our rules and the validator's"
    for name in (DONE, BROKEN):
        there, here = by_zip[1][f"{packed}!{name}"], by_directory[1][str(own / name)]
        assert json.dumps(there).replace(f"{packed}!{name}", str(own / name)) == json.dumps(here)
    assert list(temporary.iterdir()) == []
