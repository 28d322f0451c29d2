"""What the roles of the roll-out have in common."""

from __future__ import annotations

import re
from pathlib import Path

ROLES = Path(__file__).parents[2] / "ansible" / "roles"


def test_every_role_takes_the_home_of_the_user_database() -> None:
    """The variable HOME may be another directory: roles would look for each other's files in vain."""
    texts = [path.read_text() for path in sorted(ROLES.rglob("*.yml")) if "molecule" not in path.parts]
    homes = {home for text in texts for home in re.findall(r"ansible_facts[\w.\[\]']*(?:user_dir|HOME)\b", text)}
    assert homes == {"ansible_facts.user_dir"}
