"""Shell commands as tasks: Globus Compute's ``ShellFunction`` and ``MPIFunction``, and what became of them.

Nothing is wrapped: the object that was sent says the template, and the result says command, exit status and output
(``globus_compute_sdk.sdk.shell_function``). Globus Compute returns a result whatever the exit status is; a tool that
failed is recorded as failed (Process Run Crate 0.5, ``actionStatus``).
"""

from __future__ import annotations

import json
import os
from typing import Any

from prov_worker.code_form import digest
from prov_worker.redact import redact_beginning, redact_part

#: Characters of standard output and of standard error that are kept, from the end.
TAIL = 64 << 10
#: With what is said of a cut no more than a text of a crate may have (:mod:`prov_worker.crate.json_text`).
_MAX_COMMAND = 9_900
_MAX_LINE = 300
_LAUNCHER = "PARSL_MPI_PREFIX"
_SANDBOX_WARNING = "WARNING: Task sandboxing will not work"
#: Of bash, what comes before the program that a command is about.
_PREPARING = frozenset(
    ("cd", "export", "set", "source", ".", "module", "ulimit", "umask", "unset", "ml", "env", "exec", "time")
)


def function_fields(function: Any) -> dict[str, Any]:
    """Return the fields of a ``function`` line that say which command a callable stands for.

    The digest is of the template before anything is redacted, and of the class.
    """
    attributes, kind = vars(function), type(function)
    template, limit, own = attributes.get("cmd"), attributes.get("walltime"), attributes.get("__name__")
    template = template if isinstance(template, str) else ""
    return {
        "name": own if isinstance(own, str) and own != kind.__name__ else program_of(template) or kind.__name__,
        "module": kind.__module__,
        "doc": None,
        "kind": kind.__name__,
        "command": redact_beginning(template, _MAX_COMMAND),
        "limit": limit if isinstance(limit, (int, float)) else None,
        "of": "command",
        "sha256": digest(["command", kind.__module__, kind.__qualname__, template]),
    }


def program_of(template: str) -> str | None:
    """Return the program that a command is about: the first word that neither sets a variable nor prepares for it."""
    from shlex import shlex  # needed once per command

    lexer = shlex(template[:_MAX_COMMAND].replace("$" + _LAUNCHER, ""), posix=True, punctuation_chars=";&|\n()")
    lexer.whitespace, lexer.whitespace_split, lexer.commenters = " \t\r", True, "#"
    first, skip = True, False
    try:
        for word in lexer:
            if not word.strip(";&|\n()"):
                first, skip = True, False
            elif skip or not first:
                continue
            elif word in _PREPARING:
                skip = word not in ("env", "exec", "time")
            elif not word.partition("=")[0].isidentifier() or "=" not in word:
                return None if "{" in word else os.path.basename(word) or None
    except ValueError:  # a quote is not closed
        pass
    return None


class Outcome:
    """What a command did, as its result tells.

    Args:
        result: a ``ShellResult``, or the mapping that ``return_dict`` asks for.
        limit_s: seconds that it may take.
        with_command: keep the command as it ran.
        with_output: keep the ends of its output.
    """

    __slots__ = ("failure", "field", "output")

    def __init__(self, result: Any, limit_s: float | None, with_command: bool, with_output: bool) -> None:
        fields = result if type(result) is dict else vars(result)
        status, error = fields.get("returncode"), fields.get("exception_name")
        status = status if isinstance(status, int) else None
        stderr = fields.get("stderr")
        command: dict[str, Any] = {"status": status}
        if with_command and isinstance(fields.get("cmd"), str):
            command["run"] = redact_beginning(fields["cmd"], _MAX_COMMAND)
            if "$" + _LAUNCHER in fields["cmd"]:
                command["launcher"] = redact_part(os.environ.get(_LAUNCHER, ""), _MAX_COMMAND) or None
        self.field = json.dumps(command)
        self.failure: str | None = None
        if status or error:
            self.failure = json.dumps(_failure(status, error, limit_s, stderr if isinstance(stderr, str) else ""))
        self.output: str | None = None
        if with_output:
            self.output = output_field(fields.get("stdout"), stderr)


class Composed:
    """The command of a Parsl bash app, and how it ended.

    Args:
        command: that Parsl runs.
        kwargs: of the app's call: ``walltime``, ``stdout`` and ``stderr`` among them.
        with_command: keep the command.
        with_output: have the agent read the ends of the files that it writes to.
    """

    __slots__ = ("_command", "_kwargs", "_limit_s", "_status", "_with_output")

    def __init__(self, command: Any, kwargs: dict[str, Any], with_command: bool, with_output: bool) -> None:
        self._command = redact_beginning(command, _MAX_COMMAND) if with_command and type(command) is str else None
        limit = kwargs.get("walltime")
        self._limit_s = limit if type(limit) in (int, float) else None
        self._status: int | None = 0
        self._kwargs = kwargs
        self._with_output = with_output

    def failed(self, error: BaseException, failure: str) -> str:
        """Return a failure as JSON, said of the command if Parsl raised it because of that."""
        name, status = type(error).__name__, getattr(error, "exitcode", None)
        self._status = status if type(status) is int else None
        if name == "BashExitFailure" and self._status is not None:
            own = _failure(self._status, None, self._limit_s, "")
        elif name == "AppTimeout":
            own = _failure(None, "TimeoutExpired", self._limit_s, "")
        else:
            return failure
        return json.dumps(json.loads(failure) | own)

    def field(self) -> str:
        """Return command, status and limit as JSON."""
        return json.dumps({"run": self._command, "status": self._status, "limit": self._limit_s})

    def files(self) -> str:
        """Return the part of an ``end`` line that names the files of both streams; empty if there are none."""
        if not self._with_output:
            return ""
        paths = [stream_path(self._kwargs, name) for name in ("stdout", "stderr")]
        return f',"outf":{json.dumps(paths)}' if any(paths) else ""


def stream_path(kwargs: dict[str, Any], name: str) -> str | None:
    """Return the file that ``stdout`` or ``stderr`` of a bash app goes to, absolute; None if it goes to none.

    Parsl takes a path, a pair of path and mode, or a ``File``.
    """
    value = kwargs.get(name)
    if type(value) is tuple and value:
        value = value[0]
    try:
        path = os.fspath(value)  # type: ignore[arg-type]
    except TypeError:
        return None
    return os.path.abspath(path) if isinstance(path, str) else None


def output_field(stdout: Any, stderr: Any) -> str | None:
    """Return the ends of standard output and standard error as JSON, redacted; None if both are empty."""
    texts = [redact_part(text, TAIL, tail=True) if isinstance(text, str) else "" for text in (stdout, stderr)]
    return json.dumps(texts) if any(texts) else None


def _failure(status: int | None, error: Any, limit_s: float | None, stderr: str) -> dict[str, Any]:
    """Return a :class:`prov_worker.model.Failure`: why a command failed."""
    if isinstance(error, str) and error.endswith("TimeoutExpired"):
        limit = "its time limit" if limit_s is None else f"its time limit of {limit_s:g} s"
        message = f"the command ran past {limit}" + ("" if status is None else f" (exit status {status})")
    elif status is not None and status < 0:
        message = f"the command was ended by signal {-status}"
    else:
        message = f"the command ended with exit status {status}"
    lines = [line.strip() for line in stderr[-4 * _MAX_LINE :].splitlines() if line.strip()]
    if lines and not lines[-1].startswith(_SANDBOX_WARNING):
        message += f": {redact_part(lines[-1], _MAX_LINE)}"
    return {"kind": "command", "message": message, "exit_status": status}
