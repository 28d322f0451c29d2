"""What the roles of the roll-out have in common."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from pathlib import Path

import pytest

from support.commands import run_program

ROLES = Path(__file__).parents[2] / "ansible" / "roles"


def test_every_role_takes_the_home_of_the_user_database() -> None:
    """The variable HOME may be another directory: roles would look for each other's files in vain."""
    texts = [path.read_text() for path in sorted(ROLES.rglob("*.yml")) if "molecule" not in path.parts]
    homes = {home for text in texts for home in re.findall(r"ansible_facts[\w.\[\]']*(?:user_dir|HOME)\b", text)}
    assert homes == {"ansible_facts.user_dir"}


def test_shellcheck_accepts_the_command_on_a_node(tmp_path: Path) -> None:
    jinja2 = pytest.importorskip("jinja2")
    program = shutil.which("shellcheck", path=str(Path(sys.executable).parent)) or shutil.which("shellcheck")
    if program is None:
        pytest.skip("no shellcheck")
    environment = jinja2.Environment(trim_blocks=True)
    environment.filters["quote"] = shlex.quote
    template = environment.from_string((ROLES / "service" / "templates" / "command.j2").read_text())
    values = {
        "service_endpoint": "prov",
        "service_home": "/home/a b/share",
        "service_fleet_file": "/home/a b/prov.yaml",
    }
    script = tmp_path / "command"
    script.write_text(template.render(values))
    done = run_program(program, script)
    assert done.stdout == ""
