"""The hook, each time in an interpreter of its own: it acts on imports, and a process has them once."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from support.commands import run_python

PTH = Path(__file__).parents[3] / "src" / "prov_worker_hook.pth"
SOURCE = Path(__file__).parents[3] / "src"


def python(code: str, **environ: str) -> str:
    """Output of a fresh interpreter in which no ``.pth`` file was read."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PROV_WORKER")} | environ
    packages = [p for p in sys.path if p.endswith("site-packages")]
    code = f"import sys; sys.path[:0] = {[str(SOURCE), *packages]!r}\n" + code
    done = run_python("-S", "-c", code, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


HOOK = "['prov_worker', 'prov_worker.arrivals', 'prov_worker.globus', 'prov_worker.globus.hook']"


def test_pth_is_one_line_that_site_executes() -> None:
    lines = PTH.read_text().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("import ")


@pytest.mark.parametrize(
    "program, environ, expected",
    [
        ("/usr/bin/pytest", {"PROV_WORKER": ""}, "[]"),
        ("/home/u/globus-compute-endpoint/x.py", {}, "[]"),
        ("/opt/env/bin/globus-compute-endpoint", {}, HOOK),
        ("/usr/bin/anything", {"PROV_WORKER": "1"}, HOOK),
    ],
)
def test_pth_imports_nothing_without_need(program: str, environ: dict[str, str], expected: str) -> None:
    code = (
        f"import os; sys.orig_argv = [sys.executable, {program!r}, 'start']\n"
        f"exec({PTH.read_text()!r})\n"
        "print(sorted(m for m in sys.modules if m.startswith('prov_worker')))"
    )
    assert python(code, **environ) == expected


def test_pth_without_the_package_says_nothing(tmp_path: Path) -> None:
    done = run_python(
        "-I",
        "-S",
        "-c",
        f"import os, sys\nexec({PTH.read_text()!r})\nprint('started')",
        cwd=tmp_path,
        env={"PROV_WORKER": "1"},
        check=True,
    )
    assert (done.stdout, done.stderr) == ("started\n", "")


def test_pth_survives_a_broken_package(tmp_path: Path) -> None:
    package = tmp_path / "prov_worker"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('broken')")
    code = f"import os, sys; sys.path.insert(0, {str(tmp_path)!r})\nexec({PTH.read_text()!r})\nprint('started')"
    done = run_python("-S", "-c", code, env={"PROV_WORKER": "1"}, check=True)
    assert (done.stdout, done.stderr) == ("started\n", "")


def test_hook_loads_no_module_but_itself() -> None:
    code = (
        "import os, __future__\n"  # site has loaded os when it reads the .pth file
        "before = set(sys.modules)\n"
        "from prov_worker.globus import hook; hook.install()\n"
        "print(sorted(set(sys.modules) - before))"
    )
    assert python(code) == HOOK


def test_engines_are_named_when_imported_after_the_hook() -> None:
    code = (
        "from prov_worker.globus import hook; hook.install()\n"
        "import globus_compute_endpoint.engines as e\n"
        "print('prov_worker.globus.engine' in sys.modules, [n for n in dir(e) if n.startswith('Prov')])\n"
        "print(e.ProvenanceEngine.__mro__[2].__name__, issubclass(e.ProvenanceMPIEngine, e.GlobusMPIEngine))\n"
        "print(e.__spec__.name, e.__loader__.get_filename() == e.__file__, hasattr(e, 'NoSuchEngine'))"
    )
    names = "['ProvenanceEngine', 'ProvenanceMPIEngine']"
    expected = [f"False {names}", "GlobusComputeEngine True", "globus_compute_endpoint.engines True False"]
    assert python(code).splitlines() == expected


def test_engines_are_named_when_imported_before_the_hook() -> None:
    code = (
        "import globus_compute_endpoint.engines as e\n"
        "import prov_worker.globus.register\n"
        "import prov_worker.globus.hook as h; h.install()\n"
        "print(e.ProvenanceEngine.__name__, e.__dir__ is not None)"
    )
    assert python(code) == "ProvenanceEngine True"


def test_an_unknown_engine_is_told_the_names() -> None:
    code = (
        "import prov_worker.globus.register\n"
        "from globus_compute_endpoint.endpoint.config.utils import load_config_yaml\n"
        "try: load_config_yaml('engine: {type: Provenance}')\n"
        "except Exception as error: print('ProvenanceEngine' in str(error), 'ProvenanceMPIEngine' in str(error))"
    )
    assert python(code) == "True True"


HELPER_STATE = (
    "from globus_compute_endpoint.engines import base, helper\n"
    "f = helper.execute_task\n"
    "print(hasattr(f, '__wrapped__'), base.execute_task is f, f.__module__, f.__name__)"
)


@pytest.mark.parametrize("value, wrapped", [("1", True), ("true", True), ("0", False), ("no", False), ("", False)])
def test_prov_worker_wraps_the_stock_helper_before_it_is_copied(value: str, wrapped: bool) -> None:
    code = "from prov_worker.globus import hook; hook.install()\n" + HELPER_STATE
    expected = f"{wrapped} True globus_compute_endpoint.engines.helper execute_task"
    assert python(code, PROV_WORKER=value) == expected


def test_explicit_registration_wraps_the_copy_too() -> None:
    code = "import globus_compute_endpoint.engines\nimport prov_worker.globus.register\n" + HELPER_STATE
    expected = "True True globus_compute_endpoint.engines.helper execute_task"
    assert python(code, PROV_WORKER="1") == expected


def test_helper_is_wrapped_once() -> None:
    code = (
        "from prov_worker.globus import hook; hook.install()\n"
        "from globus_compute_endpoint.engines import helper\n"
        "hook.install()\n"
        "print(hasattr(helper.execute_task.__wrapped__, '__wrapped__'))"
    )
    assert python(code, PROV_WORKER="1") == "False"
