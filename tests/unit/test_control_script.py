"""The command that the roll-out puts on a node (ansible/roles/service): shellcheck reads what the template gives."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

jinja2 = pytest.importorskip("jinja2")

TEMPLATE = Path(__file__).resolve().parents[2] / "ansible" / "roles" / "service" / "templates" / "control.j2"
VALUES = {
    "service_endpoint": "prov",
    "service_home": "/home/a b/share",
    "service_folder": "/home/a b/.globus_compute/prov",
    "service_state": "/home/a b/state",
    "service_env_file": "/home/a b/prov.env",
    "service_user_dir": "/home/a b/.globus_compute",
    "service_crate_dir": "/crates",
    "ansible_facts": {"hostname": "node"},
}


@pytest.mark.parametrize("mode", ["systemd", "scrontab", "cron", "manual"])
def test_shellcheck_has_nothing_to_say(mode: str, tmp_path: Path) -> None:
    program = shutil.which("shellcheck", path=str(Path(sys.executable).parent)) or shutil.which("shellcheck")
    if program is None:
        pytest.skip("no shellcheck")
    ours = jinja2.Environment(trim_blocks=True)
    ours.filters |= {"quote": shlex.quote, "ternary": lambda value, yes, no: yes if value else no}
    script = tmp_path / "control"
    script.write_text(ours.from_string(TEMPLATE.read_text()).render(VALUES | {"service_found_mode": mode}))
    done = subprocess.run([program, "--external-sources", script], capture_output=True, text=True, check=False)
    assert done.stdout == ""
