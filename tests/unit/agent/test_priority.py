"""How nice the agent is: in a process of its own, as niceness cannot be taken back."""

from __future__ import annotations

import os

import pytest

from prov_worker.agent.priority import IN_A_BURST, WRITING
from support.commands import run_python

SCRIPT = """
import os, sys
from prov_worker.agent.priority import Priority
os.setsid()
priority = Priority()
before = os.getpriority(os.PRIO_PROCESS, 0)
for nice in map(int, sys.argv[1:]):
    while not priority.lower(nice):
        pass
print(os.getpriority(os.PRIO_PROCESS, 0) - before)
try:
    print(open("/proc/self/autogroup").read().split()[-1])
except OSError:
    print("none")
"""


def test_process_and_session_are_lowered_step_by_step_and_never_raised() -> None:
    if os.getpriority(os.PRIO_PROCESS, 0) + IN_A_BURST > 19:
        pytest.skip("the tests are run too nicely to be nicer")
    done = run_python("-c", SCRIPT, str(WRITING), str(IN_A_BURST), str(WRITING), check=True)
    process, session = done.stdout.split()
    assert int(process) == IN_A_BURST
    assert session in (str(IN_A_BURST), "none")
