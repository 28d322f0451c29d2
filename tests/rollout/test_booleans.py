"""Options that are true or false, as text and as JSON: Ansible hands over what -e says, and its releases read it apart.

ansible-core 2.19 stops at a condition that is a text; releases before it take any text for true, also ``false``.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from pathlib import Path

import pytest
import yaml
from login_nodes import BIN, ROOT, missing

from support.commands import run_program

ROLES = ROOT / "ansible" / "roles"
#: Folders of the programs of further releases of ansible-core.
OTHERS = [Path(name) for name in os.environ.get("PROV_TEST_ANSIBLE_OTHERS", "").split(os.pathsep) if name]
#: Values of a variable, as -e hands them over (name=value is text, JSON has types), and what they mean.
FORMS: list[tuple[str | bool, bool]] = [("true", True), ("false", False), ("no", False), (True, True), (False, False)]


def booleans() -> list[str]:
    names = []
    for path in sorted(ROLES.glob("*/meta/argument_specs.yml")):
        options = yaml.safe_load(path.read_text())["argument_specs"]["main"]["options"]
        names += [name for name, option in options.items() if option["type"] == "bool"]
    return names


@pytest.mark.parametrize("name", booleans())
def test_each_use_says_that_it_is_a_boolean(name: str) -> None:
    """At each use: a value that was checked by a role's argument_specs keeps the type that it had."""
    uses = 0
    for path in sorted((ROOT / "ansible").rglob("*")):
        relative = path.relative_to(ROOT / "ansible").parts
        if path.suffix not in (".yml", ".j2") or {"molecule", "meta", "defaults"}.intersection(relative):
            continue
        for line in path.read_text().splitlines():
            code = line.partition("#")[0]
            for match in re.finditer(rf"\b{name}\b(?!\s*:)", code):
                uses += 1
                assert re.match(r"\s*\|\s*bool\b", code[match.end() :]), f"{path}: {line.strip()}"
    assert uses


@pytest.mark.slow
@pytest.mark.parametrize("programs", [BIN, *OTHERS], ids=lambda path: path.parent.name)
def test_the_folder_of_an_endpoint_goes_if_that_was_asked_for(programs: Path, tmp_path: Path) -> None:
    if not (programs / "ansible-playbook").exists():
        missing("no ansible-playbook (make ansible)")
    role = {"ansible.builtin.include_role": {"name": "endpoint", "tasks_from": "remove"}}
    play = [{"hosts": "all", "connection": "local", "gather_facts": False, "tasks": [role]}]
    (tmp_path / "play.yml").write_text(json.dumps(play))
    environment = os.environ | {"ANSIBLE_ROLES_PATH": str(ROLES), "HOME": str(tmp_path), "LC_ALL": "C.UTF-8"}

    files = {
        "ansible_python_interpreter": sys.executable,
        "endpoint_folder": "{{ own }}/prov",
        "endpoint_env_file": "{{ own }}/config/prov.env",
        "endpoint_fleet_file": "{{ own }}/config/prov.yaml",
    }

    def left(values: list[str | bool], *options: str) -> list[bool]:
        """Whether the folder of each host is there after the role, which has a value on each."""
        hosts = {}
        for number, value in enumerate(values):
            directory = Path(tempfile.mkdtemp(dir=tmp_path))
            for name in ("prov", "config"):
                (directory / name).mkdir()
            hosts[f"host-{number}"] = {"endpoint_remove_directory": value, "own": str(directory)}
        (tmp_path / "hosts.json").write_text(json.dumps({"all": {"hosts": hosts}}))
        command = [programs / "ansible-playbook", "-i", "hosts.json", "-e", json.dumps(files), *options, "play.yml"]
        done = run_program(*command, cwd=tmp_path, env=environment, timeout=200)
        assert done.returncode == 0, f"{values}, {options}: {done.stdout}{done.stderr}"
        return [Path(str(host["own"]), "prov").exists() for host in hosts.values()]

    assert left([value for value, _ in FORMS]) == [not meaning for _, meaning in FORMS]
    # As typed, one that a condition takes for true if it is a text.
    assert left([True, "true"], "-e", "endpoint_remove_directory=false") == [True, True]
