"""``qsub``, ``qstat`` and ``qdel``: what they are given, sent to the server, and what it says."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

from .answers import as_json
from .config import Config
from .request import RefusedError, Request
from .server import CONFIG, SOCKET


def main(command: str, directory: Path) -> int:
    """Run a command with the words of this process; its exit code."""
    arguments = sys.argv[1:]
    message = {
        "command": command, "words": arguments, "cwd": str(Path.cwd()), "PATH": os.environ.get("PATH", ""),
        "HOME": os.environ.get("HOME", ""),
        "given": {name: os.environ[name] for name in ("LANG", "LOGNAME", "MAIL", "SHELL", "TZ") if name in os.environ},
    }  # fmt: skip
    if command == "qsub":
        try:
            message["script"] = _script(arguments)
        except RefusedError as refused:
            sys.stderr.write(f"{refused.told}\n")
            return refused.code
    try:
        answer = _ask(directory, message)
    except (ConnectionRefusedError, FileNotFoundError):
        return _down(command, Config.read(directory / CONFIG).server, arguments)
    if command == "qsub" and not answer["code"]:
        _stay(Config.read(directory / CONFIG).qsub_stays_s)
    sys.stdout.write(answer["stdout"])
    sys.stderr.write(answer["stderr"])
    return int(answer["code"])


def _stay(seconds: float) -> None:
    """Leave a process as the real ``qsub`` does: a session of its own, the caller's environment, no open pipe."""
    if seconds:
        program = [sys.executable, "-S", "-c", f"import time; time.sleep({seconds})"]
        null = subprocess.DEVNULL
        subprocess.Popen(
            ["qsub", *program[1:]], executable=program[0], stdin=null, stdout=null, stderr=null, start_new_session=True
        )


def _script(arguments: list[str]) -> str:
    """The script's text, as it is now."""
    submission = Request()
    submission.take(arguments)
    if not submission.operands:
        return sys.stdin.read()
    try:
        return Path(submission.operands[0]).read_text()
    except FileNotFoundError:
        raise RefusedError("qsub: script file:: No such file or directory", 1) from None


def _ask(directory: Path, message: dict[str, object]) -> dict[str, object]:
    with socket.socket(socket.AF_UNIX) as server:
        os.chdir(directory)  # paths of sockets are short
        server.connect(SOCKET)
        with server.makefile("rwb") as stream:
            stream.write(json.dumps(message).encode() + b"\n")
            stream.flush()
            return dict(json.loads(stream.readline()))


def _down(command: str, server: str, arguments: list[str]) -> int:
    sys.stderr.write("Connection refused\n")
    if command == "qdel":
        sys.stderr.write(f"Couldn't connect to cluster: {server}\n")
        return 162
    sys.stderr.write(f"{command}: cannot connect to server {server} (errno=15010)\n")
    if command == "qsub":
        return 162
    if "json" in arguments or "-Fjson" in arguments:
        sys.stdout.write(as_json(server, []))
    return 255
