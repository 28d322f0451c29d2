"""Limits of the agent's own: neither those of the user's code, nor all of the node."""

from __future__ import annotations

from support.commands import run_python

SCRIPT = """
import resource
from prov_worker.agent.main import _lift_limits
resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
_lift_limits()
print(*(resource.getrlimit(which) for which in (resource.RLIMIT_FSIZE, resource.RLIMIT_NOFILE, resource.RLIMIT_DATA)))
try:
    bytearray(5 << 30)
except MemoryError:
    print("no more")
"""


def test_the_agent_has_limits_of_its_own() -> None:
    shown = run_python("-c", SCRIPT, check=True)
    sizes, last = shown.stdout.splitlines()
    assert last == "no more"
    numbers = [int(word.strip("(),")) for word in sizes.split()]
    assert numbers[0] == numbers[1], "a limit of the user's code is lifted"
    assert numbers[2] == min(65_536, numbers[3]) or numbers[3] == -1
    assert numbers[4] == 4 << 30
