"""The interpreter's environment, also of an agent, which is started without the module ``site``."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import prov_worker

CODE = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from prov_worker.interpreter import own_python
print(own_python()["prefix"])
"""


@pytest.mark.parametrize("options", [(), ("-I", "-S")])
def test_prefix_of_a_virtual_environment(options: tuple[str, ...], tmp_path: Path) -> None:
    directory = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", directory], check=True, timeout=120)
    path = [str(Path(prov_worker.__file__).parents[1]), sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")]
    command = [str(directory / "bin/python"), *options, "-c", CODE, json.dumps(path)]
    output = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    assert output.strip() == str(directory)


def test_prefix_outside_of_one() -> None:
    base = Path(sys.base_prefix)
    program = next((path for path in (base / "bin").glob("python3*") if path.name[7:].replace(".", "").isdigit()), None)
    if program is None:
        pytest.skip("the base interpreter is not where its prefix is")
    path = [str(Path(prov_worker.__file__).parents[1]), sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")]
    output = subprocess.run([program, "-I", "-S", "-c", CODE, json.dumps(path)], capture_output=True, text=True)
    assert output.stdout.strip() == str(base)
