"""The notebook of the examples, cell by cell, as a kernel runs it; what its cells show is looked at."""

from __future__ import annotations

import json
import os
import shutil
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from prov_worker.crate.check import check_crate
from prov_worker.crate.reader import StepCrate
from prov_worker.crate.sources import find_crates
from support.commands import run_program, run_python
from support.marks import PARSL_SOCKET

pytestmark = [pytest.mark.timeout(240), PARSL_SOCKET]
JUPYTER = os.environ.get("PROV_TEST_JUPYTER", "")
NOTEBOOK = Path(__file__).resolve().parents[2] / "examples" / "training.ipynb"
#: Runs cells in one module, and writes down what each shows: the last expression's form for notebooks.
KERNEL = """
import ast, json, linecache, sys
import __main__

shown = {}
for number, cell in enumerate(json.load(open(sys.argv[1]))["cells"]):
    if cell["cell_type"] != "code":
        continue
    source, name = "".join(cell["source"]), f"<cell {number}>"
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    tree, value = ast.parse(source), None
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, name, "exec"), __main__.__dict__)
    if last is not None:
        value = eval(compile(ast.Expression(last.value), name, "eval"), __main__.__dict__)
    form = next((form for form in ("_repr_html_", "_repr_svg_") if hasattr(value, form)), "__repr__")
    shown[cell["id"]] = getattr(value, form)()
json.dump(shown, open("shown.json", "w"))
"""


def test_each_cell_of_the_notebook_shows_what_it_says(tmp_path: Path) -> None:
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert all(cell["outputs"] == [] for cell in notebook["cells"] if cell["cell_type"] == "code")
    (tmp_path / "kernel.py").write_text(KERNEL)
    done = run_python("kernel.py", NOTEBOOK, cwd=tmp_path, timeout=200)
    assert done.returncode == 0, done.stderr
    shown = json.loads((tmp_path / "shown.json").read_text())
    assert len(json.loads(shown["submit"].replace("(", "[").replace(")", "]"))) == 3
    crates = [StepCrate.open(path) for path in find_crates(tmp_path / "crates")]
    assert len(crates) == 3, "complete when the endpoint is gone"
    for crate in crates:
        (metric,) = crate.training().runs[0].metrics
        assert (metric.name, metric.count, len(metric.values)) == ("loss", 200, 200)
        assert metric.values[-1] < metric.values[0]
        assert check_crate(crate.path) == []
    assert "3 attempts, 0 failed" in shown["open"]
    assert len(list(ET.fromstring(shown["loss"]).iter("{http://www.w3.org/2000/svg}polyline"))) == 3
    assert crates[0].function_name == "train"
    assert "<svg" in shown["crate"]
    assert shown["plot"].startswith("<svg")


@pytest.mark.long
@pytest.mark.skipif(not os.path.exists(JUPYTER), reason="PROV_TEST_JUPYTER names no Python; make jupyter")
def test_jupyter_runs_it_and_keeps_the_pictures(tmp_path: Path) -> None:
    shutil.copy(NOTEBOOK, tmp_path)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PROV_WORKER")}
    command = [JUPYTER, "-m", "nbconvert", "--to", "notebook", "--execute", "--output", "run.ipynb", NOTEBOOK.name]
    done = run_program(*command, cwd=tmp_path, env=environment, timeout=220)
    assert done.returncode == 0, done.stderr
    cells = {cell["id"]: cell for cell in json.loads((tmp_path / "run.ipynb").read_text(encoding="utf-8"))["cells"]}
    forms = {
        name: {form for output in cell["outputs"] for form in output.get("data", {})}
        for name, cell in cells.items()
        if cell["cell_type"] == "code"
    }
    assert not [output for name in forms for output in cells[name]["outputs"] if output["output_type"] == "error"]
    assert "image/svg+xml" in forms["plot"]
    assert "text/html" in forms["open"]
    assert "text/html" in forms["crate"]
    assert len(list(find_crates(tmp_path / "crates"))) == 3
