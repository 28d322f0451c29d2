"""``mpiexec`` with those options of Cray PALS that Parsl's MpiExecLauncher and the templates use.

Each rank is a process on this machine, in the job's session, with the environment of the caller: the real one starts
ranks on the hosts of the file. Names of variables are from memory of PALS, not recorded.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from .request import RefusedError, stand_in

_VALUES = {
    "-n": "n",
    "--np": "n",
    "--ppn": "ppn",
    "--depth": "depth",
    "--cpu-bind": "cpu-bind",
    "--hostfile": "hostfile",
}


def parse(arguments: list[str]) -> tuple[dict[str, str], dict[str, str], list[str]]:
    """Options by name, variables of ``--env``, and the command.

    Raises:
        RefusedError: an option that is not in the stand-in.
    """
    options: dict[str, str] = {}
    variables: dict[str, str] = {}
    arguments = list(arguments)
    while arguments and arguments[0].startswith("-"):
        word, equals, value = arguments.pop(0).partition("=")
        if not equals:
            if not arguments:
                raise stand_in(f"mpiexec {word} without a value")
            value = arguments.pop(0)
        if word == "--env":
            name, _, text = value.partition("=")
            variables[name] = text
        elif word in _VALUES:
            options[_VALUES[word]] = value
        else:
            raise stand_in(f"mpiexec {word} is not in it")
    if options.get("cpu-bind", "none") != "none":
        raise stand_in(f"mpiexec --cpu-bind {options['cpu-bind']} is not in it")
    return options, variables, arguments


def main(arguments: list[str]) -> int:
    """Start the ranks and wait for them; the first exit code that is not 0 ends the others."""
    if arguments == ["--help"]:
        print("Usage: mpiexec [OPTION...] COMMAND\n  " + "\n  ".join([*_VALUES, "--env"]))
        return 0
    try:
        options, variables, command = parse(arguments)
        hosts = Path(options["hostfile"]).read_text().split() if "hostfile" in options else ["localhost"]
        count, ppn = int(options.get("n", 1)), int(options.get("ppn", 1))
        if count > len(hosts) * ppn:
            raise stand_in(f"mpiexec: {count} ranks do not fit on {len(hosts)} hosts with {ppn} each")
    except RefusedError as refused:
        sys.stderr.write(f"{refused.told}\n")
        return refused.code
    ranks = []
    for rank in range(count):
        environment = {
            **os.environ, **variables,
            "PALS_RANKID": str(rank), "PALS_LOCAL_RANKID": str(rank % ppn), "PALS_NODEID": str(rank // ppn),
            "PMI_RANK": str(rank), "PMI_SIZE": str(count),
        }  # fmt: skip
        ranks.append(subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL))

    def end(number: int, _frame: object) -> None:
        for rank in ranks:
            rank.send_signal(number)

    signal.signal(signal.SIGTERM, end)
    code = 0
    for process in ranks:
        status = process.wait()
        if status and not code:
            code = status if status > 0 else 128 - status
            end(signal.SIGTERM, None)
    return code
